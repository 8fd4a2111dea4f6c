"""The Triton kernels of `small_batch_attention.py`: a program per head of keys, split of the keys and row.

The products are `mma` instructions written out, as in `fragments_triton.py`, whose order of dimensions holds
here too: 8 query heads, or as many as share the keys, times 8 keys, and their weights times 16 values. A
thread makes its operands of what it has loaded, 16 bytes of keys and of values each; only the warps' results
meet, in shared memory. A warp's step is 16 keys, which lie in one page.
"""

# mypy: disable-error-code="no-untyped-def, untyped-decorator, assignment, misc"
# ruff: noqa: ANN001, ANN202, N803, N806  (a kernel's arguments are Triton's, and its constants are capitals)

import math

import torch
import triton
import triton.language as tl
from torch import Tensor

from kernels.device import on_device, pdl
from kernels.formats.fragments import Fragments
from kernels.formats.fragments_triton import (
    DESCENDING,
    in_lanes,
    over_warps,
    spread,
    store_fragments,
    wait_for_last,
)
from kernels.formats.llama import PAGE, PagedCache, Rows

WARPS = 4

_WARP, _LANE = map(tl.constexpr, (0, 1) if DESCENDING else (1, 0))

_MMA = "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32"


def _scores_asm() -> str:
    """PTX: eight queries times twice eight keys, 32 channels, added up.

    $4 to $7 are channels of a query, $8 to $11 of a key of the first eight, $12 to $15 of the others, $16 to
    $19 scores so far, two of each eight. The other eight rows of the instruction are zeros.
    """
    lines = [".reg .f32 a, b, c, d, z; .reg .b32 n;", "mov.f32 z, 0f00000000; mov.b32 n, 0;"]
    for to, so_far, key in (("$0, $1", "$16, $17", 8), ("$2, $3", "$18, $19", 12)):
        lines.append(f"{_MMA} {{a, b, c, d}}, {{$4, n, $5, n}}, {{${key}, ${key + 1}}}, {{{so_far}, z, z}};")
        lines.append(f"{_MMA} {{{to}, c, d}}, {{$6, n, $7, n}}, {{${key + 2}, ${key + 3}}}, {{a, b, z, z}};")
    return "{ " + " ".join(lines) + " }"


def _values_asm() -> str:
    """PTX: the weights of 16 keys times their values, eight neighbouring channels a lane, added up.

    $16 to $31 are the values of keys 2 t and 2 t + 1 of the first eight, t being the lane in its four, and of
    those of the others, four words each; $32 to $35 the weights of these keys; $36 to $51 sums so far, for
    each channel those of two lanes' values. The new ones are $0 to $15.
    """
    lines = [".reg .f32 c, d, z; .reg .b32 n, v, w, p, q;", "mov.f32 z, 0f00000000; mov.b32 n, 0;"]
    lines += ["cvt.rn.f16x2.f32 p, $33, $32;", "cvt.rn.f16x2.f32 q, $35, $34;"]
    for channel in range(8):
        word, select = channel // 2, 0x7632 if channel % 2 else 0x5410
        lines.append(f"prmt.b32 v, ${16 + word}, ${20 + word}, {select};")
        lines.append(f"prmt.b32 w, ${24 + word}, ${28 + word}, {select};")
        to, so_far = f"${2 * channel}, ${2 * channel + 1}", f"${36 + 2 * channel}, ${37 + 2 * channel}"
        lines.append(f"{_MMA} {{{to}, c, d}}, {{p, n, q, n}}, {{v, w}}, {{{so_far}, z, z}};")
    return "{ " + " ".join(lines) + " }"


