"""What a pass of a model means, in plain torch on any device: float32, but for the weights and cache."""

from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F  # noqa: N812  # torch's own name for it

from kernels.formats.llama import PAGE, PagedCache, Weights

Ints = NDArray[np.integer]

Put = Callable[[int, Tensor, Tensor, Tensor, Tensor], object]
"""What is done with a layer's slots, positions [M], keys and values [M, kv heads, head dim] of a pass."""


class ReferenceRunner:
    """Runs passes over a cache whose table and pages the caller keeps. Not for two threads at a time.

    It is what `kernels.llama.graph.GraphRunner` is measured by, and takes its place where there is no GPU.
    """

    def __init__(self, weights: Weights, cache: PagedCache) -> None:
        self._weights, self._cache = weights, cache
        self._device = cache.table.device

    def decode(self, tokens: Ints, slots: Ints, positions: Ints, wanted: Ints) -> Tensor:
        """Read M tokens, each of a slot and at a position of it; all are integers [M].

        Of one slot there may be several rows, in ascending order of positions. Returns float32 logits
        [len(wanted), vocabulary] of what follows those rows. A row with position -1 is padding.
        """
        return self._pass(tokens, slots, positions, wanted, partial(store, self._cache))

    def prefill(self, slot: int, start: int, tokens: Ints, logits_for: int) -> Tensor:
        """Read tokens [M] of a slot from position `start` on; logits [logits_for, vocabulary] of the last."""
        count = len(tokens)
        positions = np.arange(start, start + count)
        return self.decode(tokens, np.full(count, slot), positions, np.arange(count - logits_for, count))

    def exact(self, tokens: Ints, slots: Ints, positions: Ints, wanted: Ints) -> Tensor:
        """As `decode`, with the keys and values of the rows as they are, not rounded; stores none."""
        return self._pass(tokens, slots, positions, wanted, None)

    def follow(self, tokens: Ints, slots: Ints, positions: Ints, wanted: Ints) -> tuple[Tensor, float]:
        """As `decode`, of rows whose keys and values another runner has stored: attention reads those.

        Rounding to int8 magnifies what was before it: where the keys of two runners are a thousandth of a
        step apart, one in a thousand falls to another code, and the root of their mean square is a thirtieth.
        So how exact a runner is shows only where both read the same codes. Returns the logits, and how far
        what is stored lies from where it belongs: `misplaced` of the worst layer.
        """
        off: list[float] = []

        def compare(layer: int, slots: Tensor, positions: Tensor, keys: Tensor, values: Tensor) -> None:
            off.append(misplaced(self._cache, layer, slots, positions, keys, values))

        logits = self._pass(tokens, slots, positions, wanted, compare)
        return logits, torch.tensor(off).max().item()  # Python's maximum may lose a NaN

    @torch.inference_mode()
    def _pass(self, tokens: Ints, slots: Ints, positions: Ints, wanted: Ints, put: Put | None) -> Tensor:
        token, slot, position, row = map(self._indices, (tokens, slots, positions, wanted))
        w = self._weights
        x = w.embedding.rows_of(0, token)  # [M, width]
        for layer in range(w.shape.layers):
            x = x + F.linear(self._attention(layer, x, slot, position, put), w.out.dequantize(layer))
            normed = self._norm(x, w.ffn_norm[layer])
            gate, up = F.linear(normed, w.gate_up.dequantize(layer)).chunk(2, dim=1)
            x = x + F.linear(F.silu(gate) * up, w.down.dequantize(layer))
        if not len(row):  # the head is the largest matrix
            return x.new_empty(0, w.shape.vocabulary)
        last = self._norm(x[row], w.output_norm)
        return F.linear(last, w.head.dequantize(0))

    def _indices(self, x: Ints) -> Tensor:
        return torch.from_numpy(np.asarray(x, np.int64)).to(self._device)

    def _norm(self, x: Tensor, weight: Tensor) -> Tensor:
        return F.rms_norm(x, weight.shape, weight, self._weights.shape.norm_eps)

    def _attention(self, layer: int, x: Tensor, slots: Tensor, positions: Tensor, put: Put | None) -> Tensor:
        """Rows [M, heads * head dim], which read the cache after `put`; without it, their own beside it."""
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
        if put is not None:
            put(layer, slots[real], positions[real], k[real], v[real])
        out = torch.zeros_like(q)
        for slot in set(slots[real].tolist()):
            rows = (real & (slots == slot)).nonzero()[:, 0]
            own = (k[rows], v[rows]) if put is None else None
            out[rows] = self._of_slot(layer, slot, q[rows], positions[rows], own)
        return out.flatten(1)

    def _of_slot(
        self, layer: int, slot: int, q: Tensor, positions: Tensor, own: tuple[Tensor, Tensor] | None
    ) -> Tensor:
        """Attention of rows [m, heads, head dim] of one slot, each of which sees the tokens up to its own.

        `own` are keys and values [m, kv heads, head dim] that take the place of the rows' in the cache.
        """
        length = int(positions.max()) + 1
        keys, values = self._cache.gather(layer, slot, length)  # [kv heads, length, head dim]
        if own is not None:
            keys[:, positions], values[:, positions] = (part.transpose(0, 1) for part in own)
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


def misplaced(
    cache: PagedCache, layer: int, slots: Tensor, positions: Tensor, keys: Tensor, values: Tensor
) -> float:
    """How far what is stored for rows (int64 [M]) lies from their keys and values [M, kv heads, head dim].

    Relative, and the larger of the two. What rounding to int8 explains is not counted: only how far outside
    of what its code stands for a number is.
    """
    pages = cache.table[slots, positions // PAGE].long()
    off = []
    for i, (part, x) in enumerate(((cache.keys, keys), (cache.values, values))):
        found = part[layer][pages, :, positions % PAGE].float()
        if cache.scales is None:
            beyond = found - x
        else:
            scales, endless = cache.scales[layer, i], torch.full_like(found, torch.inf)
            steps = x / scales
            least = torch.where(found <= -127, -endless, found - 0.5)
            most = torch.where(found >= 127, endless, found + 0.5)
            beyond = (steps - steps.clamp(least, most)) * scales
        off.append(beyond.norm() / x.norm())
    return torch.stack(off).max().item()
