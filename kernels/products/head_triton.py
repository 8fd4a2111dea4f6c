"""The Triton kernel of `head.py`: a program per tile of the vocabulary and block of rows."""

# mypy: disable-error-code="no-untyped-def, untyped-decorator"
# ruff: noqa: ANN001, ANN202, N803  (a kernel's arguments are Triton's, and its constants are capitals)

import triton
import triton.language as tl
from torch import Tensor

from kernels.device import on_device
from kernels.formats.quantized import Quantized
from kernels.products.product_triton import row_products
from kernels.sampling.sample_triton import keep_best
from kernels.sampling.state import TILE, SamplingState


@triton.jit(do_not_specialize=["tokens"])
def _head(
    logits,
    x,
    wanted,
    norm,
    codes,
    scales,
    minima,
    penalties,
    slots,
    seen,
    best,
    best_tokens,
    tokens,
    eps,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    BITS: tl.constexpr,
    TOKENS: tl.constexpr,
    BLOCK_M: tl.constexpr,
    TILE: tl.constexpr,
    BLOCKS: tl.constexpr,
    SPLITS: tl.constexpr,
    STAGES: tl.constexpr,
):
    first, tile = tl.program_id(0) * TOKENS, tl.program_id(1)
    rows = tile * TILE + tl.arange(0, TILE)
    live = rows < ROWS
    given, matrix = (x, norm, eps, wanted, first, tokens), (codes, scales, minima, rows, live)
    result = row_products(given, matrix, COLUMNS, BITS, BLOCKS, SPLITS, TOKENS, BLOCK_M, STAGES)
    each: tl.constexpr = BLOCK_M // TOKENS
    lanes = tl.arange(0, BLOCK_M)
    token = (first + lanes // each).to(tl.int64)
    there = (lanes % each == 0) & (token < tokens)
    inside = there[:, None] & live[None, :]
    tl.store(logits + token[:, None] * ROWS + rows[None, :], result, mask=inside)
    if best is not None:
        sampling = (penalties, slots, seen, best, best_tokens)
        keep_best(sampling, result, token, there, rows, live, tile, tl.num_programs(1), ROWS)


def launch(
    out: Tensor,
    x: Tensor,
    norm: Tensor | None,
    w: Quantized,
    eps: float,
    wanted: Tensor | None,
    sampling: SamplingState | None,
) -> None:
    """Write logits into `out`; all are as `head` has checked them. With `norm` x is normalised first."""
    n = len(out)
    block_m, blocks, warps, stages = choose_tile(n, w.columns)
    # Not below 4, as in `linear_triton.tokens_loaded`: the order of a row's sums would differ.
    tokens = min(block_m, max(4, triton.next_power_of_2(n)))
    with on_device(x):
        _head[triton.cdiv(n, tokens), triton.cdiv(w.rows, TILE)](
            out,
            x,
            wanted,
            norm,
            w.codes,
            w.scales,
            w.minima,
            *((None,) * 5 if sampling is None else sampling.of_head),
            n,
            eps,
            ROWS=w.rows,
            COLUMNS=w.columns,
            BITS=w.bits,
            TOKENS=tokens,
            BLOCK_M=block_m,
            TILE=TILE,
            BLOCKS=blocks,
            SPLITS=warps,
            STAGES=stages,
            num_warps=warps,
            num_stages=stages,
        )


def choose_tile(n: int, columns: int) -> tuple[int, int, int, int]:
    """Rows of x a program, blocks of 32 columns a step and warp, warps, and stages.

    One way for all up to 16 rows, so that a row's logits are the same to the bit whatever is beside it.
    """
    if n <= 16:
        return 16, 2 if columns <= 1536 else 4, 4, 3
    return 32 if n <= 32 else 64, 2, 4, 3