def _halves_asm() -> str:
    """PTX: eight signed bytes, $4, to four words of float16."""
    lines = [".reg .b32 a, b, k, m;", "mov.b32 k, 0x64806480; mov.b32 m, 0x64646464;", "mov.b64 {a, b}, $4;"]
    lines += ["xor.b32 a, a, 0x80808080;", "xor.b32 b, b, 0x80808080;"]
    for i in range(4):
        lines.append(f"prmt.b32 ${i}, {'ab'[i // 2]}, m, {0x4342 if i % 2 else 0x4140};")
        lines.append(f"sub.rn.f16x2 ${i}, ${i}, k;")
    return "{ " + " ".join(lines) + " }"


def _across_asm(operation: str) -> str:
    """PTX: over the four lanes that have a query."""
    one = "shfl.sync.bfly.b32 a, {}, {}, 0x1f, 0xffffffff; {} $0, a, {};"
    return (
        "{ .reg .f32 a; " + one.format("$1", 1, operation, "$1") + one.format("$0", 2, operation, "$0") + " }"
    )


_SCORES, _VALUES, _HALVES = map(tl.constexpr, (_scores_asm(), _values_asm(), _halves_asm()))
_LARGEST, _TOTAL = map(tl.constexpr, (_across_asm("max.f32"), _across_asm("add.f32")))
_SCORES_OPERANDS = tl.constexpr(",".join(["=&f"] * 4 + ["r"] * 12 + ["f"] * 4))
_VALUES_OPERANDS = tl.constexpr(",".join(["=&f"] * 16 + ["r"] * 16 + ["f"] * 20))
_NOTHING = tl.constexpr((0,) * 16)
_FOUR, _FOUR_WORDS = tl.constexpr((tl.float32,) * 4), tl.constexpr((tl.int32,) * 4)


@triton.jit
def _float(words, SHIFT: tl.constexpr):
    return ((words >> SHIFT) & 0xFFFF).to(tl.int16).to(tl.float16, bitcast=True).to(tl.float32)


@triton.jit
def _scores(query, first, second, so_far):
    """Add 32 channels to scores of a lane's query: keys 2 t and 2 t + 1 of each eight."""
    return tl.inline_asm_elementwise(
        _SCORES, _SCORES_OPERANDS, [query, first, second, so_far], dtype=tl.float32, is_pure=True, pack=4
    )


@triton.jit
def _values(v, weights, so_far):
    """Add the values of 16 keys to a lane's sums."""
    return tl.inline_asm_elementwise(
        _VALUES,
        _VALUES_OPERANDS,
        [v[0], v[1], v[2], v[3], weights, so_far[0], so_far[1], so_far[2], so_far[3]],
        dtype=_FOUR,
        is_pure=True,
        pack=4,
    )


@triton.jit
def _across(x, LARGEST: tl.constexpr):
    """The largest, or the sum, of x [warps, lanes] over the four lanes of a query, in each of them."""
    return tl.inline_asm_elementwise(
        _LARGEST if LARGEST else _TOTAL, "=&f,f", [x], dtype=tl.float32, is_pure=True, pack=1
    )


@triton.jit
def _halves(codes):
    """Eight int8 in 64 bits to four words of float16."""
    a, b, c, d = tl.inline_asm_elementwise(
        _HALVES, "=&r,=&r,=&r,=&r,l", [codes], dtype=_FOUR_WORDS, is_pure=True, pack=1
    )
    words = tl.join(tl.join(a, c), tl.join(b, d))  # the last dimension is of b and d, not of a and c
    return tl.reshape(words, [codes.shape[0], codes.shape[1], 4])


