"""llama, qwen2 and qwen3 in plain torch: the reference that every engine is compared with."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F  # noqa: N812  # torch's own name for it

from llm.decode.engine import ContextFull
from llm.gguf.config import LlamaConfig, Rotary, layer_shapes, read_config
from llm.gguf.file import GgufFile


class KvCache:
    """Keys and values of up to `capacity` tokens, [layers, kv heads, capacity, head dim] each.

    `tokens` are the ids whose keys and values the cache holds, in order.
    """

    def __init__(self, config: LlamaConfig, capacity: int, dtype: torch.dtype) -> None:
        shape = (config.layers, config.kv_heads, capacity, config.head_dim)
        self.keys = torch.empty(shape, dtype=dtype)
        self.values = torch.empty(shape, dtype=dtype)
        self.tokens: list[int] = []


@dataclass(frozen=True)
class Layer:
    """The weights of one block, [out, in] each; what the architecture does not have is None."""

    attn_norm: Tensor
    attn_q: Tensor
    attn_k: Tensor
    attn_v: Tensor
    attn_output: Tensor
    ffn_norm: Tensor
    ffn_gate: Tensor
    ffn_up: Tensor
    ffn_down: Tensor
    attn_q_bias: Tensor | None = None
    attn_k_bias: Tensor | None = None
    attn_v_bias: Tensor | None = None
    attn_q_norm: Tensor | None = None  # [head dim]
    attn_k_norm: Tensor | None = None


class Llama:
    """Embedding, blocks and head, dequantized to `dtype`; float32 is the reference."""

    def __init__(self, gguf: GgufFile, dtype: torch.dtype = torch.float32) -> None:
        self.config, self.dtype = read_config(gguf), dtype
        self.embedding = _tensor(gguf, "token_embd.weight", dtype)  # [vocabulary, width]
        tied = "output.weight" not in gguf.tensors
        self.head = self.embedding if tied else _tensor(gguf, "output.weight", dtype)
        self.output_norm = _tensor(gguf, "output_norm.weight", dtype)
        self.layers = [_layer(gguf, self.config, i, dtype) for i in range(self.config.layers)]
        self._frequencies = _rope_frequencies(gguf, self.config)

    @torch.inference_mode()
    def forward(self, tokens: list[int], cache: KvCache, logits_from: int) -> Tensor:
        """Append `tokens` to `cache`; logits [tokens - logits_from, vocabulary] of the later ones."""
        start, end = len(cache.tokens), len(cache.tokens) + len(tokens)
        angles = torch.arange(start, end)[:, None] * self._frequencies  # [T, head dim / 2]
        rotation = torch.polar(torch.ones_like(angles), angles)
        x = F.embedding(torch.tensor(tokens), self.embedding)  # [T, width]
        for i, layer in enumerate(self.layers):
            keys, values = cache.keys[i, :, :end], cache.values[i, :, :end]
            x = x + self._attention(layer, self._norm(x, layer.attn_norm), rotation, keys, values)
            x = x + _feed_forward(layer, self._norm(x, layer.ffn_norm))
        cache.tokens.extend(tokens)
        return F.linear(self._norm(x[logits_from:], self.output_norm), self.head).float()

    def _norm(self, x: Tensor, weight: Tensor) -> Tensor:
        return F.rms_norm(x, weight.shape, weight, self.config.norm_eps)

    def _attention(self, layer: Layer, x: Tensor, rotation: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """Grouped-query attention of x [T, width] over keys and values [kv heads, end, head dim]."""
        q = _project(x, layer.attn_q, layer.attn_q_bias, self.config.head_dim)  # [H, T, D]
        k = _project(x, layer.attn_k, layer.attn_k_bias, self.config.head_dim)
        if layer.attn_q_norm is not None and layer.attn_k_norm is not None:
            q, k = self._norm(q, layer.attn_q_norm), self._norm(k, layer.attn_k_norm)
        q = _rotate(q, rotation, self.config.rotary)
        keys[:, -len(x) :] = _rotate(k, rotation, self.config.rotary)
        values[:, -len(x) :] = _project(x, layer.attn_v, layer.attn_v_bias, self.config.head_dim)
        mask = _causal_mask(len(x), keys.shape[1])
        out = F.scaled_dot_product_attention(q[None], keys[None], values[None], mask, enable_gqa=True)
        return F.linear(out[0].transpose(0, 1).flatten(1), layer.attn_output)


class TorchEngine:
    """The reference model, with a cache of the model's own dtype."""

    def __init__(self, model: Llama, context: int) -> None:
        self.context = min(context, model.config.context)
        self._model = model
        self._cache = KvCache(model.config, self.context, model.dtype)

    @property
    def tokens(self) -> Sequence[int]:
        """See Engine."""
        return self._cache.tokens

    def extend(self, tokens: Sequence[int], logits_for: int = 1) -> NDArray[np.float32]:
        """See Engine."""
        if len(self.tokens) + len(tokens) > self.context:
            raise ContextFull(len(self.tokens) + len(tokens), self.context)
        if not tokens:
            return np.empty((0, self._model.config.vocabulary), np.float32)
        logits: NDArray[np.float32] = self._model.forward(
            list(tokens), self._cache, len(tokens) - logits_for
        ).numpy()
        return logits

    def truncate(self, length: int) -> None:
        """See Engine."""
        del self._cache.tokens[length:]

    def shift(self, start: int, stop: int) -> None:
        """See Engine; the reference reads anew what lay behind, as if what is cut had never been there."""
        behind = list(self.tokens[stop:])
        self.truncate(start)
        if behind:
            self.extend(behind, 0)


