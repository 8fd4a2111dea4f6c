"""Tiles of quantized weights inside a Triton kernel; see `quantized.py` for their layout.

Two cuts of the same matrix: `weight_tiles` gives [R, columns] to a product whose warps share the rows, and
`split_tiles` gives [S, R, columns], a part of the columns to each of S warps: of few rows a product then has
S times as many loads in flight.
"""

# mypy: disable-error-code="no-untyped-def, untyped-decorator"
# ruff: noqa: ANN001, ANN201, ANN202, N803  (a kernel's arguments are Triton's, and its constants are capitals)

import struct

import triton
import triton.language as tl

INTERPRETED = tl.constexpr(triton.knobs.runtime.interpret)


def _nibbles_asm(least: int) -> str:
    """PTX from 4 bytes to 4 low and 4 high halves, as float16: 1.75 instructions a weight with their scaling.

    The bits 0x6400 + c are the float16 1024 + c, and 0x6400 + 16 c are 1024 + 16 c; to take the 1024 off
    again is exact. Conversion instructions have half the speed or less, and Triton's code took twice as many.
    """
    low, high = (_bits(least - 1024), _bits(least - 64))
    return f"""{{ .reg .b32 a, b, l, h, s;
        prmt.b32 a, $4, 0, 0x4140; prmt.b32 b, $4, 0, 0x4342;
        mov.b32 s, 0x2c002c00; mov.b32 l, {low}; mov.b32 h, {high};
        lop3.b32 $0, a, 0x000f000f, 0x64006400, 0xea; lop3.b32 $1, b, 0x000f000f, 0x64006400, 0xea;
        lop3.b32 $2, a, 0x00f000f0, 0x64006400, 0xea; lop3.b32 $3, b, 0x00f000f0, 0x64006400, 0xea;
        add.f16x2 $0, $0, l; add.f16x2 $1, $1, l;
        fma.rn.f16x2 $2, $2, s, h; fma.rn.f16x2 $3, $3, s, h; }}"""


def _bits(value: float) -> str:
    """Two of a float16, as PTX writes 32 bits."""
    return "0x" + struct.pack(">e", value).hex() * 2


_NIBBLES, _CENTRED_NIBBLES = tl.constexpr(_nibbles_asm(0)), tl.constexpr(_nibbles_asm(-8))
_SIGNED = tl.constexpr(
    f"""{{ .reg .b32 x, o; xor.b32 x, $2, 0x80808080; mov.b32 o, {_bits(-1152)};
    prmt.b32 $0, x, 0x64646464, 0x4140; prmt.b32 $1, x, 0x64646464, 0x4342;
    add.f16x2 $0, $0, o; add.f16x2 $1, $1, o; }}"""
)
"""From 4 bytes c to 4 float16: the bits of 1024 + 128 + c, less 1152."""