@triton.jit
def _load(cache, at, which, other, INT8: tl.constexpr):
    """Eight channels of a key or value from `at` on: four words, or int8 in 64 bits; `which`, or `other`."""
    if INT8:
        found = tl.load(cache + at // 8, mask=which, other=other)
    else:
        word = tl.arange(0, 4)[None, None, :]
        mask = which[:, :, None] & (word >= 0)
        found = tl.load(cache + (at // 2)[:, :, None] + word, mask=mask, other=other)
    return found


@triton.jit
def _start_of(pages, first, last, head, zero, KV_HEADS: tl.constexpr, PAGE: tl.constexpr):
    """Where key `first` [warps, 1] lies, counted in keys: [warps, lanes]."""
    lane = spread(tl.arange(0, 32) ^ zero, _LANE, 2)
    page = tl.load(pages + first // PAGE + lane * 0, mask=first <= last, other=0).to(tl.int64)
    return (page * KV_HEADS + head) * PAGE + first % PAGE


@triton.jit
def _load_step(cache, there, start, first, newest, last, zero, D: tl.constexpr, INT8: tl.constexpr):
    """Keys `first` [warps, 1], which lies at `start`, and 15 behind it, and their values, of some warps.

    Of those whose last key is later than `newest` and whose first is not later than `last`; of the others
    what is `there`, or, if None, nothing of use. Values later than `last` are zeros. For each 32 channels,
    eight of two keys; of each 64 channels, eight of four keys' values.
    """
    lane = spread(tl.arange(0, 32) ^ zero, _LANE, 2)
    row, column = lane // 4, lane % 4
    found = ()
    KEYS: tl.constexpr = 2 * (D // 32)
    for i in tl.static_range(KEYS + 4 * ((D + 63) // 64)):
        if i < KEYS:
            ahead = row + i // (D // 32) * 8
            channel = i % (D // 32) * 32 + column * 8
        else:
            ahead = column * 2 + i % 2 + (i - KEYS) % 4 // 2 * 8
            channel = (i - KEYS) // 4 * 64 + row * 8
        at = (start + ahead) * D + channel
        other = 0 if there is None else there[i]
        which = (first + 15 > newest) & (first <= last) & (lane >= 0)
        if i < KEYS:
            found += (_load(cache[0], at, which, other, INT8),)
        else:
            if D < 64:
                which = which & (channel < D)
            if there is not None:
                which = which & (first + ahead <= last)
            found += (_load(cache[1], at, which, other, INT8),)
    return found


@triton.jit
def _words_of(zero, WARPS: tl.constexpr, PART: tl.constexpr):
    """Lanes, in each warp, and the four words of 32 channels that a lane has of its query."""
    lane = spread(tl.arange(0, 32) ^ zero, _LANE, 2) + spread(tl.zeros([WARPS], tl.int32), _WARP, 2)
    return lane, PART * 16 + (lane % 4 * 4)[:, :, None] + tl.arange(0, 4)[None, None, :]


@triton.jit
def _key_scales(scales, zero, WARPS: tl.constexpr, PARTS: tl.constexpr):
    """The scales of a lane's channels of each 32, for the first and the second half of its words."""
    found = ()
    for part in tl.static_range(PARTS):
        _, word = _words_of(zero, WARPS, part)
        found += ((tl.load(scales + word * 2), tl.load(scales + word * 2 + 1)),)
    return found


@triton.jit
def _query(
    q, key_scales, zero, WARPS: tl.constexpr, GROUP: tl.constexpr, D: tl.constexpr, PART: tl.constexpr
):
    """Eight channels of a lane's query, in each warp, times the scales of keys."""
    lane, word = _words_of(zero, WARPS, PART)
    there = (lane // 4 < GROUP)[:, :, None] & (word >= 0)
    at = (lane // 4 * (D // 2))[:, :, None] + word
    words = tl.load(q.to(tl.pointer_type(tl.int32)) + at, mask=there, other=0)
    if key_scales is not None:
        first, second = key_scales[PART]
        first = (_float(words, 0) * first).to(tl.float16).to(tl.int16, bitcast=True).to(tl.int32)
        second = (_float(words, 16) * second).to(tl.float16).to(tl.int16, bitcast=True).to(tl.int32)
        words = (first & 0xFFFF) | (second << 16)
    return words


@triton.jit
def _four(x, FIRST: tl.constexpr):
    return (x[FIRST], x[FIRST + 1], x[FIRST + 2], x[FIRST + 3])


@triton.jit
def _see(
    state,
    queries,
    steps,
    first,
    last,
    log2_scale,
    zero,
    STEPS: tl.constexpr,
    D: tl.constexpr,
    INT8: tl.constexpr,
):
    """Add steps, from key `first` on, to a softmax of each warp: peaks, totals [warps, lanes], sums."""
    peak, total, sums = state
    W: tl.constexpr = peak.shape[_WARP]
    lane = spread(tl.arange(0, 32) ^ zero, _LANE, 2)
    word = tl.arange(0, 4)[None, None, :]
    scores = ()
    new_peak = peak
    for step in tl.static_range(STEPS):
        k = steps[step]
        score = tl.expand_dims(peak * 0.0, 2) + (word * 0).to(tl.float32)
        for part in tl.static_range(D // 32):
            a, b = k[part], k[D // 32 + part]
            if INT8:
                a, b = _halves(a), _halves(b)
            score = _scores(queries[part], a, b, score)
        token = (first + step * W * 16 + lane % 4 * 2)[:, :, None] + word % 2 + word // 2 * 8
        score = tl.where(token <= last, score * log2_scale, float("-inf"))
        new_peak = tl.maximum(new_peak, tl.max(score, 2))
        scores += (score,)
    new_peak = _across(new_peak, True)
    shrink = tl.exp2(peak - new_peak)
    total *= shrink
    shrunk = ()
    for i in tl.static_range(4 * ((D + 63) // 64)):
        shrunk += (sums[i] * shrink[:, :, None],)
    for step in tl.static_range(STEPS):
        v = steps[step]
        weights = tl.exp2(scores[step] - new_peak[:, :, None])
        total += tl.sum(weights, 2)
        more = ()
        for part in tl.static_range((D + 63) // 64):
            its = _four(v, 2 * (D // 32) + 4 * part)
            if INT8:
                its = (_halves(its[0]), _halves(its[1]), _halves(its[2]), _halves(its[3]))
            so_far = _four(shrunk, 4 * part)
            a, b, c, d = _values(its, weights, so_far)
            more += (a, b, c, d)
        shrunk = more
    return new_peak, total, shrunk


@triton.jit
def _of_queries(sums, somewhere, zero, D: tl.constexpr):
    """Added up over warps, in order: [8, D], 64 channels or more."""
    W: tl.constexpr = sums[0].shape[_WARP]
    PARTS: tl.constexpr = (D + 63) // 64
    found = ()
    for part in tl.static_range(PARTS):
        low = tl.join(sums[4 * part], sums[4 * part + 1])
        high = tl.join(sums[4 * part + 2], sums[4 * part + 3])
        x = tl.join(low, high)  # [.., lanes, channel of two and lane of two, word, word of two]
        if _WARP == 0:  # warps, queries, fours, channel, lane, word, word
            x = tl.permute(tl.reshape(x, [W, 8, 4, 2, 2, 2, 2]), (1, 2, 4, 6, 5, 3, 0))
        else:
            x = tl.permute(tl.reshape(x, [8, 4, W, 2, 2, 2, 2]), (0, 1, 4, 6, 5, 3, 2))
        x = over_warps(tl.reshape(in_lanes(tl.reshape(x, [512, W]), somewhere, zero), [512, W, 1]))
        found += (tl.reshape(x, [8, 64]),)
    result = found[0]
    if PARTS == 2:
        result = tl.reshape(tl.permute(tl.join(found[0], found[1]), (0, 2, 1)), [8, 128])
    return result


@triton.jit
def _active(position, KEYS: tl.constexpr, SPLITS: tl.constexpr, FEWEST: tl.constexpr):
    """Tiles of keys of a row, those of one split, and splits that have any."""
    tiles = (position + KEYS) // KEYS  # none for padding, at -1
    tiles_a_split = tl.maximum(tl.cdiv(tiles, SPLITS), FEWEST)
    return tiles, tiles_a_split, tl.maximum(tl.cdiv(tiles, tiles_a_split), 1)


@triton.jit(do_not_specialize=["table_width", "zero"])
def _attend(
    out,
    q,
    keys,
    values,
    scales,
    table,
    slots,
    positions,
    found,
    peaks,
    totals,
    table_width,
    log2_scale,
    zero,
    KV_HEADS: tl.constexpr,
    GROUP: tl.constexpr,
    D: tl.constexpr,
    PAGE: tl.constexpr,
    STEPS: tl.constexpr,
    WARPS: tl.constexpr,
    SPLITS: tl.constexpr,
    FEWEST: tl.constexpr,
    INT8: tl.constexpr,
    PDL: tl.constexpr,
):
    """Keys of split `program_id(1)` of a row, for the query heads that share them.

    Of the only split, the result ends in `out`; of several, each one's in `found`, for `_combine`.
    """
    head, split, row = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    position, slot = tl.load(positions + row), tl.load(slots + row)
    KEYS: tl.constexpr = STEPS * WARPS * 16
    tiles, tiles_a_split, active = _active(position, KEYS, SPLITS, FEWEST)
    if split >= active:
        return

    cache = (keys, values)
    pages = table + slot.to(tl.int64) * table_width
    # A sequence's new keys, which the kernel just before may still write, are no more than there are rows.
    newest = position - tl.num_programs(2)
    first = split * tiles_a_split * KEYS + spread(tl.arange(0, WARPS), _WARP, 2) * 16
    starts, old = (), ()
    for step in tl.static_range(STEPS):
        at = first + step * WARPS * 16
        starts += (_start_of(pages, at, position, head, zero, KV_HEADS, PAGE),)
        old += (_load_step(cache, None, starts[step], at, -1, newest - 15, zero, D, INT8),)
    key_scales = None
    if scales is not None:
        scales += head * D
        key_scales = _key_scales(scales, zero, WARPS, D // 32)
    wait_for_last(PDL)
    queries = ()
    first_query = (row * KV_HEADS + head) * GROUP
    for part in tl.static_range(D // 32):
        queries += (_query(q + first_query * D, key_scales, zero, WARPS, GROUP, D, part),)
    steps = ()
    for step in tl.static_range(STEPS):
        at = first + step * WARPS * 16
        steps += (_load_step(cache, old[step], starts[step], at, newest, position, zero, D, INT8),)
    none = (spread(tl.arange(0, 32) ^ zero, _LANE, 2) + spread(tl.arange(0, WARPS), _WARP, 2)) * 0
    peak, total = none.to(tl.float32) - 1e30, none.to(tl.float32)  # not -inf: a warp may see no key
    result = ()
    for _ in tl.static_range(4 * ((D + 63) // 64)):
        result += (tl.expand_dims(total, 2) + tl.zeros([4], tl.float32)[None, None, :],)
    state = (peak, total, result)
    state = _see(state, queries, steps, first, position, log2_scale, zero, STEPS, D, INT8)
    for tile in range(split * tiles_a_split + 1, tl.minimum((split + 1) * tiles_a_split, tiles)):
        first = tile * KEYS + spread(tl.arange(0, WARPS), _WARP, 2) * 16
        later = ()
        for step in tl.static_range(STEPS):
            at = first + step * WARPS * 16
            start = _start_of(pages, at, position, head, zero, KV_HEADS, PAGE)
            later += (_load_step(cache, _NOTHING, start, at, -1, position, zero, D, INT8),)
        state = _see(state, queries, later, first, position, log2_scale, zero, STEPS, D, INT8)
    peak, total, result = state

    top = tl.max(peak, _WARP, keep_dims=True)
    share = tl.exp2(peak - top)
    total = tl.sum(_across(total, False) * share, _WARP, keep_dims=True)
    share /= tl.where(total == 0.0, 1.0, total)  # padding: 0
    shared = ()
    for i in tl.static_range(4 * ((D + 63) // 64)):
        shared += (result[i] * share[:, :, None],)
    attended = _of_queries(shared, table, zero, D)
    member, dims = tl.arange(0, 8), tl.arange(0, attended.shape[1])
    inside = (member < GROUP)[:, None] & (dims < D)[None, :]
    if scales is not None:
        attended *= tl.load(scales + KV_HEADS * D + dims, mask=dims < D, other=0.0)[None, :]
    if SPLITS == 1:
        column = (head * GROUP + member)[:, None] * D + dims[None, :]
        store_fragments(out, row, column, attended, inside, KV_HEADS * GROUP * D)
    else:
        place = (first_query + member) * SPLITS + split
        tl.store(found + place[:, None] * D + dims[None, :], attended, mask=inside)
        lane = spread(tl.arange(0, 32) ^ zero, _LANE, 2)
        its_place = (first_query + lane // 4) * SPLITS + split
        its_query = (lane % 4 == 0) & (lane // 4 < GROUP)
        tl.store(peaks + its_place, top, mask=its_query)
        tl.store(totals + its_place, total, mask=its_query)


@triton.jit
def _combine(
    out,
    found,
    peaks,
    totals,
    positions,
    HEADS: tl.constexpr,
    D: tl.constexpr,
    KEYS: tl.constexpr,
    SPLITS: tl.constexpr,
    SPLITS_PADDED: tl.constexpr,
    FEWEST: tl.constexpr,
    PDL: tl.constexpr,
):
    """What the splits of a row's query head have found, each with its share of the weights."""
    head, row = tl.program_id(0), tl.program_id(1)
    _, _, active = _active(tl.load(positions + row), KEYS, SPLITS, FEWEST)
    split, dims = tl.arange(0, SPLITS_PADDED), tl.arange(0, D)
    at, there = (row * HEADS + head) * SPLITS + split, split < active
    wait_for_last(PDL)
    x = tl.load(found + at[:, None] * D + dims[None, :], mask=there[:, None], other=0.0)
    peak = tl.load(peaks + at, mask=there, other=-1e30)
    weight = tl.load(totals + at, mask=there, other=0.0) * tl.exp2(peak - tl.max(peak, 0))
    total = tl.sum(weight, 0)
    share = weight / tl.where(total == 0.0, 1.0, total)
    result = tl.sum(x * share[:, None], 0)
    store_fragments(out, row, head * D + dims, result, dims >= 0, HEADS * D)


def launch(
    out: Fragments,
    q: Tensor,
    cache: PagedCache,
    layer: int,
    rows: Rows,
    splits: int,
    keys: int,
    fewest: int,
    scratch: tuple[Tensor, Tensor, Tensor],
) -> None:
    """Write the attention of `q` into `out`; all are as `small_batch_attention` has checked them.

    `scratch` is sums, peaks and totals; a program has `keys` keys at once, and so many times, if it can.
    """
    m, heads, d = q.shape
    kv_heads = cache.keys.shape[2]
    word = torch.int32 if cache.scales is None else torch.int64  # eight channels are four words, or one
    cut = {"D": d, "SPLITS": splits, "FEWEST": fewest}
    with on_device(q):
        _attend[kv_heads, splits, m](
            out.halves,
            q,
            cache.keys[layer].view(word),
            cache.values[layer].view(word),
            None if cache.scales is None else cache.scales[layer],
            cache.table,
            rows.slots,
            rows.positions,
            *scratch,
            cache.table.shape[1],
            d**-0.5 * math.log2(math.e),
            0,
            **cut,
            KV_HEADS=kv_heads,
            GROUP=heads // kv_heads,
            PAGE=PAGE,
            STEPS=keys // (16 * WARPS),
            WARPS=WARPS,
            INT8=cache.scales is not None,
            num_warps=WARPS,
            **pdl(q.device),
        )
        if splits > 1:
            _combine[heads, m](
                out.halves,
                *scratch,
                rows.positions,
                **cut,
                HEADS=heads,
                KEYS=keys,
                SPLITS_PADDED=triton.next_power_of_2(splits),
                num_warps=4,
                **pdl(q.device),
            )