def _tensor(gguf: GgufFile, name: str, dtype: torch.dtype) -> Tensor:
    return torch.from_numpy(gguf.tensor(name)).to(dtype)


def _layer(gguf: GgufFile, config: LlamaConfig, i: int, dtype: torch.dtype) -> Layer:
    """Block `i`: `attn_q.weight` is the field attn_q, `attn_q.bias` attn_q_bias."""
    fields = {name: name.removesuffix(".weight").replace(".", "_") for name in layer_shapes(config)}
    return Layer(**{field: _tensor(gguf, f"blk.{i}.{name}", dtype) for name, field in fields.items()})


def _rope_frequencies(gguf: GgufFile, config: LlamaConfig) -> Tensor:
    """Radians a position, [head dim / 2]; Llama 3 files scale them by a tensor of their own."""
    exponents = torch.arange(0, config.head_dim, 2, dtype=torch.float32) / config.head_dim
    frequencies = config.rope_base**-exponents
    if "rope_freqs.weight" not in gguf.tensors:
        return frequencies
    return frequencies / _tensor(gguf, "rope_freqs.weight", torch.float32)


def _project(x: Tensor, weight: Tensor, bias: Tensor | None, head_dim: int) -> Tensor:
    """x [T, width] to the heads that `weight` makes of it, [heads, T, head dim]."""
    return F.linear(x, weight, bias).view(len(x), -1, head_dim).transpose(0, 1)


def _rotate(x: Tensor, rotation: Tensor, rotary: Rotary) -> Tensor:
    """Rotary embedding of x [heads, T, head dim]: two channels of a head are one complex number."""
    if rotary == "half":
        turned = torch.complex(*x.float().chunk(2, dim=2)) * rotation
        return torch.cat([turned.real, turned.imag], dim=2).to(x.dtype)
    pairs = torch.view_as_complex(x.float().reshape(*x.shape[:2], -1, 2))
    return torch.view_as_real(pairs * rotation).flatten(2).to(x.dtype)


def _causal_mask(queries: int, keys: int) -> Tensor | None:
    """[queries, keys], True where a query may look; a single query sees everything."""
    if queries == 1:
        return None
    return torch.ones(queries, keys, dtype=torch.bool).tril(keys - queries)


def _feed_forward(layer: Layer, x: Tensor) -> Tensor:
    gated: Tensor = F.silu(F.linear(x, layer.ffn_gate)) * F.linear(x, layer.ffn_up)
    return F.linear(gated, layer.ffn_down)
