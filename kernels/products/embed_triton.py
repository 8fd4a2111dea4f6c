"""The Triton kernel of `embed.py`: a program per token and up to 1024 columns."""

# mypy: disable-error-code="no-untyped-def, untyped-decorator"
# ruff: noqa: ANN001, ANN202, N803  (a kernel's arguments are Triton's, and its constants are capitals)

import triton
import triton.language as tl
from torch import Tensor

from kernels.device import on_device, pdl
from kernels.formats.fragments import Fragments
from kernels.formats.fragments_triton import store_fragments, store_squares, wait_for_last
from kernels.formats.quantized import BLOCK, Quantized


@triton.jit
def _embed(
    out,
    halves,
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
    if halves is not None:
        store_fragments(
            halves, row, columns, x * tl.load(norm + columns, mask=inside, other=0.0), inside, WIDTH
        )
        group = tl.program_id(1) * (COLUMNS // 16) + tl.arange(0, COLUMNS // 16)
        x = tl.reshape(x, [COLUMNS // 16, 16])
        store_squares(squares, row, group, x, group * 16 < WIDTH, WIDTH)


def launch(
    out: Tensor, tokens: Tensor, embedding: Quantized, norm: Tensor | None, fragments: Fragments | None
) -> None:
    """Write the rows into `out`, and, times `norm`, into `fragments`; all are as `embed` has checked them."""
    width = embedding.columns
    columns = min(1024, triton.next_power_of_2(width))
    with on_device(out):
        _embed[len(tokens), triton.cdiv(width, columns)](
            out,
            None if fragments is None else fragments.halves,
            None if fragments is None else fragments.squares,
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
