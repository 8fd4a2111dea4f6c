"""The Triton kernel of `paged_attention.py`: a program per row, head of keys and split of the keys."""

# ruff: noqa: ANN001, ANN201, ANN202, N803  (a kernel's arguments are Triton's, and its constants are capitals)

import contextlib
import math

import torch
import triton
import triton.language as tl
from torch import Tensor

from kernels.attention.online_softmax_triton import average, nothing_seen, see
from kernels.formats.llama import PAGE, PagedCache, Rows

TILE = 64
"""Keys a step; also the fewest keys worth a program of their own."""

MOST_COMBINED = 8192  # sums held at once by the program that combines: 64 registers a thread


@triton.jit  # type: ignore[untyped-decorator]
def combine(  # type: ignore[no-untyped-def]
    sums,
    peaks,
    totals,
    row_head,
    active,
    GROUP: tl.constexpr,
    GROUP_PADDED: tl.constexpr,
    D: tl.constexpr,
    D_PADDED: tl.constexpr,
    SPLITS: tl.constexpr,
    STEP: tl.constexpr,
):
    """The attention of a group of heads from what its splits found, STEP splits at a time, in their order.

    float32 [GROUP_PADDED, D_PADDED].
    """
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
    return average(total, result)


@triton.jit  # type: ignore[untyped-decorator]
def _store(  # type: ignore[no-untyped-def]
    out, result, value_scales, first_head, GROUP: tl.constexpr, D: tl.constexpr
):
    """Attention of GROUP heads, from first_head on, of all rows' heads."""
    members, dims = tl.arange(0, result.shape[0]), tl.arange(0, result.shape[1])
    if value_scales is not None:
        result *= tl.load(value_scales + dims, mask=dims < D, other=0.0)[None, :]
    target = out + (first_head + members)[:, None] * D + dims[None, :]
    tl.store(target, result.to(tl.float16), mask=(members < GROUP)[:, None] & (dims < D)[None, :])


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
):
    """Keys of split `program_id(0)` of a row, for the GROUP query heads that share them.

    All of one row, or of its last split to arrive, end in `out`.
    """
    split, head, row = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    row_head = row * KV_HEADS + head
    position, slot = tl.load(positions + row), tl.load(slots + row)
    tiles = (position + TILE) // TILE  # none for padding, at -1
    tiles_a_split = tl.cdiv(tiles, SPLITS)
    active = tl.cdiv(tiles, tl.maximum(tiles_a_split, 1))
    if split >= tl.maximum(active, 1):
        return

    members, dims, lanes = tl.arange(0, ROWS_PADDED), tl.arange(0, D_PADDED), tl.arange(0, TILE)
    inside = (members < GROUP)[:, None] & (dims < D)[None, :]
    own = (row_head * GROUP + members)[:, None] * D + dims[None, :]  # of the group, in q and in out
    queries = tl.load(q + own, mask=inside, other=0.0)
    if scales is not None:
        scales += head * D
        key_scales = tl.load(scales + dims, mask=dims < D, other=0.0)
        queries = (queries.to(tl.float32) * key_scales[None, :]).to(tl.float16)

    peak, total, result = nothing_seen(ROWS_PADDED, D_PADDED)
    pages = table + slot.to(tl.int64) * table_width
    for tile in range(split * tiles_a_split, tl.minimum((split + 1) * tiles_a_split, tiles)):
        token = tile * TILE + lanes
        seen = token <= position
        page = tl.load(pages + token // PAGE, mask=seen, other=0).to(tl.int64)
        at = (((page * KV_HEADS + head) * PAGE + token % PAGE) * D)[:, None] + dims[None, :]
        real = seen[:, None] & (dims < D)[None, :]
        k = tl.load(keys + at, mask=real, other=0).to(tl.float16)
        v = tl.load(values + at, mask=real, other=0).to(tl.float16)
        scores = tl.where(seen[None, :], tl.dot(queries, k.T) * log2_scale, float("-inf"))
        peak, total, result = see(peak, total, result, scores, v)

    value_scales = None if scales is None else scales + KV_HEADS * D
    if active <= 1:
        # Zeros for padding.
        _store(out, average(total, result), value_scales, row_head * GROUP, GROUP, D)
    else:
        at = (row_head * GROUP + members) * SPLITS + split
        tl.store(sums + at[:, None] * D + dims[None, :], result, mask=inside)
        tl.store(peaks + at, peak, mask=members < GROUP)
        tl.store(totals + at, total, mask=members < GROUP)
        tl.debug_barrier()  # the whole program has stored before one of its threads counts it
        arrived = tl.atomic_add(counters + row_head, 1, sem="acq_rel", scope="gpu")
        if arrived == active - 1:
            tl.store(counters + row_head, 0)  # as the next launch wants it
            all_splits = combine(
                sums, peaks, totals, row_head, active, GROUP, GROUP_PADDED, D, D_PADDED, SPLITS, STEP
            )
            _store(out, all_splits, value_scales, row_head * GROUP, GROUP, D)


def launch(
    out: Tensor,
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
    step = min(triton.next_power_of_2(splits), max(1, MOST_COMBINED // (group_padded * d_padded)))
    with torch.cuda.device(q.device) if q.is_cuda else contextlib.nullcontext():
        _attend[splits, kv_heads, m](
            out,
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
            TILE=TILE,
            SPLITS=splits,
            STEP=step,
            num_warps=4,
            num_stages=5,  # two tiles ahead, and their pages two further
        )
