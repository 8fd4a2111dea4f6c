"""Products of packed rows with a quantized matrix inside a Triton kernel, and packing; see `packed.py`.

A tile has tokens, rows of a warp, warps, 32 blocks of 32 columns, one a lane, and four words of each side by
side in a thread. All that is loaded has this layout, and a lane multiplies what it has loaded: nothing goes
through shared memory. How a row is summed does not depend on what is beside it.

Which dimensions lanes and warps get is not said to Triton, but follows from their order: the innermost first,
and then, before Triton 3.7, from the first on, else from the last. So the order of a tile's dimensions, but
the innermost, depends on the version; in the wrong one, each step goes through shared memory.

A kernel asks for weights before it waits for the kernel before it (programmatic dependent launch): while one
kernel computes, the next ones' weights are on their way.
"""

# ruff: noqa: ANN001, ANN201, ANN202, N803, N806  (a kernel's arguments are Triton's, and its constants are capitals)

from typing import Any

import torch
import triton
import triton.language as tl
from triton.language.extra import cuda

DESCENDING = tuple(map(int, triton.__version__.split(".")[:2])) >= (3, 7)
TOKEN, ROW, WARP, BLOCK = map(tl.constexpr, (0, 1, 2, 3) if DESCENDING else (3, 2, 1, 0))
"""Which dimension of a tile is which."""

INTERPRETED = tl.constexpr(triton.knobs.runtime.interpret)
_LARGEST = tl.constexpr(32512.0)


def _dot_asm(kind: str) -> str:
    """PTX: 32 codes of a block times the high bytes and the low bytes of a token's columns.

    $4 to $11 are the codes, $12 to $19 the high bytes, $20 to $27 the low ones. The result is $0; Triton
    wants as many as there are words.
    """
    lines = [".reg .b32 h, l;", "mov.b32 h, 0;", "mov.b32 l, 0;"]
    for i in range(8):
        lines += [
            f"dp4a.{kind}.s32 h, ${4 + i}, ${12 + i}, h;",
            f"dp4a.{kind}.s32 l, ${4 + i}, ${20 + i}, l;",
        ]
    lines += ["shl.b32 h, h, 8;", "add.s32 $0, h, l;", *(f"mov.b32 ${i}, 0;" for i in (1, 2, 3))]
    return "{ " + " ".join(lines) + " }"


_UNSIGNED, _SIGNED = tl.constexpr(_dot_asm("u32")), tl.constexpr(_dot_asm("s32"))
_OPERANDS = tl.constexpr(",".join(["=&r"] * 4 + ["r"] * 24))


@triton.jit  # type: ignore[untyped-decorator]
def wait_for_last(PDL: tl.constexpr):  # type: ignore[no-untyped-def]
    """Wait until all that kernels before this one have written can be read, and written over.

    Only then may the next kernel begin, once all programs of this one are here: it loads while this one
    computes, and waits in its turn. If it may begin before, kernels of some layers ahead fill the processors:
    520 us a token of SmolLM2-135M rather than 430.
    """
    if PDL:
        cuda.gdc_wait()
        cuda.gdc_launch_dependents()


@triton.jit  # type: ignore[untyped-decorator]
def spread(x, AXIS: tl.constexpr, RANK: tl.constexpr):  # type: ignore[no-untyped-def]
    """x [N] along one dimension of RANK."""
    for i in tl.static_range(RANK):
        if i != AXIS:
            x = tl.expand_dims(x, i)
    return x


@triton.jit  # type: ignore[untyped-decorator]
def _load_codes(  # type: ignore[no-untyped-def]
    matrix,
    rows,
    live,
    first,
    ROW_BLOCKS: tl.constexpr,
    BITS: tl.constexpr,
):
    """Of `rows` the 32 blocks from `first` on: words of columns 0 to 15 and 16 to 31, pairs.

    `zero` is 0, which the compiler must not know: it would load several scales a thread, and carry them
    through shared memory to the threads that have their codes.
    """
    codes, pairs, zero = matrix
    blocks = spread(first + (tl.arange(0, 32) ^ zero), BLOCK, 4)
    at = rows * ROW_BLOCKS + blocks
    there = live & (blocks < ROW_BLOCKS)
    words = codes + tl.expand_dims(at, 4) * BITS + spread(tl.arange(0, 4), 4, 5)
    low = tl.load(words, mask=tl.expand_dims(there, 4), other=0)
    pair = tl.load(pairs + at, mask=there, other=0)
    high = low
    if BITS == 8:
        high = tl.load(words + 4, mask=tl.expand_dims(there, 4), other=0)
    return low, high, pair


