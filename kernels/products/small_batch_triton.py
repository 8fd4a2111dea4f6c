"""The Triton kernels of `small_batch.py`: a program per some rows of a matrix and some tokens."""

# mypy: disable-error-code="no-untyped-def, untyped-decorator"
# ruff: noqa: ANN001, ANN202, N803, N806  (a kernel's arguments are Triton's, and its constants are capitals)

import torch
import triton
import triton.language as tl
from torch import Tensor

from kernels.device import on_device
from kernels.formats.fragments import Fragments
from kernels.formats.fragments_triton import (
    PAIRS_OF_TILES,
    ROWS_ALONE,
    first_steps,
    fragment_products,
    in_order,
    mean_square,
    store_fragments,
    store_squares,
    wait_for_last,
)
from kernels.formats.quantized import Quantized
from kernels.products.small_batch_tiles import choose_tile, compiled_for, grid_of, its_tokens, words_of
from kernels.sampling.sample_triton import keep_best
from kernels.sampling.state import TILE, SamplingState


@triton.jit(do_not_specialize=["tokens", "zero"])
def _add(
    stream,
    fragments,
    next_squares,
    words,
    next_norm,
    codes,
    pairs,
    tokens,
    zero,
    ROWS: tl.constexpr,
    TILE: tl.constexpr,
    COLUMNS: tl.constexpr,
    BITS: tl.constexpr,
    TOKENS: tl.constexpr,
    WARPS: tl.constexpr,
    PDL: tl.constexpr,
):
    """Tiles of TILE channels of the stream: the product added, and fragments times the next norm stored."""
    token, there = its_tokens(tokens, TOKENS)
    x = (words, None, tl.program_id(0) * TOKENS, tokens, None)
    matrix = (codes, pairs, zero)
    tile = tl.program_id(1)
    begun = first_steps(matrix, tile, COLUMNS, BITS, TILE, WARPS, 8, ROWS)
    # Nothing just before this kernel writes the stream.
    before, norm = _stream_of(stream, next_norm, tile, token, there, ROWS, TILE)
    wait_for_last(PDL)
    result, _ = fragment_products(begun, x, zero, COLUMNS, BITS, TOKENS, TILE, WARPS, 8, ROWS, False)
    added = before + in_order(result, pairs, zero, ROWS_ALONE)
    _keep(stream, fragments, next_squares, added, norm, tile, token, there, tokens, ROWS, TILE)


@triton.jit
def _stream_of(stream, norm, tile, token, there, ROWS: tl.constexpr, TILE: tl.constexpr):
    """A tile of the stream, and of the weights of a norm."""
    rows = tile * TILE + tl.arange(0, TILE)
    at = stream + token[:, None] * ROWS + rows[None, :]
    x = tl.load(at, mask=there[:, None] & (rows < ROWS)[None, :], other=0.0)
    return x, tl.load(norm + rows, mask=rows < ROWS, other=0.0)


@triton.jit
def _keep(
    stream, fragments, squares, x, norm, tile, token, there, tokens, ROWS: tl.constexpr, TILE: tl.constexpr
):
    """Store a tile of the stream, and its fragments."""
    rows = tile * TILE + tl.arange(0, TILE)
    live = there[:, None] & (rows < ROWS)[None, :]
    tl.store(stream + token[:, None] * ROWS + rows[None, :], x, mask=live)
    store_fragments(fragments, token[:, None], rows[None, :], x * norm[None, :], live, ROWS)
    TOKENS: tl.constexpr = x.shape[0]
    GROUPS: tl.constexpr = TILE // 16
    number = tl.arange(0, TOKENS * GROUPS)
    row, group = tl.program_id(0) * TOKENS + number // GROUPS, tile * GROUPS + number % GROUPS
    x = tl.reshape(x, [TOKENS * GROUPS, 16])
    store_squares(squares, row, group, x, (row < tokens) & (group * 16 < ROWS), ROWS)


