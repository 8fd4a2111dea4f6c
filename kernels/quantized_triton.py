"""Tiles of quantized weights inside a Triton kernel; see `quantized.py` for their layout."""

# ruff: noqa: ANN001, ANN201, N803  (a kernel's arguments are Triton's, and its constants are capitals)

import triton
import triton.language as tl


@triton.jit  # type: ignore[untyped-decorator]
def low_columns(first_block, BLOCKS: tl.constexpr):  # type: ignore[no-untyped-def]
    """The columns that the first tile of `weight_tiles` holds, [BLOCKS * 16]; the second is 16 further on."""
    lanes = tl.arange(0, BLOCKS * 16)
    return (first_block + lanes // 16) * 32 + lanes % 16


@triton.jit  # type: ignore[untyped-decorator]
def weight_tiles(  # type: ignore[no-untyped-def]
    codes,
    scales,
    minima,
    rows,
    live,
    first_block,
    row_blocks,
    BITS: tl.constexpr,
    BLOCKS: tl.constexpr,
):
    """Weights of `rows` [R] in blocks first_block .. first_block + BLOCKS - 1 of their row_blocks.

    Two float16 tiles [R, BLOCKS * 16], with the columns of `low_columns` and those 16 further on. The
    pointers are of the layer's matrix. Zeros where `live` [R] is false and past the row's end.
    """
    lanes = tl.arange(0, BLOCKS * 16)
    block = first_block + lanes // 16
    inside = live[:, None] & (block < row_blocks)[None, :]
    at = rows[:, None] * row_blocks + block[None, :]
    scale = tl.load(scales + at, mask=inside, other=0.0)
    if BITS == 8:
        where = codes + at * 32 + (lanes % 16)[None, :]
        low = tl.load(where, mask=inside, other=0).to(tl.float16) * scale
        high = tl.load(where + 16, mask=inside, other=0).to(tl.float16) * scale
    else:
        packed = tl.load(codes + at * 16 + (lanes % 16)[None, :], mask=inside, other=0)
        least = scale * -8.0 if minima is None else tl.load(minima + at, mask=inside, other=0.0)
        low = (packed & 15).to(tl.float16) * scale + least
        high = (packed >> 4).to(tl.float16) * scale + least
    return low.to(tl.float16), high.to(tl.float16)