@triton.jit
def low_columns(first_block, BLOCKS: tl.constexpr):
    """The columns that the first tile of `weight_tiles` holds, [BLOCKS * 16]; the second is 16 further on."""
    lanes = tl.arange(0, BLOCKS * 16)
    return (first_block + lanes // 16) * 32 + lanes % 16


@triton.jit
def split_low_columns(first_block, BLOCKS: tl.constexpr, SPLITS: tl.constexpr):
    """The columns of the first tile of `split_tiles`, [SPLITS, 1, BLOCKS * 16]; the second is 16 further."""
    lanes = tl.arange(0, BLOCKS * 16)[None, None, :]
    return (first_block + tl.arange(0, SPLITS)[:, None, None] * BLOCKS + lanes // 16) * 32 + lanes % 16


@triton.jit
def _each_16_times(x):
    """[..., B] to [..., B * 16]: a block's scale beside each of its codes, loaded once."""
    if len(x.shape) == 2:
        wide = tl.broadcast_to(x[:, :, None], x.shape[0], x.shape[1], 16)
        wide = tl.reshape(wide, x.shape[0], x.shape[1] * 16)
    else:
        wide = tl.broadcast_to(x[:, :, :, None], x.shape[0], x.shape[1], x.shape[2], 16)
        wide = tl.reshape(wide, x.shape[0], x.shape[1], x.shape[2] * 16)
    return wide


@triton.jit
def _signed(codes):
    """int8 codes as float16."""
    if INTERPRETED:
        values = codes.to(tl.float16)
    else:
        values = tl.inline_asm_elementwise(
            _SIGNED, "=r,=r,r", [codes], dtype=tl.float16, is_pure=True, pack=4
        )
    return values


@triton.jit
def _nibbles(codes, CENTRED: tl.constexpr):
    """The low and the high halves of uint8 codes as float16, less 8 if CENTRED."""
    if INTERPRETED:
        least: tl.constexpr = 8.0 if CENTRED else 0.0
        low, high = (codes & 15).to(tl.float16) - least, (codes >> 4).to(tl.float16) - least
    else:
        low, high = tl.inline_asm_elementwise(
            _CENTRED_NIBBLES if CENTRED else _NIBBLES,
            "=r,=r,=r,=r,r",
            [codes],
            dtype=(tl.float16, tl.float16),
            is_pure=True,
            pack=4,
        )
    return low, high


@triton.jit
def _of_blocks(values, row, parts, alive, row_blocks: tl.constexpr, BLOCKS: tl.constexpr):
    """Scales or minima of rows in blocks parts .. parts + BLOCKS - 1, each 16 times: [..., BLOCKS * 16].

    Two at a time where that is possible: a loop's loads run ahead of it only in pieces of 4 bytes or more a
    thread, and a thread may have only one block.
    """
    if row_blocks % 2 == 0 and BLOCKS % 2 == 0:
        lanes = tl.arange(0, BLOCKS // 2)
        word = parts // 2 + (lanes[None, :] if len(row.shape) == 2 else lanes[None, None, :])
        pairs = values.to(tl.pointer_type(tl.uint32), bitcast=True) + row * (row_blocks // 2) + word
        words = tl.load(pairs, mask=alive & (word < row_blocks // 2), other=0)
        first = (words & 0xFFFF).to(tl.uint16).to(tl.float16, bitcast=True)
        second = (words >> 16).to(tl.uint16).to(tl.float16, bitcast=True)
        both = tl.join(first, second)
        if len(row.shape) == 2:
            loaded = tl.reshape(both, both.shape[0], BLOCKS)
        else:
            loaded = tl.reshape(both, both.shape[0], both.shape[1], BLOCKS)
    else:
        lanes = tl.arange(0, BLOCKS)
        block = parts + (lanes[None, :] if len(row.shape) == 2 else lanes[None, None, :])
        loaded = tl.load(values + row * row_blocks + block, mask=alive & (block < row_blocks), other=0.0)
    return _each_16_times(loaded)


@triton.jit
def _tiles(
    matrix, row, alive, parts, lanes, row_blocks: tl.constexpr, BITS: tl.constexpr, BLOCKS: tl.constexpr
):
    codes, scales, minima = matrix
    lane_blocks = parts + lanes // 16
    block_bytes: tl.constexpr = 4 * BITS
    at = (row * row_blocks + lane_blocks) * block_bytes + lanes % 16
    inside = alive & (lane_blocks < row_blocks)
    scale = _of_blocks(scales, row, parts, alive, row_blocks, BLOCKS)
    if BITS == 8:
        low = _signed(tl.load(codes + at, mask=inside, other=0)) * scale
        high = _signed(tl.load(codes + at + 16, mask=inside, other=0)) * scale
    else:
        low, high = _nibbles(tl.load(codes + at, mask=inside, other=0), minima is None)
        if minima is None:
            low, high = low * scale, high * scale
        else:
            least = _of_blocks(minima, row, parts, alive, row_blocks, BLOCKS)
            low, high = low * scale + least, high * scale + least
    return low.to(tl.float16), high.to(tl.float16)


@triton.jit
def weight_tiles(matrix, first_block, row_blocks: tl.constexpr, BITS: tl.constexpr, BLOCKS: tl.constexpr):
    """Weights of some rows in blocks first_block .. first_block + BLOCKS - 1 of their row_blocks.

    `matrix` is the layer's codes, scales and minima, the rows [R], and which of them are live. Two float16
    tiles [R, BLOCKS * 16], with the columns of `low_columns` and those 16 further on. first_block is a
    multiple of BLOCKS. Zeros for rows that are not live and past a row's end.
    """
    codes, scales, minima, rows, live = matrix
    lanes, row, alive = tl.arange(0, BLOCKS * 16)[None, :], rows[:, None], live[:, None]
    return _tiles((codes, scales, minima), row, alive, first_block, lanes, row_blocks, BITS, BLOCKS)


@triton.jit
def split_tiles(
    matrix,
    first_block,
    row_blocks: tl.constexpr,
    BITS: tl.constexpr,
    BLOCKS: tl.constexpr,
    SPLITS: tl.constexpr,
):
    """As `weight_tiles`, of SPLITS * BLOCKS blocks: float16 [SPLITS, R, BLOCKS * 16], part by part."""
    codes, scales, minima, rows, live = matrix
    lanes = tl.arange(0, BLOCKS * 16)[None, None, :]
    parts = first_block + tl.arange(0, SPLITS)[:, None, None] * BLOCKS
    row, alive = rows[None, :, None], live[None, :, None]
    return _tiles((codes, scales, minima), row, alive, parts, lanes, row_blocks, BITS, BLOCKS)