@triton.jit(do_not_specialize=["tokens", "zero"])
def _gate_up(
    fragments,
    words,
    squares,
    codes,
    pairs,
    tokens,
    eps,
    zero,
    HIDDEN: tl.constexpr,
    TILE: tl.constexpr,
    COLUMNS: tl.constexpr,
    BITS: tl.constexpr,
    TOKENS: tl.constexpr,
    WARPS: tl.constexpr,
    PDL: tl.constexpr,
):
    """Tiles of TILE / 2 hidden activations, from as many rows of gate and of up."""
    token, there = its_tokens(tokens, TOKENS)
    x = (words, squares, tl.program_id(0) * TOKENS, tokens, None)
    matrix = (codes, pairs, zero)
    tile = tl.program_id(1)
    begun = first_steps(matrix, tile, COLUMNS, BITS, TILE, WARPS, HIDDEN, HIDDEN)
    wait_for_last(PDL)
    result, sum_of_squares = fragment_products(
        begun, x, zero, COLUMNS, BITS, TOKENS, TILE, WARPS, HIDDEN, HIDDEN, True
    )
    gate, up = tl.split(in_order(result, pairs, zero, PAIRS_OF_TILES))
    factor = tl.rsqrt(mean_square(sum_of_squares, pairs, zero, gate.shape, COLUMNS) + eps)
    gate, up = gate * factor, up * factor
    column = tile * (TILE // 2) + tl.arange(0, TILE // 2)
    live = there[:, None] & (column < HIDDEN)[None, :]
    store_fragments(fragments, token[:, None], column[None, :], gate * tl.sigmoid(gate) * up, live, HIDDEN)


@triton.jit(do_not_specialize=["tokens", "zero"])
def _head(
    logits,
    words,
    squares,
    wanted,
    codes,
    pairs,
    penalties,
    slots,
    seen,
    best,
    best_tokens,
    tokens,
    eps,
    zero,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    BITS: tl.constexpr,
    TOKENS: tl.constexpr,
    TILE: tl.constexpr,
    WARPS: tl.constexpr,
    PDL: tl.constexpr,
):
    """Logits of tiles of the vocabulary, and the largest of each after the penalty."""
    token, there = its_tokens(tokens, TOKENS)
    x = (words, squares, tl.program_id(0) * TOKENS, tokens, wanted)
    matrix = (codes, pairs, zero)
    tile = tl.program_id(1)
    begun = first_steps(matrix, tile, COLUMNS, BITS, TILE, WARPS, 8, ROWS)
    wait_for_last(PDL)
    result, sum_of_squares = fragment_products(
        begun, x, zero, COLUMNS, BITS, TOKENS, TILE, WARPS, 8, ROWS, True
    )
    result = in_order(result, pairs, zero, ROWS_ALONE)
    result *= tl.rsqrt(mean_square(sum_of_squares, pairs, zero, result.shape, COLUMNS) + eps)
    rows = tile * TILE + tl.arange(0, TILE)
    live = rows < ROWS
    at = token.to(tl.int64)[:, None] * ROWS + rows[None, :]
    tl.store(logits + at, result, mask=there[:, None] & live[None, :])
    if best is not None:
        sampling = (penalties, slots, seen, best, best_tokens)
        keep_best(sampling, result, token, there, rows, live, tile, tl.num_programs(1), ROWS)


def launch_add(
    stream: Tensor, fragments: Fragments, x: Fragments, norm: Tensor, w: Quantized, layer: int
) -> None:
    """Add to the stream, and store its fragments; all are as `small_batch.add` has checked them."""
    tile = choose_tile(w, x.rows, 16)
    with on_device(stream):
        _add[grid_of(x.rows, w.rows, tile)](
            stream,
            fragments.halves,
            fragments.squares,
            x.halves.view(torch.int32),
            norm,
            *words_of(w, layer),
            x.rows,
            0,
            ROWS=w.rows,
            TILE=tile.rows,
            **compiled_for(w, tile, stream.device),
        )


def launch_gate_up(fragments: Fragments, x: Fragments, w: Quantized, layer: int, eps: float) -> None:
    """Write the hidden activations; all are as `small_batch.gate_up` has checked them."""
    tile = choose_tile(w, x.rows, 16)
    with on_device(x.halves):
        _gate_up[grid_of(x.rows, w.rows, tile)](
            fragments.halves,
            x.halves.view(torch.int32),
            x.squares,
            *words_of(w, layer),
            x.rows,
            eps,
            0,
            HIDDEN=w.rows // 2,
            TILE=tile.rows,
            **compiled_for(w, tile, x.halves.device),
        )


def launch_head(
    out: Tensor, x: Fragments, w: Quantized, eps: float, wanted: Tensor | None, sampling: SamplingState | None
) -> None:
    """Write logits into `out`; all are as `small_batch.head` has checked them."""
    tile = choose_tile(w, len(out), TILE)
    with on_device(out):
        _head[grid_of(len(out), w.rows, tile)](
            out,
            x.halves.view(torch.int32),
            x.squares,
            wanted,
            *words_of(w, 0),
            *((None,) * 5 if sampling is None else sampling.of_head),
            len(out),
            eps,
            0,
            ROWS=w.rows,
            TILE=TILE,
            **compiled_for(w, tile, out.device),
        )
