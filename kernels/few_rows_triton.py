"""The Triton kernels of `few_rows.py`: a program per some rows of a matrix and some tokens."""

# ruff: noqa: ANN001, ANN202, N803, N806  (a kernel's arguments are Triton's, and its constants are capitals)

import triton
import triton.language as tl
from torch import Tensor

from kernels.choose import TILE, Choice
from kernels.choose_triton import first_of_the_largest, penalized
from kernels.few_cut_triton import (
    choose_cut,
    compiled_for,
    grid_of,
    its_copies,
    its_rows,
    its_tokens,
    on_device,
    words_of,
)
from kernels.packed import Packed
from kernels.packed_triton import ROW, WARP, each_warp, in_order, pack, packed_products, spread, sum_pairwise
from kernels.quantized import Quantized


@triton.jit(do_not_specialize=["tokens", "zero"])  # type: ignore[untyped-decorator]
def _add(  # type: ignore[no-untyped-def]
    stream,
    packed,
    records,
    next_norm,
    codes,
    pairs,
    tokens,
    zero,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    BITS: tl.constexpr,
    TOKENS: tl.constexpr,
    WARPS: tl.constexpr,
    RING: tl.constexpr,
    PDL: tl.constexpr,
):
    """A block of 32 channels of the stream: the product added, and packed with the next norm's weights."""
    token, there = its_tokens(tokens, TOKENS)
    rows, tile = its_rows(32, WARPS)
    norm = tl.load(next_norm + rows)
    result, _ = packed_products(
        (records, token, there), (codes, pairs, zero), tile, tile < ROWS, COLUMNS, BITS, WARPS, RING, PDL
    )
    x = each_warp(in_order(result), stream, zero, WARPS)
    token, live = its_copies(tokens, TOKENS, x.shape[0])
    at = stream + token[:, None] * ROWS + rows[None, :]
    x += tl.load(at, mask=(token < tokens)[:, None] & (rows < ROWS)[None, :], other=0.0)
    tl.debug_barrier()  # all warps have loaded before one stores
    tl.store(at, x, mask=live[:, None] & (rows < ROWS)[None, :])
    block = token * 0 + tl.program_id(1)
    pack(packed, token, block, x * norm[None, :], sum_pairwise(x * x), live, ROWS // 32)


@triton.jit(do_not_specialize=["tokens", "zero"])  # type: ignore[untyped-decorator]
def _gate_up(  # type: ignore[no-untyped-def]
    packed,
    records,
    codes,
    pairs,
    tokens,
    eps,
    zero,
    HIDDEN: tl.constexpr,
    TWICE: tl.constexpr,
    COLUMNS: tl.constexpr,
    BITS: tl.constexpr,
    TOKENS: tl.constexpr,
    WARPS: tl.constexpr,
    RING: tl.constexpr,
    PDL: tl.constexpr,
):
    """A block of 32 hidden activations, from as many rows of gate and of up."""
    token, there = its_tokens(tokens, TOKENS)
    if TWICE:
        _, tile = its_rows(32, WARPS)
        gate, squares = packed_products(
            (records, token, there), (codes, pairs, zero), tile, tile >= 0, COLUMNS, BITS, WARPS, RING, PDL
        )
        up, _ = packed_products(
            (records, token, there),
            (codes, pairs, zero),
            tile + HIDDEN,
            tile >= 0,
            COLUMNS,
            BITS,
            WARPS,
            RING,
            False,
        )
        factor = tl.rsqrt(squares + eps)
        gate, up = in_order(gate * factor), in_order(up * factor)
    else:
        G: tl.constexpr = 64 // WARPS
        g = spread(tl.arange(0, G), ROW, 4)
        first = tl.program_id(1) * 32 + spread(tl.arange(0, WARPS), WARP, 4) * (G // 2)
        tile = first + g // 2 + g % 2 * HIDDEN
        result, squares = packed_products(
            (records, token, there), (codes, pairs, zero), tile, tile >= 0, COLUMNS, BITS, WARPS, RING, PDL
        )
        result = in_order(result * tl.rsqrt(squares + eps))
        gate, up = tl.split(tl.reshape(result, [TOKENS, 32, 2]))
    hidden = gate * tl.sigmoid(gate) * up
    hidden = each_warp(hidden, packed, zero, WARPS)
    token, live = its_copies(tokens, TOKENS, hidden.shape[0])
    block = token * 0 + tl.program_id(1)
    pack(packed, token, block, hidden, (token * 0).to(tl.float32), live, HIDDEN // 32)


@triton.jit(do_not_specialize=["tokens", "zero"])  # type: ignore[untyped-decorator]
def _head(  # type: ignore[no-untyped-def]
    logits,
    records,
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
    RING: tl.constexpr,
    PDL: tl.constexpr,
):
    """Logits of a tile of the vocabulary, and the largest of them after the penalty."""
    token, there = its_tokens(tokens, TOKENS)
    rows, tile = its_rows(TILE, WARPS)
    live = rows < ROWS
    source = token if wanted is None else tl.load(wanted + token, mask=there, other=0)
    result, squares = packed_products(
        (records, source, there), (codes, pairs, zero), tile, tile < ROWS, COLUMNS, BITS, WARPS, RING, PDL
    )
    result = in_order(result * tl.rsqrt(squares + eps))
    inside = there[:, None] & live[None, :]
    long = token.to(tl.int64)
    tl.store(logits + long[:, None] * ROWS + rows[None, :], result, mask=inside)
    if best is not None:
        slot = tl.load(slots + token, mask=there, other=0).to(tl.int64)
        marked = tl.load(seen + slot[:, None] * ROWS + rows[None, :], mask=inside, other=0) != 0
        penalty = tl.load(penalties + token, mask=there, other=1.0)
        after = tl.where(live[None, :], penalized(result, marked, penalty[:, None]), float("-inf"))
        top, which = first_of_the_largest(after, rows[None, :])
        at = token * tl.num_programs(1) + tl.program_id(1)
        tl.store(best + at, top, mask=there)
        tl.store(best_tokens + at, which, mask=there)


def launch_add(stream: Tensor, packed: Packed, x: Packed, norm: Tensor, w: Quantized, layer: int) -> None:
    """Add to the stream, and pack it; all are as `few_rows.add` has checked them."""
    cut = choose_cut(w, x.rows, 32)
    with on_device(stream):
        _add[grid_of(x.rows, w.rows, cut)](
            stream,
            packed.words,
            x.words,
            norm,
            *words_of(w, layer),
            x.rows,
            0,
            ROWS=w.rows,
            **compiled_for(w, cut, stream.device),
        )


def launch_gate_up(packed: Packed, x: Packed, w: Quantized, layer: int, eps: float) -> None:
    """Write the hidden activations; all are as `few_rows.gate_up` has checked them."""
    cut = choose_cut(w, x.rows, 64)
    with on_device(x.words):
        _gate_up[grid_of(x.rows, w.rows, cut)](
            packed.words,
            x.words,
            *words_of(w, layer),
            x.rows,
            eps,
            0,
            HIDDEN=w.rows // 2,
            TWICE=cut.twice,
            **compiled_for(w, cut, x.words.device),
        )


def launch_head(
    out: Tensor, x: Packed, w: Quantized, eps: float, wanted: Tensor | None, choice: Choice | None
) -> None:
    """Write logits into `out`; all are as `few_rows.head` has checked them."""
    chosen: tuple[Tensor | None, ...] = (None,) * 5
    if choice is not None:
        chosen = (choice.penalties, choice.slots, choice.seen, choice.best, choice.best_tokens)
    cut = choose_cut(w, len(out), TILE)
    with on_device(out):
        _head[grid_of(len(out), w.rows, cut)](
            out,
            x.words,
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