@triton.jit  # type: ignore[untyped-decorator]
def _dot16(low, high, high0, high1, low0, low1, SIGNED: tl.constexpr):  # type: ignore[no-untyped-def]
    """Four numbers a block, row and token, whose sum is codes times columns as 16-bit numbers."""
    if INTERPRETED:
        result = low * 0 + high0 * 0
        for i in tl.static_range(4):
            for part in tl.static_range(2):
                codes = ((high if part else low) >> (8 * i)) & 255
                if SIGNED:
                    codes = (codes ^ 128) - 128
                top = ((((high1 if part else high0) >> (8 * i)) & 255) ^ 128) - 128
                bottom = ((((low1 if part else low0) >> (8 * i)) & 255) ^ 128) - 128
                result += codes * (top * 256 + bottom)
    else:
        result = tl.inline_asm_elementwise(
            _SIGNED if SIGNED else _UNSIGNED,
            _OPERANDS,
            [low, high, high0, high1, low0, low1],
            dtype=tl.int32,
            is_pure=True,
            pack=4,
        )
    return result


@triton.jit  # type: ignore[untyped-decorator]
def _pick(values, which: tl.constexpr):  # type: ignore[no-untyped-def]
    """One of the four in the last dimension, which are all in one thread."""
    return tl.sum(tl.where(spread(tl.arange(0, 4), 4, 5) == which, values, 0.0), 4)


@triton.jit  # type: ignore[untyped-decorator]
def _half(pair, SHIFT: tl.constexpr):  # type: ignore[no-untyped-def]
    """The float16 in the low half of a word, or, shifted by 16, in its high half, as float32."""
    return ((pair >> SHIFT) & 0xFFFF).to(tl.int16).to(tl.float16, bitcast=True).to(tl.float32)


@triton.jit  # type: ignore[untyped-decorator]
def _multiply(  # type: ignore[no-untyped-def]
    so_far,
    x,
    first,
    weights,
    ROW_BLOCKS: tl.constexpr,
    BITS: tl.constexpr,
    WARPS: tl.constexpr,
):
    """Add 32 blocks from `first` on, one a lane, to products of rows and tokens, and squares of tokens."""
    records, token, there = x
    low, high, pair = weights
    block = spread(first + tl.arange(0, 32), BLOCK, 4)
    same = spread(tl.zeros([WARPS], tl.int32), WARP, 4)  # each warp reads all
    at = spread(token, TOKEN, 4) * (5 * ROW_BLOCKS) + block + same
    inside = tl.expand_dims(spread(there, TOKEN, 4) & (block < ROW_BLOCKS) & (same == 0), 4)
    words = records + tl.expand_dims(at, 4) * 4 + spread(tl.arange(0, 4), 4, 5)
    plane: tl.constexpr = 4 * ROW_BLOCKS
    high0, high1 = tl.load(words, mask=inside, other=0), tl.load(words + plane, mask=inside, other=0)
    low0 = tl.load(words + 2 * plane, mask=inside, other=0)
    low1 = tl.load(words + 3 * plane, mask=inside, other=0)
    rest = tl.load(words + 4 * plane, mask=inside, other=0).to(tl.float32, bitcast=True)
    if BITS == 4:
        high = (low >> 4) & 0x0F0F0F0F
        low = low & 0x0F0F0F0F
    whole = tl.sum(_dot16(low, high, high0, high1, low0, low1, BITS == 8), 4)
    products = whole.to(tl.float32) * _pick(rest, 0) * _half(pair, 0)
    if BITS == 4:
        products += _pick(rest, 1) * _half(pair, 16)
    if so_far is None:
        sums, squares = products, _pick(rest, 2)
    else:
        sums, squares = so_far[0] + products, so_far[1] + _pick(rest, 2)
    return sums, squares


@triton.jit  # type: ignore[untyped-decorator]
def packed_products(  # type: ignore[no-untyped-def]
    x,
    matrix,
    rows,
    live,
    COLUMNS: tl.constexpr,
    BITS: tl.constexpr,
    WARPS: tl.constexpr,
    RING: tl.constexpr,
    PDL: tl.constexpr,
):
    """Packed rows times rows of a matrix, for `in_order`; and the means of squares.

    `x` is (records, tokens [T], which of them there are [T]), `matrix` (codes, pairs, zero): see
    `_load_codes`. `rows` and `live` are tiles with dimensions ROW and WARP: each warp has its own rows. Waits
    for the kernel before it, having asked for the first weights. Zeros for what is not there or not `live`.
    """
    # What is loaded last is multiplied RING steps later, in the registers in which it was loaded: to hand it
    # from one name to another would wait for it.
    R: tl.constexpr = COLUMNS // 32
    a = _load_codes(matrix, rows, live, 0, R, BITS)
    if R > 32:
        b = _load_codes(matrix, rows, live, 32, R, BITS)
    if R > 64 and RING == 4:
        c = _load_codes(matrix, rows, live, 64, R, BITS)
        d = _load_codes(matrix, rows, live, 96, R, BITS)
    wait_for_last(PDL)
    sums = _multiply(None, x, 0, a, R, BITS, WARPS)
    if R <= 32 * RING:
        if R > 32:
            sums = _multiply(sums, x, 32, b, R, BITS, WARPS)
        if R > 64:
            sums = _multiply(sums, x, 64, c, R, BITS, WARPS)
            sums = _multiply(sums, x, 96, d, R, BITS, WARPS)
    else:
        a = _load_codes(matrix, rows, live, 32 * RING, R, BITS)
        for first in range(32, R, 32 * RING):
            ahead = first + 32 * RING
            sums = _multiply(sums, x, first, b, R, BITS, WARPS)
            b = _load_codes(matrix, rows, live, ahead, R, BITS)
            if RING == 4:
                sums = _multiply(sums, x, first + 32, c, R, BITS, WARPS)
                c = _load_codes(matrix, rows, live, ahead + 32, R, BITS)
                sums = _multiply(sums, x, first + 64, d, R, BITS, WARPS)
                d = _load_codes(matrix, rows, live, ahead + 64, R, BITS)
            last = first + 32 * (RING - 1)
            sums = _multiply(sums, x, last, a, R, BITS, WARPS)
            a = _load_codes(matrix, rows, live, last + 32 * RING, R, BITS)
    return tl.sum(sums[0], BLOCK), tl.sum(sums[1], BLOCK) / COLUMNS


