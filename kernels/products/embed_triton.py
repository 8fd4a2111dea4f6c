"""The Triton kernel of `embed.py`: a program per token and up to 1024 columns."""

# ruff: noqa: ANN001, ANN202, N803  (a kernel's arguments are Triton's, and its constants are capitals)

import contextlib

import torch
import triton
import triton.language as tl
from torch import Tensor

from kernels.formats.packed import Packed
from kernels.formats.packed_triton import pack, pack_squares, pdl, wait_for_last
from kernels.formats.quantized import BLOCK, Quantized


@triton.jit  # type: ignore[untyped-decorator]
def _embed(  # type: ignore[no-untyped-def]
    out,
    packed,
    squares,
    tokens,
    codes,
    scales,
    minima,
    norm,
    vocabulary,
    WIDTH: tl.constexpr,
    COLUMNS: tl.constexpr,
    BITS: tl.constexpr,
    BLOCK: tl.constexpr,
    PDL: tl.constexpr,
):
    wait_for_last(PDL)
    row = tl.program_id(0).to(tl.int64)
    token = tl.load(tokens + row).to(tl.int64)
    columns = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    inside = columns < WIDTH
    known = inside & (token >= 0) & (token < vocabulary)
    blocks = token * (WIDTH // BLOCK) + columns // BLOCK
    scale = tl.load(scales + blocks, mask=known, other=0.0).to(tl.float32)
    if BITS == 8:
        x = tl.load(codes + token * WIDTH + columns, mask=known, other=0).to(tl.float32) * scale
    else:
        both = tl.load(codes + blocks * (BLOCK // 2) + columns % (BLOCK // 2), mask=known, other=0)
        code = tl.where(columns % BLOCK < BLOCK // 2, both & 15, both >> 4).to(tl.float32)
        if minima is None:
            x = (code - 8) * scale
        else:
            x = code * scale + tl.load(minima + blocks, mask=known, other=0.0).to(tl.float32)
    tl.store(out + row * WIDTH + columns, x, mask=inside)
    if packed is not None:
        pack(packed, row, columns, x * tl.load(norm + columns, mask=inside, other=0.0), inside, WIDTH)
        group = tl.program_id(1) * (COLUMNS // 16) + tl.arange(0, COLUMNS // 16)
        x = tl.reshape(x, [COLUMNS // 16, 16])
        pack_squares(squares, row, group, x, group * 16 < WIDTH, WIDTH)


def launch(
    out: Tensor, tokens: Tensor, embedding: Quantized, norm: Tensor | None, packed: Packed | None
) -> None:
    """Write the rows into `out`, and, times `norm`, into `packed`; all are as `embed` has checked them."""
    width = embedding.columns
    columns = min(1024, triton.next_power_of_2(width))
    with torch.cuda.device(out.device) if out.is_cuda else contextlib.nullcontext():
        _embed[len(tokens), triton.cdiv(width, columns)](
            out,
            None if packed is None else packed.halves,
            None if packed is None else packed.squares,
            tokens,
            embedding.codes,
            embedding.scales,
            embedding.minima,
            norm,
            embedding.rows,
            WIDTH=width,
            COLUMNS=columns,
            BITS=embedding.bits,
            BLOCK=BLOCK,
            num_warps=4,
            **pdl(out.device),
        )
