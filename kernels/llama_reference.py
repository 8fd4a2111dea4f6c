"""What a pass of a model means, in plain torch on any device: float32, but for the weights and cache."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F  # noqa: N812  # torch's own name for it

from kernels.llama_gpu import PAGE, PagedCache, Weights

Ints = NDArray[np.integer]


class ReferenceRunner:
    """Runs passes over a cache whose table and pages the caller keeps. Not for two threads at a time.

    It is what `kernels.llama_graph.GraphRunner` is measured by, and takes its place where there is no GPU.
    """

    def __init__(self, weights: Weights, cache: PagedCache) -> None:
        self._weights, self._cache = weights, cache
        self._device = cache.table.device

    def decode(self, tokens: Ints, slots: Ints, positions: Ints, wanted: Ints) -> Tensor:
        """Read M tokens, each of a slot and at a position of it; all are integers [M].

        Of one slot there may be several rows, in ascending order of positions. Returns float32 logits
        [len(wanted), vocabulary] of what follows those rows. A row with position -1 is padding.
        """
        rows = [
            torch.from_numpy(np.asarray(x, np.int64)).to(self._device) for x in (tokens, slots, positions)
        ]
        return self._pass(rows[0], rows[1], rows[2], torch.from_numpy(np.asarray(wanted, np.int64)))

    def prefill(self, slot: int, start: int, tokens: Ints, logits_for: int) -> Tensor:
        """Read tokens [M] of a slot from position `start` on; logits [logits_for, vocabulary] of the last."""
        count = len(tokens)
        positions = np.arange(start, start + count)
        return self.decode(tokens, np.full(count, slot), positions, np.arange(count - logits_for, count))

    def _indices(self, x: Ints) -> Tensor:
        return torch.from_numpy(np.asarray(x, np.int64)).to(self._device)

    @torch.inference_mode()
    def _pass(self, tokens: Tensor, slots: Tensor, positions: Tensor, wanted: Tensor) -> Tensor:
        w = self._weights
        x = w.embedding.rows_of(0, tokens)  # [M, width]
        for layer in range(w.shape.layers):
            x = x + F.linear(self._attention(layer, x, slots, positions), w.out.dequantize(layer))
            normed = self._norm(x, w.ffn_norm[layer])
            gate, up = F.linear(normed, w.gate_up.dequantize(layer)).chunk(2, dim=1)
            x = x + F.linear(F.silu(gate) * up, w.down.dequantize(layer))
        if not len(wanted):  # the head is the largest matrix
            return x.new_empty(0, w.shape.vocabulary)
        last = self._norm(x[wanted], w.output_norm)
        return F.linear(last, w.head.dequantize(0))

    def _norm(self, x: Tensor, weight: Tensor) -> Tensor:
        return F.rms_norm(x, weight.shape, weight, self._weights.shape.norm_eps)

    def _attention(self, layer: int, x: Tensor, slots: Tensor, positions: Tensor) -> Tensor:
        """Rows [M, heads * head dim]; puts keys and values where they belong."""
        w, s = self._weights, self._weights.shape
        qkv = F.linear(self._norm(x, w.attn_norm[layer]), w.qkv.dequantize(layer))
        if w.qkv_bias is not None:
            qkv = qkv + w.qkv_bias[layer]
        heads = qkv.view(len(x), -1, s.head_dim)
        q, k, v = heads.tensor_split([s.heads, s.heads + s.kv_heads], dim=1)
        if w.q_norm is not None and w.k_norm is not None:
            q, k = self._norm(q, w.q_norm[layer]), self._norm(k, w.k_norm[layer])
        at = positions.clamp(min=0)
        q, k = (rotate(part, w.cos[at], w.sin[at]) for part in (q, k))
        real = positions >= 0
        store(self._cache, layer, slots[real], positions[real], k[real], v[real])
        out = torch.zeros_like(q)
        for slot in set(slots[real].tolist()):
            rows = (real & (slots == slot)).nonzero()[:, 0]
            out[rows] = self._of_slot(layer, slot, q[rows], positions[rows])
        return out.flatten(1)

    def _of_slot(self, layer: int, slot: int, q: Tensor, positions: Tensor) -> Tensor:
        """Attention of rows [m, heads, head dim] of one slot, each of which sees the tokens up to its own."""
        length = int(positions.max()) + 1
        keys, values = self._cache.gather(layer, slot, length)  # [kv heads, length, head dim]
        seen = torch.arange(length, device=q.device) <= positions[:, None]
        heads = q.transpose(0, 1)[None]
        out = F.scaled_dot_product_attention(heads, keys[None], values[None], seen, enable_gqa=True)
        return out[0].transpose(0, 1)


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotary embedding of x [M, heads, head dim], channels 2i and 2i + 1 by the angles of each row.

    `cos` and `sin` are [M, head dim / 2], or [head dim / 2] for all rows.
    """
    cos, sin = cos.unsqueeze(-2), sin.unsqueeze(-2)
    even, odd = x[..., 0::2], x[..., 1::2]
    return torch.stack([even * cos - odd * sin, odd * cos + even * sin], dim=-1).flatten(-2)


def store(
    cache: PagedCache, layer: int, slots: Tensor, positions: Tensor, keys: Tensor, values: Tensor
) -> None:
    """Put keys (rotated) and values [M, kv heads, head dim] where rows (int64 [M]) belong, each as
    `PagedCache.store` does."""
    pages = cache.table[slots, positions // PAGE].long()
    for i, (part, x) in enumerate(((cache.keys, keys), (cache.values, values))):
        codes = x if cache.scales is None else (x / cache.scales[layer, i]).round().clamp(-127, 127)
        part[layer][pages, :, positions % PAGE] = codes.to(part.dtype)
