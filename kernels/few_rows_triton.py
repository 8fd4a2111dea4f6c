"""The Triton kernels of `few_rows.py`: a program per some rows of a matrix and up to 8 tokens."""

# ruff: noqa: ANN001, ANN202, N803, N806  (a kernel's arguments are Triton's, and its constants are capitals)

import contextlib
from dataclasses import dataclass
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from kernels.choose import TILE, Choice
from kernels.choose_triton import first_of_the_largest, penalized
from kernels.llama_gpu import PAGE, PagedCache, Rows, Weights
from kernels.packed import Packed
from kernels.packed_triton import (
    ROW,
    WARP,
    each_warp,
    in_order,
    pack,
    packed_products,
    pdl,
    spread,
    sum_pairwise,
)
from kernels.qkv_triton import cache_codes, turns
from kernels.quantized import Quantized


@dataclass(frozen=True)
class Cut:
    """What a program computes, and with what; a row's result does not depend on it."""

    rows: int  # of the matrix
    tokens: int  # read again, the weights come from the L2 cache
    warps: int
    ring: int  # loads of each row that are on their way at once
    twice: bool = False  # of gate and up, one after the other


@triton.jit  # type: ignore[untyped-decorator]
def _its_tokens(tokens, TOKENS: tl.constexpr):  # type: ignore[no-untyped-def]
    """The tokens of a program, and which there are."""
    token = tl.program_id(0) * TOKENS + tl.arange(0, TOKENS)
    return token, token < tokens


