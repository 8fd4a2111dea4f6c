"""Quantized rows times one vector in whole numbers, as the persistent llama kernel multiplies.

The vector is rounded to 16 bits, its high and low bytes apart: the instruction `dp4a` multiplies four codes
with four of them. So no weight is unpacked, and the sum over a block is exact.
"""

# mypy: disable-error-code="no-untyped-def, untyped-decorator"
# ruff: noqa: ANN001, ANN201, ANN202, N803, N806  (a kernel's arguments are Triton's, its constants capitals)

from typing import Any, NamedTuple

import triton
import triton.language as tl

from kernels.quantized_triton import INTERPRETED


class QuantizedRows(NamedTuple):
    """R rows of B blocks of 32 weights: code * scale + least, or code * scale in 8 bits."""

    codes: Any  # int32 [R, B, bits]: eight of 4 bits or four of 8, see `quantized.Quantized`
    scale: Any  # float16 [R, B]
    least: Any  # float16 [R, B]


class Packed(NamedTuple):
    """A vector of B blocks of 32: (256 * high + low) * scale."""

    bytes: Any  # int32 [B, 8, 2]: high ones and low ones of four neighbours each, signed
    scale: Any  # float32 [B, 2]: a block's scale, and the sum of its values


@triton.jit
def load(matrix, first, rows, live, zero, P: tl.constexpr):
    """Rows [R] of a matrix that begins at block `first`; zeros for blocks that are not `live` [R, B].

    `zero` is 0, which the compiler must not know: it would load two scales a thread, and then carry them
    through shared memory to the threads that hold their codes.
    """
    at = rows[:, None] * P.row_blocks + (tl.arange(0, P.lanes) ^ zero)[None, :]
    scale = tl.load(matrix.scales + first + at, mask=live, other=0.0)
    where = matrix.codes + first * P.bits + at[:, :, None] * P.bits + tl.arange(0, P.bits)[None, None, :]
    codes = tl.load(where, mask=live[:, :, None], other=0)
    if P.bits == 8:
        least = scale
    elif matrix.minima is None:
        least = scale * -8.0
    else:
        least = tl.load(matrix.minima + first + at, mask=live, other=0.0)
    return QuantizedRows(codes, scale, least)


@triton.jit
def pack(x):
    """Round x [32 * B]; an error is at most 1.6e-5 of a block's largest."""
    B: tl.constexpr = x.shape[0] // 32
    blocks = tl.reshape(x, [B, 32])
    scale = tl.maximum(tl.max(tl.abs(blocks), 1), 1e-30) / 32512.0  # the high byte stays in -127 .. 127
    whole = tl.floor(blocks * (1.0 / scale)[:, None] + 0.5).to(tl.int32)
    total = tl.sum(whole, 1).to(tl.float32) * scale
    high = (whole + 128) >> 8
    place = (tl.arange(0, 4) * 8)[None, None, :]
    high_words = tl.sum((tl.reshape(high, [B, 8, 4]) & 255) << place, 2)
    low_words = tl.sum((tl.reshape(whole - (high << 8), [B, 8, 4]) & 255) << place, 2)
    # Joined, as they go through shared memory together.
    return Packed(tl.join(high_words, low_words), tl.join(scale, total))


@triton.jit
def dot(rows, x, P: tl.constexpr):
    """`QuantizedRows` times a `Packed` vector: float32 [R]."""
    none = rows.codes * 0
    scale, total = tl.split(x.scale)
    if P.bits == 8:
        high, low = tl.split(x.bytes)
        of_high = _dot4(rows.codes, high[None, :, :], none, True)
        of_low = _dot4(rows.codes, low[None, :, :], none, True)
    else:
        # A word has four of columns 0 to 15 of its block in its bytes' low halves, of 16 to 31 in the high.
        B: tl.constexpr = rows.codes.shape[1]
        left, right = tl.split(tl.permute(tl.reshape(x.bytes, [B, 2, 4, 2]), (0, 2, 3, 1)))  # [B, 4, 2]
        left_high, left_low = tl.split(left)
        right_high, right_low = tl.split(right)
        left_codes, right_codes = rows.codes & 0x0F0F0F0F, (rows.codes >> 4) & 0x0F0F0F0F
        of_high = _dot4(left_codes, left_high[None, :, :], none, False)
        of_high = _dot4(right_codes, right_high[None, :, :], of_high, False)
        of_low = _dot4(left_codes, left_low[None, :, :], none, False)
        of_low = _dot4(right_codes, right_low[None, :, :], of_low, False)
    products = tl.sum((of_high << 8) + of_low, 2).to(tl.float32) * scale[None, :] * rows.scale.to(tl.float32)
    if P.bits == 4:
        products += total[None, :] * rows.least.to(tl.float32)
    return tl.sum(products, 1)


@triton.jit
def _dot4(codes, x, to, SIGNED: tl.constexpr):
    """`to` + the sum of four products of bytes; those of x are signed, those of `codes` if SIGNED."""
    if INTERPRETED:
        for i in tl.static_range(4):
            code = (codes >> (8 * i)) & 255
            if SIGNED:
                code = (code ^ 128) - 128
            to += code * ((((x >> (8 * i)) & 255) ^ 128) - 128)
        return to
    return tl.inline_asm_elementwise(
        "dp4a.s32.s32 $0, $1, $2, $3;" if SIGNED else "dp4a.u32.s32 $0, $1, $2, $3;",
        "=r,r,r,r",
        [codes, x, to],
        dtype=tl.int32,
        is_pure=True,
        pack=1,
    )
