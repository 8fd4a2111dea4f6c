"""The Triton kernel of `paged_attention.py`: a program per row, head of keys and split of the keys."""

# ruff: noqa: ANN001, ANN202, N803, N806  (a kernel's arguments are Triton's, and its constants are capitals)

import contextlib
import math

import torch
import triton
import triton.language as tl
from torch import Tensor

from kernels.llama_gpu import PAGE, PagedCache, Rows
from kernels.online_softmax_triton import average, nothing_seen, see
from kernels.packed import Packed
from kernels.packed_triton import let_next_start, pack, pdl, wait_for_last

_FEWEST_TILES = tl.constexpr(2)
"""Worth a program of their own: to combine two programs' results takes longer than another step."""

TILE = 128
"""Keys a step; half as many of wide heads, whose tiles would not fit into the registers."""

_MOST_COMBINED = 8192  # sums held at once by the program that combines: 64 registers a thread


@triton.jit  # type: ignore[untyped-decorator]
def _store(  # type: ignore[no-untyped-def]
    out,
    result,
    value_scales,
    first_head,
    PACKED: tl.constexpr,
    GROUP: tl.constexpr,
    D: tl.constexpr,
):
    """Attention [heads, D] of heads first_head .. + GROUP - 1 of all rows, in float16 or packed."""
    heads: tl.constexpr = result.shape[0]
    padded: tl.constexpr = result.shape[1]
    members, dims = tl.arange(0, heads), tl.arange(0, padded)
    if value_scales is not None:
        result *= tl.load(value_scales + dims, mask=dims < D, other=0.0)[None, :]
    if PACKED:
        BLOCKS: tl.constexpr = D // 32
        blocks = tl.arange(0, heads * BLOCKS)
        squares = tl.zeros([heads * BLOCKS], tl.float32)
        x = tl.reshape(result, [heads * BLOCKS, 32])
        pack(out, first_head * BLOCKS + blocks, x, squares, blocks < GROUP * BLOCKS)
    else:
        target = out + (first_head + members)[:, None] * D + dims[None, :]
        tl.store(target, result.to(tl.float16), mask=(members < GROUP)[:, None] & (dims < D)[None, :])


@triton.jit  # type: ignore[untyped-decorator]
def _load_tile(  # type: ignore[no-untyped-def]
    keys,
    values,
    page,
    head,
    token,
    which,
    KV_HEADS: tl.constexpr,
    PAGE: tl.constexpr,
    D: tl.constexpr,
    D_PADDED: tl.constexpr,
):
    """Keys and values [T, D_PADDED] of tokens [T] on their pages; zeros but for `which` [T]."""
    dims = tl.arange(0, D_PADDED)
    at = (((page * KV_HEADS + head) * PAGE + token % PAGE) * D)[:, None] + dims[None, :]
    real = which[:, None] & (dims < D)[None, :]
    return tl.load(keys + at, mask=real, other=0), tl.load(values + at, mask=real, other=0)


@triton.jit  # type: ignore[untyped-decorator]
def _combine(  # type: ignore[no-untyped-def]
    out,
    sums,
    peaks,
    totals,
    value_scales,
    row_head,
    active,
    GROUP: tl.constexpr,
    GROUP_PADDED: tl.constexpr,
    D: tl.constexpr,
    D_PADDED: tl.constexpr,
    SPLITS: tl.constexpr,
    STEP: tl.constexpr,
    PACKED: tl.constexpr,
):
    """The attention of a group of heads from what its splits found, STEP splits at a time, in their order."""
    members, dims, lanes = tl.arange(0, GROUP_PADDED), tl.arange(0, D_PADDED), tl.arange(0, STEP)
    member, dim = (members < GROUP), (dims < D)
    peak, total, result = nothing_seen(GROUP_PADDED, D_PADDED)
    for first in range(0, active, STEP):
        split = first + lanes
        live = (split < active)[:, None] & member[None, :]  # [STEP, GROUP]
        at = (row_head * GROUP + members)[None, :] * SPLITS + split[:, None]
        # .cg: past the first-level cache, which is not kept in step with what other processors write.
        found = tl.load(
            sums + at[:, :, None] * D + dims[None, None, :],
            mask=live[:, :, None] & dim[None, None, :],
            other=0.0,
            cache_modifier=".cg",
        )
        its_peak = tl.load(peaks + at, mask=live, other=-1e30, cache_modifier=".cg")
        its_total = tl.load(totals + at, mask=live, other=0.0, cache_modifier=".cg")
        new_peak = tl.maximum(peak, tl.max(its_peak, 0))
        shrink = tl.exp2(peak - new_peak)
        weight = tl.exp2(its_peak - new_peak[None, :])
        total = total * shrink + tl.sum(its_total * weight, 0)
        result = result * shrink[:, None] + tl.sum(found * weight[:, :, None], 0)
        peak = new_peak
    _store(out, average(total, result), value_scales, row_head * GROUP, PACKED, GROUP, D)


