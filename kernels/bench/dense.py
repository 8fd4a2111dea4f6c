"""A llama in plain torch with a static cache, as one writes it for `torch.compile`: a rival of ours."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  # torch's own name for it

from kernels.bench.models import Sequences
from kernels.formats.llama import Shape, Weights


class Layer(nn.Module):
    """Weights and cache of one layer, as buffers: a compiled graph then takes their addresses as fixed."""

    qkv: Tensor
    out: Tensor
    gate_up: Tensor
    down: Tensor
    attn_norm: Tensor
    ffn_norm: Tensor
    keys: Tensor  # [B, kv heads, S, D]
    values: Tensor

    def __init__(self, weights: Weights, layer: int, keys: Tensor, values: Tensor) -> None:
        super().__init__()
        for name in ("qkv", "out", "gate_up", "down"):
            self.register_buffer(name, getattr(weights, name).dequantize(layer).to(keys.dtype))
        for name in ("attn_norm", "ffn_norm"):
            self.register_buffer(name, getattr(weights, name)[layer].to(keys.dtype))
        self.register_buffer("keys", keys)
        self.register_buffer("values", values)
        self.shape: Shape = weights.shape

    def forward(self, x: Tensor, positions: Tensor, cos: Tensor, sin: Tensor, seen: Tensor) -> Tensor:
        """One pass of x [B, T, width] at positions [T]; puts keys and values into the cache."""
        x = x + self._attention(self._norm(x, self.attn_norm), positions, cos, sin, seen)
        gate, up = F.linear(self._norm(x, self.ffn_norm), self.gate_up).chunk(2, dim=-1)
        return x + F.linear(F.silu(gate) * up, self.down)

    def _norm(self, x: Tensor, weight: Tensor) -> Tensor:
        return F.rms_norm(x, weight.shape, weight, self.shape.norm_eps)

    def _attention(self, x: Tensor, positions: Tensor, cos: Tensor, sin: Tensor, seen: Tensor) -> Tensor:
        s, (b, t) = self.shape, x.shape[:2]
        heads = F.linear(x, self.qkv).view(b, t, -1, s.head_dim).transpose(1, 2)
        q, k, v = heads.tensor_split([s.heads, s.heads + s.kv_heads], dim=1)
        self.keys.index_copy_(2, positions, rotate(k, cos, sin))
        self.values.index_copy_(2, positions, v)
        # Repeated, as with a mask only torch's slow path takes heads in groups.
        every_k, every_v = (part.repeat_interleave(s.group, dim=1) for part in (self.keys, self.values))
        out = F.scaled_dot_product_attention(rotate(q, cos, sin), every_k, every_v, attn_mask=seen)
        return F.linear(out.transpose(1, 2).flatten(2), self.out)


class Llama(nn.Module):
    """The whole of it, with the weights of ours as they are meant, and the same first tokens in its cache."""

    embedding: Tensor
    head: Tensor
    norm: Tensor
    cos: Tensor
    sin: Tensor
    keys: Tensor  # [S]: the place of each

    def __init__(
        self, weights: Weights, there: Sequences, context: int, length: int, dtype: torch.dtype
    ) -> None:
        super().__init__()
        plain = (plain_cache(there, layer, context, length, dtype) for layer in range(weights.shape.layers))
        self.layers = nn.ModuleList(Layer(weights, i, *cache) for i, cache in enumerate(plain))
        self.register_buffer("embedding", weights.embedding.dequantize(0).to(dtype))
        self.register_buffer("head", weights.head.dequantize(0).to(dtype))
        self.register_buffer("norm", weights.output_norm.to(dtype))
        self.register_buffer("cos", weights.cos.to(dtype))
        self.register_buffer("sin", weights.sin.to(dtype))
        self.register_buffer("keys", torch.arange(length, device=weights.cos.device))
        self.norm_eps = weights.shape.norm_eps

    def forward(self, tokens: Tensor, positions: Tensor, wanted: int) -> Tensor:
        """Logits [B, wanted, vocabulary] of the last of tokens [B, T], int64, at positions [T], int64."""
        x = F.embedding(tokens, self.embedding)
        cos, sin = self.cos[positions], self.sin[positions]
        seen = self.keys <= positions[:, None]  # bool [T, S]
        for layer in self.layers:
            x = layer(x, positions, cos, sin, seen)
        last = F.rms_norm(x[:, -wanted:], self.norm.shape, self.norm, self.norm_eps)
        return F.linear(last, self.head)


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotary embedding of x [B, heads, T, D], channels 2i and 2i + 1 by angles [T, D / 2]."""
    even, odd = x[..., 0::2], x[..., 1::2]
    return torch.stack([even * cos - odd * sin, odd * cos + even * sin], dim=-1).flatten(-2)


def plain_cache(
    there: Sequences, layer: int, context: int, length: int, dtype: torch.dtype
) -> tuple[Tensor, Tensor]:
    """Keys and values of all sequences, as they are meant, [slots, kv heads, length, D]; zeros behind."""
    slots = range(len(there.cache.table))
    each = [there.cache.gather(layer, slot, context) for slot in slots]
    keys, values = (torch.stack(part).to(dtype) for part in zip(*each, strict=True))
    return F.pad(keys, (0, 0, 0, length - context)), F.pad(values, (0, 0, 0, length - context))
