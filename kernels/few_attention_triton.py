"""The Triton kernel of `few_attention.py`: a program per head, split of its keys and row.

A tile has STEPS x WARPS x LANES keys: LANES beside each other in a warp, 16 bytes of one a thread.
Each warp has a softmax of its own over its keys; only their results meet, in shared memory.
"""

# ruff: noqa: ANN001, ANN202, N803, N806  (a kernel's arguments are Triton's, and its constants are capitals)

import contextlib
import math

import torch
import triton
import triton.language as tl
from torch import Tensor

from kernels.llama_gpu import PAGE, PagedCache, Rows
from kernels.packed import Packed
from kernels.packed_triton import DESCENDING, pack, pdl, spread, wait_for_last
from kernels.paged_attention_triton import MOST_COMBINED, combine

_WARPS = 8
_STEP, _LANE = map(tl.constexpr, (0, 2) if DESCENDING else (2, 0))  # see packed_triton.py


@triton.jit  # type: ignore[untyped-decorator]
def _places(  # type: ignore[no-untyped-def]
    pages,
    token,
    which,
    head,
    KV_HEADS: tl.constexpr,
    PAGE: tl.constexpr,
    D: tl.constexpr,
):
    """Where keys and values of a tile of tokens lie, if `which`: with a dimension of D more."""
    page = tl.load(pages + token // PAGE, mask=which, other=0).to(tl.int64)
    at = ((page * KV_HEADS + head) * PAGE + token % PAGE) * D
    return at[:, :, :, None] + tl.arange(0, D)[None, None, None, :]


@triton.jit
def _load(keys, values, at, which):  # type: ignore[no-untyped-def]
    """Keys and values of a tile; zeros but for `which`."""
    mask = which[:, :, :, None] & (at >= 0)
    return tl.load(keys + at, mask=mask, other=0), tl.load(values + at, mask=mask, other=0)


@triton.jit
def _see(peak, total, sums, query, k, v, seen):  # type: ignore[no-untyped-def]
    """Add a tile to each warp's softmax: peaks and totals [1, W, 1], sums [1, W, 1, D].

    `query` is float32, in powers of two, the same for all steps; k and v are a tile, of which `seen`.
    """
    scores = tl.sum(query * k.to(tl.float32), 3)
    scores = tl.where(seen, scores, float("-inf"))
    new_peak = tl.maximum(peak, tl.max(tl.max(scores, _STEP, keep_dims=True), _LANE, keep_dims=True))
    shrink = tl.exp2(peak - new_peak)
    weights = tl.exp2(scores - new_peak)
    total = total * shrink + tl.sum(tl.sum(weights, _STEP, keep_dims=True), _LANE, keep_dims=True)
    more = tl.sum(weights[:, :, :, None] * v.to(tl.float32), _STEP, keep_dims=True)
    sums = sums * shrink[:, :, :, None] + tl.sum(more, _LANE, keep_dims=True)
    return new_peak, total, sums


@triton.jit  # type: ignore[untyped-decorator]
def _store(  # type: ignore[no-untyped-def]
    out, result, value_scales, row, head, HEADS: tl.constexpr, D: tl.constexpr
):
    """Pack the attention [D] of a query head."""
    if value_scales is not None:
        result *= tl.load(value_scales + tl.arange(0, D))
    pack(out, row, head * D + tl.arange(0, D), result, tl.arange(0, D) < D, HEADS * D)


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
    D: tl.constexpr,
    PAGE: tl.constexpr,
    STEPS: tl.constexpr,
    WARPS: tl.constexpr,
    LANES: tl.constexpr,
    SPLITS: tl.constexpr,
    STEP: tl.constexpr,
    PDL: tl.constexpr,
):
    """Keys of split `program_id(1)` of a row, for one query head.

    Its result, or that of all splits if it is the last to arrive, ends in `out`.
    """
    HEADS: tl.constexpr = KV_HEADS * GROUP
    # Heads that share keys run beside each other, for the L2 cache.
    query_head, split, row = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    head, row_head = query_head // GROUP, row * HEADS + query_head
    position, slot = tl.load(positions + row), tl.load(slots + row)
    KEYS: tl.constexpr = STEPS * WARPS * LANES
    tiles = (position + KEYS) // KEYS  # none for padding, at -1
    # Two tiles and 256 keys at least: to combine two programs' results takes longer.
    FEWEST: tl.constexpr = max(2, 256 // KEYS)
    tiles_a_split = tl.maximum(tl.cdiv(tiles, SPLITS), FEWEST)
    active = tl.cdiv(tiles, tiles_a_split)
    if split >= tl.maximum(active, 1):
        return

    # Neighbouring steps of a warp lie beside each other: most of a warp's keys are of one page.
    warp, lane = spread(tl.arange(0, WARPS), 1, 3), spread(tl.arange(0, LANES), _LANE, 3)
    lanes = (warp * STEPS + spread(tl.arange(0, STEPS), _STEP, 3)) * LANES + lane
    pages = table + slot.to(tl.int64) * table_width
    token = split * tiles_a_split * KEYS + lanes
    later = token + KEYS
    at = _places(pages, token, token <= position, head, KV_HEADS, PAGE, D)
    later_at = _places(pages, later, later <= position, head, KV_HEADS, PAGE, D)
    # A sequence's new keys, which the kernel just before may still write, are no more than there are rows.
    newest = position - tl.num_programs(2)
    k, v = _load(keys, values, at, token <= newest)
    later_k, later_v = _load(keys, values, later_at, later <= newest)
    same = (warp * 0 + lane * 0)[:, :, :, None]  # each thread has the query
    dims = same + tl.arange(0, D)[None, None, None, :]
    factor = log2_scale
    if scales is not None:
        scales += head * D
        factor = tl.load(scales + dims) * log2_scale
    wait_for_last(PDL)
    query = tl.load(q + row_head * D + dims).to(tl.float32) * factor
    k_new, v_new = _load(keys, values, at, (token <= position) & (token > newest))
    peak = tl.full([1, WARPS, 1], -1e30, tl.float32)  # not -inf: a warp may see no key
    total = tl.zeros([1, WARPS, 1], tl.float32)
    result = tl.zeros([1, WARPS, 1, D], tl.float32)
    peak, total, result = _see(peak, total, result, query, k + k_new, v + v_new, token <= position)
    if split * tiles_a_split + 1 < tiles:
        k_new, v_new = _load(keys, values, later_at, (later <= position) & (later > newest))
        peak, total, result = _see(
            peak, total, result, query, later_k + k_new, later_v + v_new, later <= position
        )
    for tile in range(split * tiles_a_split + 2, tl.minimum((split + 1) * tiles_a_split, tiles)):
        token = tile * KEYS + lanes
        at = _places(pages, token, token <= position, head, KV_HEADS, PAGE, D)
        k, v = _load(keys, values, at, token <= position)
        peak, total, result = _see(peak, total, result, query, k, v, token <= position)
    top = tl.max(peak)
    share = tl.exp2(peak - top)
    total, result = tl.sum(total * share), tl.reshape(tl.sum(result * share[:, :, :, None], 1), [D])

    value_scales = None if scales is None else scales + KV_HEADS * D
    if active <= 1:
        _store(
            out, result / tl.where(total == 0.0, 1.0, total), value_scales, row, query_head, HEADS, D
        )  # padding: 0
    else:
        part = row_head * SPLITS + split
        tl.store(sums + part * D + tl.arange(0, D), result)
        tl.store(peaks + part, top)
        tl.store(totals + part, total)
        tl.debug_barrier()  # the whole program has stored before one of its threads counts it
        arrived = tl.atomic_add(counters + row_head, 1, sem="acq_rel", scope="gpu")
        if arrived == active - 1:
            tl.store(counters + row_head, 0)  # as the next launch wants it
            all_splits = combine(sums, peaks, totals, row_head, active, 1, 1, D, D, SPLITS, STEP)
            _store(out, tl.reshape(all_splits, [D]), value_scales, row, query_head, HEADS, D)


def launch(
    out: Packed,
    q: Tensor,
    cache: PagedCache,
    layer: int,
    rows: Rows,
    splits: int,
    keys: int,
    scratch: tuple[Tensor, Tensor, Tensor, Tensor],
) -> None:
    """Write the attention of `q` into `out`; all are as `few_attention` has checked them.

    `scratch` is sums, peaks, totals and counters; a program has `keys` keys at once.
    """
    m, heads, d = q.shape
    kv_heads = cache.keys.shape[2]
    lanes = max(1, 512 // (d * cache.keys.element_size()))
    with torch.cuda.device(q.device) if q.is_cuda else contextlib.nullcontext():
        _attend[heads, splits, m](
            out.halves,
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
            D=d,
            PAGE=PAGE,
            STEPS=max(1, keys // (2 * _WARPS * lanes)),
            WARPS=_WARPS,
            LANES=lanes,
            SPLITS=splits,
            STEP=min(triton.next_power_of_2(splits), max(1, MOST_COMBINED // d)),
            num_warps=_WARPS,
            **pdl(q.device),
        )
