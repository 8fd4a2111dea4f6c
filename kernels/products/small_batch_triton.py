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
from kernels.products.small_batch_tiles import (
    choose_cut,
    compiled_for,
    grid_of,
    its_tokens,
    words_of,
)
from kernels.sampling.sample_triton import first_of_the_largest, penalized
from kernels.sampling.state import TILE, SamplingState


@triton.jit(do_not_specialize=["tokens", "zero"])
def _add(
    stream,
    packed,
    packed_squares,
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
    """Tiles of TILE channels of the stream: the product added, and packed with the next norm's weights."""
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
    _keep(stream, packed, packed_squares, added, norm, tile, token, there, tokens, ROWS, TILE)


@triton.jit
def _stream_of(stream, norm, tile, token, there, ROWS: tl.constexpr, TILE: tl.constexpr):
    """A tile of the stream, and of the weights of a norm."""
    rows = tile * TILE + tl.arange(0, TILE)
    at = stream + token[:, None] * ROWS + rows[None, :]
    x = tl.load(at, mask=there[:, None] & (rows < ROWS)[None, :], other=0.0)
    return x, tl.load(norm + rows, mask=rows < ROWS, other=0.0)


@triton.jit
def _keep(
    stream,
    packed,
    squares,
    x,
    norm,
    tile,
    token,
    there,
    tokens,
    ROWS: tl.constexpr,
    TILE: tl.constexpr,
):
    """Store a tile of the stream, and pack it."""
    rows = tile * TILE + tl.arange(0, TILE)
    live = there[:, None] & (rows < ROWS)[None, :]
    tl.store(stream + token[:, None] * ROWS + rows[None, :], x, mask=live)
    store_fragments(packed, token[:, None], rows[None, :], x * norm[None, :], live, ROWS)
    TOKENS: tl.constexpr = x.shape[0]
    GROUPS: tl.constexpr = TILE // 16
    number = tl.arange(0, TOKENS * GROUPS)
    row, group = tl.program_id(0) * TOKENS + number // GROUPS, tile * GROUPS + number % GROUPS
    x = tl.reshape(x, [TOKENS * GROUPS, 16])
    store_squares(squares, row, group, x, (row < tokens) & (group * 16 < ROWS), ROWS)


@triton.jit(do_not_specialize=["tokens", "zero"])
def _gate_up(
    packed,
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
    store_fragments(packed, token[:, None], column[None, :], gate * tl.sigmoid(gate) * up, live, HIDDEN)


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
    inside = there[:, None] & live[None, :]
    long = token.to(tl.int64)
    tl.store(logits + long[:, None] * ROWS + rows[None, :], result, mask=inside)
    if best is not None:
        slot = tl.load(slots + token, mask=there, other=0).to(tl.int64)
        marked = tl.load(seen + slot[:, None] * ROWS + rows[None, :], mask=inside, other=0) != 0
        penalty = tl.load(penalties + token, mask=there, other=1.0)
        after = tl.where(live[None, :], penalized(result, marked, penalty[:, None]), float("-inf"))
        top, which = first_of_the_largest(after, rows[None, :])
        at = token * tl.num_programs(1) + tile
        tl.store(best + at, top, mask=there)
        tl.store(best_tokens + at, which, mask=there)


def launch_add(
    stream: Tensor, packed: Fragments, x: Fragments, norm: Tensor, w: Quantized, layer: int
) -> None:
    """Add to the stream, and pack it; all are as `small_batch.add` has checked them."""
    cut = choose_cut(w, x.rows, 16)
    with on_device(stream):
        _add[grid_of(x.rows, w.rows, cut)](
            stream,
            packed.halves,
            packed.squares,
            x.halves.view(torch.int32),
            norm,
            *words_of(w, layer),
            x.rows,
            0,
            ROWS=w.rows,
            TILE=cut.rows,
            **compiled_for(w, cut, stream.device),
        )


def launch_gate_up(packed: Fragments, x: Fragments, w: Quantized, layer: int, eps: float) -> None:
    """Write the hidden activations; all are as `small_batch.gate_up` has checked them."""
    cut = choose_cut(w, x.rows, 16)
    with on_device(x.halves):
        _gate_up[grid_of(x.rows, w.rows, cut)](
            packed.halves,
            x.halves.view(torch.int32),
            x.squares,
            *words_of(w, layer),
            x.rows,
            eps,
            0,
            HIDDEN=w.rows // 2,
            TILE=cut.rows,
            **compiled_for(w, cut, x.halves.device),
        )


def launch_head(
    out: Tensor, x: Fragments, w: Quantized, eps: float, wanted: Tensor | None, sampling: SamplingState | None
) -> None:
    """Write logits into `out`; all are as `small_batch.head` has checked them."""
    chosen: tuple[Tensor | None, ...] = (None,) * 5
    if sampling is not None:
        chosen = (sampling.penalties, sampling.slots, sampling.seen, sampling.best, sampling.best_tokens)
    cut = choose_cut(w, len(out), TILE)
    with on_device(out):
        _head[grid_of(len(out), w.rows, cut)](
            out,
            x.halves.view(torch.int32),
            x.squares,
            wanted,
            *words_of(w, 0),
            *chosen,
            len(out),
            eps,
            0,
            ROWS=w.rows,
            TILE=TILE,
            **compiled_for(w, cut, out.device),
        )
