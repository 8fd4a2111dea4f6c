"""A llama model in plain torch over batches, with frozen float32 weights and room for an adapter.

Rows of q and k lie as in Hugging Face's checkpoints (halves of a head are rotated together), not as in the
file (neighbours), so that an adapter trained here is one for the checkpoint, too.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812  # torch's own name for it

from llm.gguf.config import LlamaConfig, layer_shapes, read_config
from llm.gguf.file import GgufError, GgufFile
from llm.gguf.rope import rope_frequencies

PROJECTIONS: Mapping[str, str] = {
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
"""The matrices of a layer: their names in a GGUF file and in Hugging Face's checkpoints."""


class Delta(Protocol):
    """What an adapter adds to a projection's output."""

    def __call__(self, layer: int, name: str, x: Tensor) -> Tensor:
        """x [..., in] -> [..., out]."""
        ...


class Cache:
    """Keys and values of all layers, [B, kv heads, T, head dim] each, growing."""

    def __init__(self) -> None:
        self._held: dict[int, tuple[Tensor, Tensor]] = {}

    def append(self, layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Everything that is held of a layer, with these behind it."""
        if layer in self._held:
            before = self._held[layer]
            keys, values = torch.cat([before[0], keys], 2), torch.cat([before[1], values], 2)
        self._held[layer] = keys, values
        return keys, values


@dataclass(frozen=True)
class Llama:
    """Weights [out, in] by their names in the file, without `.weight`."""

    config: LlamaConfig
    embedding: Tensor  # [vocabulary, width]
    head: Tensor  # [vocabulary, width]
    output_norm: Tensor
    layers: tuple[Mapping[str, Tensor], ...]
    frequencies: Tensor  # [head dim / 2], radians a position

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.embedding.device

    def hidden(
        self,
        ids: Tensor,  # [B, T]
        delta: Delta | None = None,
        *,
        positions: Tensor | None = None,  # [B, T]
        mask: Tensor | None = None,  # [B, 1, T, keys], True where a query may look
        cache: Cache | None = None,
    ) -> Tensor:
        """What the head reads, [B, T, width]. Without a mask a token sees itself and those before it."""
        if positions is None:
            positions = torch.arange(ids.shape[1], device=ids.device)[None]
        angles = positions[:, None, :, None] * self.frequencies  # [B, 1, T, head dim / 2]
        rotation = angles.cos(), angles.sin()
        x = F.embedding(ids, self.embedding)
        for i, layer in enumerate(self.layers):
            x = x + self._attention(i, self._norm(x, layer["attn_norm"]), rotation, delta, mask, cache)
            x = x + self._feed_forward(i, self._norm(x, layer["ffn_norm"]), delta)
        return self._norm(x, self.output_norm)

    def logits(self, hidden: Tensor) -> Tensor:
        """Float32, [..., vocabulary]."""
        return F.linear(hidden, self.head).float()

    def _norm(self, x: Tensor, weight: Tensor) -> Tensor:
        return F.rms_norm(x, weight.shape, weight, self.config.norm_eps)

    def _project(self, layer: int, name: str, x: Tensor, delta: Delta | None) -> Tensor:
        out = F.linear(x, self.layers[layer][name])
        return out if delta is None else out + delta(layer, name, x)

    def _attention(
        self,
        layer: int,
        x: Tensor,
        rotation: tuple[Tensor, Tensor],
        delta: Delta | None,
        mask: Tensor | None,
        cache: Cache | None,
    ) -> Tensor:
        q, k, v = (
            self._project(layer, name, x, delta).view(*x.shape[:2], -1, self.config.head_dim).transpose(1, 2)
            for name in ("attn_q", "attn_k", "attn_v")
        )  # [B, heads, T, head dim]
        q, k = _rotate(q, rotation).to(v.dtype), _rotate(k, rotation).to(v.dtype)
        if cache is not None:
            k, v = cache.append(layer, k, v)
        out = F.scaled_dot_product_attention(q, k, v, mask, is_causal=mask is None, enable_gqa=True)
        return self._project(layer, "attn_output", out.transpose(1, 2).flatten(2), delta)

    def _feed_forward(self, layer: int, x: Tensor, delta: Delta | None) -> Tensor:
        gate, up = (self._project(layer, name, x, delta) for name in ("ffn_gate", "ffn_up"))
        return self._project(layer, "ffn_down", F.silu(gate) * up, delta)


def read_llama(gguf: GgufFile, device: torch.device) -> Llama:
    """Dequantize a file of the architecture llama; raise GgufError for another."""
    config = read_config(gguf)
    if config.rotary != "interleaved" or config.qkv_bias or config.qk_norm:
        raise GgufError(gguf.path, None, "only models of the architecture 'llama' can be trained")

    def read(name: str) -> Tensor:
        return torch.from_numpy(gguf.tensor(f"{name}.weight")).to(device)

    def layer(i: int) -> Mapping[str, Tensor]:
        names = [name.removesuffix(".weight") for name in layer_shapes(config)]
        return {name: _checkpoint_order(name, read(f"blk.{i}.{name}"), config) for name in names}

    embedding = read("token_embd")
    return Llama(
        config,
        embedding,
        read("output") if "output.weight" in gguf.tensors else embedding,
        read("output_norm"),
        tuple(map(layer, range(config.layers))),
        torch.from_numpy(rope_frequencies(gguf, config)).float().to(device),
    )


def projection_shapes(config: LlamaConfig) -> dict[str, tuple[int, int]]:
    """Rows and columns of each of PROJECTIONS."""
    shapes = layer_shapes(config)
    return {name: (shapes[f"{name}.weight"][0], shapes[f"{name}.weight"][1]) for name in PROJECTIONS}


def _checkpoint_order(name: str, weight: Tensor, config: LlamaConfig) -> Tensor:
    """Rows of q and k put where the checkpoint has them (`permute` in llama.cpp's convert_hf_to_gguf.py)."""
    if name not in ("attn_q", "attn_k"):
        return weight
    return weight.view(-1, config.head_dim // 2, 2, weight.shape[1]).transpose(1, 2).reshape(weight.shape)


def _rotate(x: Tensor, rotation: tuple[Tensor, Tensor]) -> Tensor:
    """Rotary embedding of x [B, heads, T, head dim], halves of a head together, in float32."""
    (left, right), (cos, sin) = x.float().chunk(2, dim=3), rotation
    return torch.cat([left * cos - right * sin, left * sin + right * cos], dim=3)
