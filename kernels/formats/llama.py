"""A llama-like model on a GPU: its weights, the paged cache of keys and values, and the rows of a pass."""

from dataclasses import dataclass

import torch
from torch import Tensor

from kernels.checks import check_tensor
from kernels.formats.quantized import Quantized

PAGE = 32
"""Tokens of a page of the cache."""


@dataclass(frozen=True)
class Shape:
    """Sizes and constants of a model."""

    layers: int
    width: int
    heads: int
    kv_heads: int
    head_dim: int
    hidden: int
    vocabulary: int
    norm_eps: float = 1e-5

    @property
    def group(self) -> int:
        """Query heads that share a head of keys and values."""
        return self.heads // self.kv_heads

    @property
    def qkv_rows(self) -> int:
        """Rows of q, k and v together."""
        return (self.heads + 2 * self.kv_heads) * self.head_dim


@dataclass(frozen=True)
class Weights:
    """The weights of all layers. Channels 2i and 2i + 1 of a head of q and k are rotated together.

    `qkv` has the rows of q, then k, then v; `gate_up` those of gate, then of up.
    """

    shape: Shape
    embedding: Quantized  # [1, vocabulary, width]
    attn_norm: Tensor  # float32 [L, width]
    qkv: Quantized  # [L, qkv_rows, width]
    out: Quantized  # [L, width, heads * head_dim]
    ffn_norm: Tensor  # float32 [L, width]
    gate_up: Quantized  # [L, 2 * hidden, width]
    down: Quantized  # [L, width, hidden]
    output_norm: Tensor  # float32 [width]
    head: Quantized  # [1, vocabulary, width]; may be the embedding
    cos: Tensor  # float32 [context, head_dim / 2]
    sin: Tensor
    qkv_bias: Tensor | None = None  # float32 [L, qkv_rows]
    q_norm: Tensor | None = None  # float32 [L, head_dim]: of each head, before the rotation
    k_norm: Tensor | None = None

    @property
    def token_bytes(self) -> int:
        """What a token must read of the weights: each layer and the head once."""
        layers = (self.qkv, self.out, self.gate_up, self.down)
        return self.shape.layers * sum(w.layer_bytes for w in layers) + self.head.layer_bytes


@dataclass(frozen=True)
class PagedCache:
    """Keys (rotated) and values in pages that sequences may share.

    Token t of the sequence in `slot` lies in page table[slot, t // PAGE], at t % PAGE. With int8, a key or
    value is code * scale of its layer, head and channel.
    """

    keys: Tensor  # float16 or int8 [L, pages, kv heads, PAGE, head_dim]
    values: Tensor
    table: Tensor  # int32 [slots, pages of a sequence at most]
    scales: Tensor | None = None  # float32 [L, 2 (keys, values), kv heads, head_dim]; int8 only

    def gather(self, layer: int, slot: int, length: int) -> tuple[Tensor, Tensor]:
        """The first `length` keys and values of a sequence: float32 [kv heads, length, head_dim] each."""
        pages = self.table[slot, : -(-length // PAGE)].long()
        found = []
        for i, part in enumerate((self.keys, self.values)):
            tokens = part[layer, pages].transpose(0, 1).flatten(1, 2)[:, :length].float()
            found.append(tokens if self.scales is None else tokens * self.scales[layer, i][:, None])
        return found[0], found[1]

    def store(self, layer: int, slot: int, position: int, key: Tensor, value: Tensor) -> None:
        """Put one token's key (rotated) and value, float [kv heads, head_dim] each, where it belongs."""
        page, at = self.table[slot, position // PAGE], position % PAGE
        for i, (part, x) in enumerate(((self.keys, key), (self.values, value))):
            codes = x if self.scales is None else (x / self.scales[layer, i]).round().clamp(-127, 127)
            part[layer, page, :, at] = codes.to(part.dtype)


@dataclass(frozen=True)
class Rows:
    """The tokens of a pass: one row each, of any sequences. A row with position -1 is padding."""

    tokens: Tensor  # int32 [M]
    slots: Tensor  # int32 [M]
    positions: Tensor  # int32 [M]


def empty_cache(
    shape: Shape, *, slots: int, context: int, pages: int, device: torch.device, scales: Tensor | None = None
) -> PagedCache:
    """A cache of `pages` pages, int8 if there are `scales`, else float16; the table is all zeros."""
    size = (shape.layers, pages, shape.kv_heads, PAGE, shape.head_dim)
    dtype = torch.float16 if scales is None else torch.int8
    keys, values = (torch.zeros(size, dtype=dtype, device=device) for _ in range(2))
    table = torch.zeros(slots, -(-context // PAGE), dtype=torch.int32, device=device)
    return PagedCache(keys, values, table, scales)


def check_cache(cache: PagedCache, layer: int, rows: Rows, m: int, device: torch.device) -> None:
    """Raise ValueError unless the cache is whole, has that layer, and the rows are M, all on the device."""
    layers, _, kv_heads, page, d = cache.keys.shape
    wanted = {
        "keys": (cache.keys, torch.float16 if cache.scales is None else torch.int8, tuple(cache.keys.shape)),
        "values": (cache.values, cache.keys.dtype, tuple(cache.keys.shape)),
        "table": (cache.table, torch.int32, tuple(cache.table.shape)),
        "slots": (rows.slots, torch.int32, (m,)),
        "positions": (rows.positions, torch.int32, (m,)),
    }
    if cache.scales is not None:
        wanted["scales"] = cache.scales, torch.float32, (layers, 2, kv_heads, d)
    for name, (x, dtype, shape) in wanted.items():
        check_tensor(name, x, dtype, shape, device)
    if page != PAGE:
        raise ValueError(f"pages are of {page} tokens: must be {PAGE}")
    if not 0 <= layer < layers:
        raise ValueError(f"layer {layer}: the cache has {layers}")
