"""What the persistent llama kernel is given: pointers, in tuples, and the sizes it is compiled for."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from kernels.llama_gpu import PAGE, PagedCache, Shape, Weights
from kernels.quantized import BLOCK, Quantized

_COPIES = 4
"""Of each word, for a part of the programs each: where all read one, they wait in line."""


class Matrix(NamedTuple):
    """A `Quantized`."""

    codes: Tensor  # int32: a block is `bits` words
    scales: Tensor
    minima: Tensor | None


class WeightPointers(NamedTuple):
    """`llama_gpu.Weights`, in the order in which a step needs them."""

    embedding: Matrix
    attn_norm: Tensor
    qkv: Matrix
    qkv_bias: Tensor | None
    out: Matrix
    ffn_norm: Tensor
    gate_up: Matrix
    down: Matrix
    output_norm: Tensor
    head: Matrix
    cos: Tensor
    sin: Tensor


class CachePointers(NamedTuple):
    """`llama_gpu.PagedCache`. A field of a tuple that Triton takes apart cannot be called `values`."""

    k: Tensor
    v: Tensor
    scales: Tensor | None
    table: Tensor


@dataclass(frozen=True)
class Product:
    """How programs share a product with a quantized matrix: each has `share` neighbouring rows."""

    bits: int
    rows: int
    row_blocks: int  # blocks of a row of the matrix
    blocks: int  # of them multiplied; the rest is others'
    share: int
    tile: int  # rows loaded at once, a power of two

    @property
    def lanes(self) -> int:
        """The power of two at or above `blocks`."""
        return _power_of_two(self.blocks)


@dataclass(frozen=True)
class Sizes:
    """Of a model and its cache, and how `programs` share the work."""

    shape: Shape
    programs: int
    copies: int  # of each word
    embedding_bits: int
    qkv: Product
    out: Product  # with the heads of one group
    out_parts: int  # programs of a group
    gate_up: Product  # its rows are gate's; up's are as many further on
    down: Product
    head: Product
    tile_keys: int  # keys looked at at once, a power of two
    pages: int
    slot_pages: int  # of a sequence, at most

    @property
    def page(self) -> int:
        """Tokens of a page."""
        return PAGE

    @property
    def width_padded(self) -> int:
        """The power of two at or above the width."""
        return _power_of_two(self.shape.width)

    @property
    def hidden_padded(self) -> int:
        """The power of two at or above the hidden width."""
        return _power_of_two(self.shape.hidden)

    @property
    def programs_padded(self) -> int:
        """The power of two at or above the programs."""
        return _power_of_two(self.programs)

    # Where words begin. A copy has those of a layer of even number, of one of odd number, and the choices;
    # a layer has q, k and v, the out product, silu(gate) * up, and the down product.

    @property
    def out_words(self) -> int:
        """Of the out product, in a layer: `width` of each group of heads."""
        return self.shape.qkv_rows

    @property
    def hidden_words(self) -> int:
        """Of silu(gate) * up, in a layer."""
        return self.out_words + self.shape.kv_heads * self.shape.width

    @property
    def down_words(self) -> int:
        """Of the down product, in a layer."""
        return self.hidden_words + self.shape.hidden

    @property
    def layer_words(self) -> int:
        """How many a layer has."""
        return self.down_words + self.shape.width

    @property
    def choice_words(self) -> int:
        """Of the choices, in a copy: four of each program."""
        return 2 * self.layer_words

    @property
    def copy_words(self) -> int:
        """How many a copy has."""
        return self.choice_words + 4 * self.programs


def weight_pointers(w: Weights) -> WeightPointers:
    """The pointers to a model."""
    return WeightPointers(
        embedding=_matrix(w.embedding),
        attn_norm=w.attn_norm,
        qkv=_matrix(w.qkv),
        qkv_bias=w.qkv_bias,
        out=_matrix(w.out),
        ffn_norm=w.ffn_norm,
        gate_up=_matrix(w.gate_up),
        down=_matrix(w.down),
        output_norm=w.output_norm,
        head=_matrix(w.head),
        cos=w.cos,
        sin=w.sin,
    )


def cache_pointers(cache: PagedCache) -> CachePointers:
    """The pointers to a cache."""
    return CachePointers(cache.keys, cache.values, cache.scales, cache.table)


def sizes(w: Weights, cache: PagedCache, most: int) -> Sizes:
    """The sizes of a model and its cache, and the shares of at most so many programs.

    Each program has some rows of gate and up: as all others need them, none gets two layers ahead of it.
    """
    s = w.shape
    programs = _ceil(s.hidden, _ceil(s.hidden, most))
    parts = max(1, min(s.width, programs // s.kv_heads))
    width_blocks, group_blocks = s.width // BLOCK, s.group * s.head_dim // BLOCK
    return Sizes(
        shape=s,
        programs=programs,
        # Each copy is written by one of the threads that hold a row's blocks.
        copies=min(_COPIES, _power_of_two(width_blocks), _power_of_two(group_blocks)),
        embedding_bits=w.embedding.bits,
        qkv=_shared(w.qkv, s.qkv_rows, width_blocks, programs),
        out=_shared(w.out, s.width, group_blocks, parts),
        out_parts=parts,
        gate_up=_shared(w.gate_up, s.hidden, width_blocks, programs),
        down=_shared(w.down, s.width, s.hidden // BLOCK, programs),
        head=_shared(w.head, s.vocabulary, width_blocks, programs, tile=32),
        tile_keys=128,
        pages=cache.keys.shape[1],
        slot_pages=cache.table.shape[1],
    )


def _matrix(weights: Quantized) -> Matrix:
    return Matrix(weights.codes.view(torch.int32), weights.scales, weights.minima)


def _shared(w: Quantized, rows: int, blocks: int, programs: int, tile: int | None = None) -> Product:
    share = _ceil(rows, programs)
    return Product(w.bits, rows, w.columns // BLOCK, blocks, share, tile or _power_of_two(share))


def _ceil(a: int, b: int) -> int:
    return -(-a // b)


def _power_of_two(n: int) -> int:
    """The power of two at or above n."""
    return 1 << (n - 1).bit_length()