@triton.jit  # type: ignore[untyped-decorator]
def _its_copies(tokens, TOKENS: tl.constexpr, COUNT: tl.constexpr):  # type: ignore[no-untyped-def]
    """The tokens of `each_warp`'s rows, and which of these to store: the first copy of each that there is."""
    row = tl.arange(0, COUNT)
    token = tl.program_id(0) * TOKENS + row // (COUNT // TOKENS)
    return token, (token < tokens) & (row % (COUNT // TOKENS) == 0)


@triton.jit  # type: ignore[untyped-decorator]
def _its_rows(ROWS: tl.constexpr, WARPS: tl.constexpr):  # type: ignore[no-untyped-def]
    """The rows of a program, ROWS in order, and as `packed_products` wants them."""
    first = tl.program_id(1) * ROWS
    G: tl.constexpr = ROWS // WARPS
    tile = spread(tl.arange(0, WARPS), WARP, 4) * G + spread(tl.arange(0, G), ROW, 4)
    return first + tl.arange(0, ROWS), first + tile


@triton.jit(do_not_specialize=["tokens", "table_width", "zero"])  # type: ignore[untyped-decorator]
def _project(  # type: ignore[no-untyped-def]
    q,
    keys,
    values,
    records,
    codes,
    pairs,
    bias,
    q_norm,
    k_norm,
    cos,
    sin,
    cache_scales,
    table,
    slots,
    positions,
    tokens,
    table_width,
    eps,
    zero,
    COLUMNS: tl.constexpr,
    HEADS: tl.constexpr,
    KV_HEADS: tl.constexpr,
    D: tl.constexpr,
    PAGE: tl.constexpr,
    BITS: tl.constexpr,
    TOKENS: tl.constexpr,
    TILE: tl.constexpr,
    WARPS: tl.constexpr,
    RING: tl.constexpr,
    PDL: tl.constexpr,
):
    """Rows program_id(0) * TILE and on of q, k and v; with norms of heads TILE is D."""
    token, there = _its_tokens(tokens, TOKENS)
    rows, tile = _its_rows(TILE, WARPS)
    live = rows < (HEADS + 2 * KV_HEADS) * D
    # Before the product, which hides how long these take.
    position = tl.load(positions + token, mask=there, other=-1)
    stored = there & (position >= 0)
    slot = tl.load(slots + token, mask=stored, other=0).to(tl.int64)
    page = tl.load(table + slot * table_width + position // PAGE, mask=stored, other=0).to(tl.int64)
    cosine, sine = turns(cos, sin, position, rows, HEADS + KV_HEADS, D)
    result, squares = packed_products(
        records,
        codes,
        pairs,
        token,
        there,
        tile,
        tile < (HEADS + 2 * KV_HEADS) * D,
        zero,
        COLUMNS,
        BITS,
        WARPS,
        RING,
        PDL,
    )
    result = in_order(result * tl.rsqrt(squares + eps))
    if bias is not None:
        result += tl.load(bias + rows, mask=live, other=0.0)[None, :]
    if q_norm is not None:
        lanes = tl.arange(0, TILE)
        of_head = sum_pairwise(result * result) / D
        weight = tl.load(q_norm + lanes, mask=rows < HEADS * D, other=0.0)
        is_key = (rows >= HEADS * D) & (rows < (HEADS + KV_HEADS) * D)
        weight += tl.load(k_norm + lanes, mask=is_key, other=0.0)
        normed = result * tl.rsqrt(of_head + eps)[:, None] * weight[None, :]
        result = tl.where((rows < (HEADS + KV_HEADS) * D)[None, :], normed, result)
    even, odd = tl.split(tl.reshape(result, [TOKENS, TILE // 2, 2]))
    result = tl.join(even * cosine - odd * sine, even * sine + odd * cosine)
    result = tl.reshape(result, [TOKENS, TILE])

    at = token[:, None] * (HEADS * D) + rows[None, :]
    tl.store(q + at, result.to(tl.float16), mask=there[:, None] & (rows < HEADS * D)[None, :])
    token_at = page * (KV_HEADS * PAGE * D) + position % PAGE * D
    INT8: tl.constexpr = cache_scales is not None
    for part in tl.static_range(2):
        channel = rows - (HEADS + part * KV_HEADS) * D  # of all heads of keys, or of values
        own = live & (channel >= 0) & (channel < KV_HEADS * D)
        target = token_at[:, None] + (channel // D * (PAGE * D) + channel % D)[None, :]
        part_scales = cache_scales + part * KV_HEADS * D if INT8 else cache_scales
        stored_as = cache_codes(result, part_scales, channel, own, INT8)
        tl.store((values if part else keys) + target, stored_as, mask=stored[:, None] & own[None, :])


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
    token, there = _its_tokens(tokens, TOKENS)
    rows, tile = _its_rows(32, WARPS)
    norm = tl.load(next_norm + rows)
    result, _ = packed_products(
        records,
        codes,
        pairs,
        token,
        there,
        tile,
        tile < ROWS,
        zero,
        COLUMNS,
        BITS,
        WARPS,
        RING,
        PDL,
    )
    x = each_warp(in_order(result), stream, zero, WARPS)
    token, live = _its_copies(tokens, TOKENS, x.shape[0])
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
    token, there = _its_tokens(tokens, TOKENS)
    if TWICE:
        _, tile = _its_rows(32, WARPS)
        gate, squares = packed_products(
            records,
            codes,
            pairs,
            token,
            there,
            tile,
            tile >= 0,
            zero,
            COLUMNS,
            BITS,
            WARPS,
            RING,
            PDL,
        )
        up, _ = packed_products(
            records,
            codes,
            pairs,
            token,
            there,
            tile + HIDDEN,
            tile >= 0,
            zero,
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
            records,
            codes,
            pairs,
            token,
            there,
            tile,
            tile >= 0,
            zero,
            COLUMNS,
            BITS,
            WARPS,
            RING,
            PDL,
        )
        result = in_order(result * tl.rsqrt(squares + eps))
        gate, up = tl.split(tl.reshape(result, [TOKENS, 32, 2]))
    hidden = gate * tl.sigmoid(gate) * up
    hidden = each_warp(hidden, packed, zero, WARPS)
    token, live = _its_copies(tokens, TOKENS, hidden.shape[0])
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
    token, there = _its_tokens(tokens, TOKENS)
    rows, tile = _its_rows(TILE, WARPS)
    live = rows < ROWS
    source = token if wanted is None else tl.load(wanted + token, mask=there, other=0)
    result, squares = packed_products(
        records,
        codes,
        pairs,
        source,
        there,
        tile,
        tile < ROWS,
        zero,
        COLUMNS,
        BITS,
        WARPS,
        RING,
        PDL,
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


def launch_qkv(q: Tensor, x: Packed, weights: Weights, layer: int, cache: PagedCache, rows: Rows) -> None:
    """Write q, and keys and values into the cache; all are as `few_rows.qkv` has checked them."""
    shape = weights.shape
    cut = choose_cut(weights.qkv, x.rows, shape.head_dim if weights.q_norm is not None else 32)
    sizes = {"HEADS": shape.heads, "KV_HEADS": shape.kv_heads, "D": shape.head_dim, "PAGE": PAGE}
    with _device(q):
        _project[_grid(x.rows, shape.qkv_rows, cut)](
            q,
            cache.keys[layer],
            cache.values[layer],
            x.words,
            *_matrix(weights.qkv, layer),
            _of_layer(weights.qkv_bias, layer),
            _of_layer(weights.q_norm, layer),
            _of_layer(weights.k_norm, layer),
            weights.cos,
            weights.sin,
            _of_layer(cache.scales, layer),
            cache.table,
            rows.slots,
            rows.positions,
            x.rows,
            cache.table.shape[1],
            shape.norm_eps,
            0,
            **sizes,
            TILE=cut.rows,
            **_common(weights.qkv, cut, q.device),
        )


def launch_add(stream: Tensor, packed: Packed, x: Packed, norm: Tensor, w: Quantized, layer: int) -> None:
    """Add to the stream, and pack it; all are as `few_rows.add` has checked them."""
    cut = choose_cut(w, x.rows, 32)
    with _device(stream):
        _add[_grid(x.rows, w.rows, cut)](
            stream,
            packed.words,
            x.words,
            norm,
            *_matrix(w, layer),
            x.rows,
            0,
            ROWS=w.rows,
            **_common(w, cut, stream.device),
        )


def launch_gate_up(packed: Packed, x: Packed, w: Quantized, layer: int, eps: float) -> None:
    """Write the hidden activations; all are as `few_rows.gate_up` has checked them."""
    cut = choose_cut(w, x.rows, 64)
    with _device(x.words):
        _gate_up[_grid(x.rows, w.rows, cut)](
            packed.words,
            x.words,
            *_matrix(w, layer),
            x.rows,
            eps,
            0,
            HIDDEN=w.rows // 2,
            TWICE=cut.twice,
            **_common(w, cut, x.words.device),
        )


def launch_head(
    out: Tensor, x: Packed, w: Quantized, eps: float, wanted: Tensor | None, choice: Choice | None
) -> None:
    """Write logits into `out`; all are as `few_rows.head` has checked them."""
    chosen: tuple[Tensor | None, ...] = (None,) * 5
    if choice is not None:
        chosen = (choice.penalties, choice.slots, choice.seen, choice.best, choice.best_tokens)
    cut = choose_cut(w, len(out), TILE)
    with _device(out):
        _head[_grid(len(out), w.rows, cut)](
            out,
            x.words,
            wanted,
            *_matrix(w, 0),
            *chosen,
            len(out),
            eps,
            0,
            ROWS=w.rows,
            TILE=TILE,
            **_common(w, cut, out.device),
        )


def choose_cut(w: Quantized, tokens: int, rows: int) -> Cut:
    """How programs of so many rows of a matrix cut its product with so many tokens.

    Small programs, several of them on a processor: one loads while another multiplies.
    """
    few = 1 << (tokens - 1).bit_length()
    if rows > 64:
        return Cut(rows, min(few, 2), 16, 2)
    if w.rows > 1 << 15 and tokens > 4 and w.columns <= 1024:
        return Cut(rows, 8, 8, 2)  # a head's weights are too many to be read again
    if rows == 64 and w.columns <= 1024:
        return Cut(rows, min(few, 4), 8, 2)
    if w.columns > 4096:
        return Cut(rows, min(few, 2), 8, 4 if w.bits == 4 else 2, twice=rows == 64)
    return Cut(rows, min(few, 2), 4, 2, twice=rows == 64)


def _grid(tokens: int, rows: int, cut: Cut) -> tuple[int, int]:
    """Programs of the same rows run beside each other, for the L2 cache."""
    return triton.cdiv(tokens, cut.tokens), triton.cdiv(rows, cut.rows)


def _common(w: Quantized, cut: Cut, device: torch.device) -> dict[str, Any]:
    """What all of these kernels are compiled for.

    Each operation is rounded by itself: which of two products a compiler joins with their sum is up to it,
    and it need not do the same for one token and for two.
    """
    sizes = {"COLUMNS": w.columns, "BITS": w.bits, "TOKENS": cut.tokens, "WARPS": cut.warps}
    options = {"num_warps": cut.warps, "enable_fp_fusion": False}
    return sizes | {"RING": cut.ring} | options | pdl(device)


def _matrix(w: Quantized, layer: int) -> tuple[Tensor, Tensor]:
    """Codes, as words, and pairs."""
    return w.codes[layer].view(torch.int32), w.pairs[layer]


def _of_layer(tensor: Tensor | None, layer: int) -> Tensor | None:
    return None if tensor is None else tensor[layer]


def _device(x: Tensor) -> contextlib.AbstractContextManager[Any]:
    return torch.cuda.device(x.device) if x.is_cuda else contextlib.nullcontext()