@triton.jit
def in_order(products):  # type: ignore[no-untyped-def]
    """What `packed_products` gives, as [T, rows]: the rows of a warp are neighbours."""
    ordered = tl.permute(products, (0, 2, 1) if TOKEN == 0 else (2, 0, 1))
    return tl.reshape(ordered, [ordered.shape[0], ordered.shape[1] * ordered.shape[2]])


@triton.jit  # type: ignore[untyped-decorator]
def each_warp(x, somewhere, zero, WARPS: tl.constexpr):  # type: ignore[no-untyped-def]
    """x [T, 32] for every warp, a column a lane: [R, 32], R = max(T, WARPS), each row of x R / T times.

    What follows needs few barriers. The load of nothing, from any pointer, makes the compiler keep to its
    layout: `zero` is 0, which it must not know.
    """
    T: tl.constexpr = x.shape[0]
    copies: tl.constexpr = max(1, WARPS // T)
    wide = tl.reshape(tl.broadcast_to(tl.expand_dims(x, 1), [T, copies, 32]), [T * copies, 32])
    lanes = tl.arange(0, T * copies)[:, None] * 0 + tl.arange(0, 32)[None, :]
    return wide + tl.load(somewhere + lanes, mask=lanes < zero, other=0).to(tl.float32)


@triton.jit
def sum_pairwise(x):  # type: ignore[no-untyped-def]
    """[N, C] to [N], neighbours first: the order must not depend on how C lies in threads and lanes."""
    N: tl.constexpr = x.shape[0]
    half: tl.constexpr = x.shape[1] // 2
    if half == 0:  # noqa: SIM108  (Triton's)
        total = tl.reshape(x, [N])
    else:
        total = sum_pairwise(tl.sum(tl.reshape(x, [N, half, 2]), 2))
    return total


@triton.jit  # type: ignore[untyped-decorator]
def pack(  # type: ignore[no-untyped-def]
    records, row, block, x, squares, live, ROW_BLOCKS: tl.constexpr
):
    """Write x [N, 32] as blocks `block` [N] of rows `row` [N] or [], where `live` [N]; squares [N]."""
    N: tl.constexpr = x.shape[0]
    scale = tl.maximum(tl.max(tl.abs(x), 1), 1e-30) / _LARGEST
    whole = tl.floor(x * (1.0 / scale)[:, None] + 0.5).to(tl.int32)
    total = tl.sum(whole, 1).to(tl.float32) * scale
    high = (whole + 128) >> 8
    place = (tl.arange(0, 4) * 8)[None, None, :]
    high_words = tl.sum((tl.reshape(high, [N, 8, 4]) & 255) << place, 2)
    low_words = tl.sum((tl.reshape(whole - (high << 8), [N, 8, 4]) & 255) << place, 2)
    plane: tl.constexpr = 4 * ROW_BLOCKS
    start = records + (row * (5 * ROW_BLOCKS) + block)[:, None] * 4
    eight, four = tl.arange(0, 8)[None, :], tl.arange(0, 4)[None, :]
    both = tl.arange(0, 2)[None, None, :] * (2 * plane)
    place = (start + eight // 4 * plane + eight % 4)[:, :, None] + both
    tl.store(
        place,
        tl.join(high_words, low_words),
        mask=live[:, None, None] & (eight >= 0)[:, :, None] & (both >= 0),
    )
    rest = tl.where(four == 0, scale[:, None], tl.where(four == 1, total[:, None], squares[:, None]))
    rest = tl.where(four == 3, 0.0, rest)
    tl.store(start + 4 * plane + four, rest.to(tl.int32, bitcast=True), mask=live[:, None] & (four >= 0))


def pdl(device: torch.device) -> dict[str, Any]:
    """Programmatic dependent launch, where there is: from compute capability 9 on."""
    there = device.type == "cuda" and torch.cuda.get_device_capability(device)[0] >= 9
    return {"PDL": there, "launch_pdl": there}