@triton.jit(do_not_specialize=["table_width"])  # type: ignore[untyped-decorator]
def _attend(  # type: ignore[no-untyped-def]
    out,
    q,
    keys,
    values,
    scales,
    table,
    slots,
    positions,
    sums,
    peaks,
    totals,
    counters,
    table_width,
    log2_scale,
    KV_HEADS: tl.constexpr,
    GROUP: tl.constexpr,
    ROWS_PADDED: tl.constexpr,
    GROUP_PADDED: tl.constexpr,
    D: tl.constexpr,
    D_PADDED: tl.constexpr,
    PAGE: tl.constexpr,
    TILE: tl.constexpr,
    SPLITS: tl.constexpr,
    STEP: tl.constexpr,
    PACKED: tl.constexpr,
    PDL: tl.constexpr,
):
    """Keys of split `program_id(0)` of a row, for the GROUP query heads that share them.

    All of one row, or of its last split to arrive, end in `out`.
    """
    let_next_start(PDL)
    split, head, row = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    row_head = row * KV_HEADS + head
    position, slot = tl.load(positions + row), tl.load(slots + row)
    tiles = (position + TILE) // TILE  # none for padding, at -1
    tiles_a_split = tl.maximum(tl.cdiv(tiles, SPLITS), _FEWEST_TILES)
    active = tl.cdiv(tiles, tiles_a_split)
    if split >= tl.maximum(active, 1):
        return

    members, dims, lanes = tl.arange(0, ROWS_PADDED), tl.arange(0, D_PADDED), tl.arange(0, TILE)
    inside = (members < GROUP)[:, None] & (dims < D)[None, :]
    pages = table + slot.to(tl.int64) * table_width
    token = split * tiles_a_split * TILE + lanes
    page = tl.load(pages + token // PAGE, mask=token <= position, other=0).to(tl.int64)
    # A sequence's new keys, which the kernel just before may still write, are no more than there are rows.
    old = token <= position - tl.num_programs(2)
    k, v = _load_tile(keys, values, page, head, token, old, KV_HEADS, PAGE, D, D_PADDED)
    wait_for_last(PDL)
    new = (token <= position) & (token > position - tl.num_programs(2))
    k_new, v_new = _load_tile(keys, values, page, head, token, new, KV_HEADS, PAGE, D, D_PADDED)
    own = (row_head * GROUP + members)[:, None] * D + dims[None, :]  # of the group, in q and in out
    queries = tl.load(q + own, mask=inside, other=0.0)
    if scales is not None:
        scales += head * D
        key_scales = tl.load(scales + dims, mask=dims < D, other=0.0)
        queries = (queries.to(tl.float32) * key_scales[None, :]).to(tl.float16)

    peak, total, result = nothing_seen(ROWS_PADDED, D_PADDED)
    scores = tl.dot(queries, (k + k_new).to(tl.float16).T) * log2_scale
    scores = tl.where((token <= position)[None, :], scores, float("-inf"))
    peak, total, result = see(peak, total, result, scores, (v + v_new).to(tl.float16))
    for tile in range(split * tiles_a_split + 1, tl.minimum((split + 1) * tiles_a_split, tiles)):
        token = tile * TILE + lanes
        seen = token <= position
        page = tl.load(pages + token // PAGE, mask=seen, other=0).to(tl.int64)
        k, v = _load_tile(keys, values, page, head, token, seen, KV_HEADS, PAGE, D, D_PADDED)
        scores = tl.dot(queries, k.to(tl.float16).T) * log2_scale
        scores = tl.where(seen[None, :], scores, float("-inf"))
        peak, total, result = see(peak, total, result, scores, v.to(tl.float16))

    value_scales = None if scales is None else scales + KV_HEADS * D
    if active <= 1:
        # Zeros for padding.
        _store(out, average(total, result), value_scales, row_head * GROUP, PACKED, GROUP, D)
    else:
        at = (row_head * GROUP + members) * SPLITS + split
        tl.store(sums + at[:, None] * D + dims[None, :], result, mask=inside)
        tl.store(peaks + at, peak, mask=members < GROUP)
        tl.store(totals + at, total, mask=members < GROUP)
        tl.debug_barrier()  # the whole program has stored before one of its threads counts it
        arrived = tl.atomic_add(counters + row_head, 1, sem="acq_rel", scope="gpu")
        if arrived == active - 1:
            tl.store(counters + row_head, 0)  # as the next launch wants it
            _combine(
                out,
                sums,
                peaks,
                totals,
                value_scales,
                row_head,
                active,
                GROUP,
                GROUP_PADDED,
                D,
                D_PADDED,
                SPLITS,
                STEP,
                PACKED,
            )


def launch(
    out: Tensor | Packed,
    q: Tensor,
    cache: PagedCache,
    layer: int,
    rows: Rows,
    splits: int,
    scratch: tuple[Tensor, Tensor, Tensor, Tensor],
) -> None:
    """Write the attention of `q` into `out`; all are as `paged_attention` has checked them.

    `scratch` is sums, peaks, totals and counters.
    """
    m, heads, d = q.shape
    kv_heads = cache.keys.shape[2]
    d_padded = max(16, triton.next_power_of_2(d))
    group_padded = triton.next_power_of_2(heads // kv_heads)
    step = min(triton.next_power_of_2(splits), max(1, _MOST_COMBINED // (group_padded * d_padded)))
    tile = TILE if d_padded <= 64 else TILE // 2
    packed = isinstance(out, Packed)
    with torch.cuda.device(q.device) if q.is_cuda else contextlib.nullcontext():
        _attend[splits, kv_heads, m](
            out.words if isinstance(out, Packed) else out,
            q,
            cache.keys[layer],
            cache.values[layer],
            None if cache.scales is None else cache.scales[layer],
            cache.table,
            rows.slots,
            rows.positions,
            *scratch,
            cache.table.shape[1],
            d**-0.5 * math.log2(math.e),
            KV_HEADS=kv_heads,
            GROUP=heads // kv_heads,
            ROWS_PADDED=max(16, group_padded),
            GROUP_PADDED=group_padded,
            D=d,
            D_PADDED=d_padded,
            PAGE=PAGE,
            TILE=tile,
            SPLITS=splits,
            STEP=step,
            PACKED=packed,
            num_warps=4,
            num_stages=3,  # a tile ahead, and its pages one further
            **pdl(q.device),
        )
