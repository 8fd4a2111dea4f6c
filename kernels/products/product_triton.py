"""Products of few rows with a quantized matrix inside a Triton kernel, with or without RMSNorm before them.

A program has BLOCK_N rows of the matrix and all their columns, dealt out to SPLITS parts, one a warp, whose
sums are added at the end: so also few rows keep many loads in flight. The order of all sums depends on BLOCKS
and SPLITS alone, so a token's result is the same to the bit whatever tokens are beside it.
"""

# mypy: disable-error-code="no-untyped-def, untyped-decorator"
# ruff: noqa: ANN001, ANN201, ANN202, N803  (a kernel's arguments are Triton's, and its constants are capitals)

import triton
import triton.language as tl

from kernels.formats.quantized_triton import split_low_columns, split_tiles

_NORM_SCALE = tl.constexpr(0.125)
"""Scale of a row times its norm's weights, divided later by its root mean square: float16 ends at 65504."""


@triton.jit
def _repeat_rows(x, BLOCK_M: tl.constexpr):
    """[S, R, C] to [S, BLOCK_M, C], each row BLOCK_M / R times: what is not loaded costs nothing."""
    parts: tl.constexpr = x.shape[0]
    rows: tl.constexpr = x.shape[1]
    columns: tl.constexpr = x.shape[2]
    if rows == BLOCK_M:
        wide = x
    elif rows == 1:
        wide = tl.broadcast_to(x, parts, BLOCK_M, columns)
    else:
        wide = tl.broadcast_to(x[:, :, None, :], parts, rows, BLOCK_M // rows, columns)
        wide = tl.reshape(wide, parts, BLOCK_M, columns)
    return wide


@triton.jit
def _sum_parts(x):
    """[S, R] to [R], neighbours first: the order must not depend on how R lies in the warps."""
    parts: tl.constexpr = x.shape[0]
    rows: tl.constexpr = x.shape[1]
    if parts == 1:
        total = tl.reshape(x, rows)
    else:
        left, right = tl.split(tl.permute(tl.reshape(x, parts // 2, 2, rows), (0, 2, 1)))
        total = _sum_parts(left + right)
    return total


@triton.jit
def _sum_columns(x):
    """[S, R, C] to [S, R], neighbours first: how C lies in threads and lanes depends on S, R and the rest."""
    parts: tl.constexpr = x.shape[0]
    rows: tl.constexpr = x.shape[1]
    columns: tl.constexpr = x.shape[2]
    if columns == 1:
        total = tl.reshape(x, parts, rows)
    else:
        left, right = tl.split(tl.reshape(x, parts, rows, columns // 2, 2))
        total = _sum_columns(left + right)
    return total


@triton.jit
def row_products(
    given,
    matrix,
    COLUMNS: tl.constexpr,
    BITS: tl.constexpr,
    BLOCKS: tl.constexpr,
    SPLITS: tl.constexpr,
    TOKENS: tl.constexpr,
    BLOCK_M: tl.constexpr,
    STAGES: tl.constexpr,
):
    """Products of tokens first_token .. + TOKENS - 1 (of `tokens`) with rows [N] of a matrix.

    float32 [BLOCK_M, N]; token i is row i * (BLOCK_M / TOKENS). `given` is (x, norm, eps, wanted,
    first_token, tokens): x is float16 [tokens, COLUMNS], or, with the weights of an RMSNorm in `norm` float32
    [COLUMNS], float32; with `wanted`, int32 [tokens], token i is row wanted[i] of x. `matrix` is as
    `weight_tiles` takes it; rows that are not live give zeros.
    """
    x, norm, eps, wanted, first_token, tokens = given
    row_blocks: tl.constexpr = COLUMNS // 32
    token = first_token + tl.arange(0, TOKENS)
    there = (token < tokens)[None, :, None]
    if wanted is not None:
        token = tl.load(wanted + token, mask=token < tokens, other=0)
    start = x + token.to(tl.int64)[None, :, None] * COLUMNS
    sums = tl.zeros([SPLITS, BLOCK_M, matrix[3].shape[0]], tl.float32)
    squares = tl.zeros([SPLITS, TOKENS, BLOCKS * 16], tl.float32)
    for block in tl.range(0, row_blocks, SPLITS * BLOCKS, num_stages=STAGES):
        columns = split_low_columns(block, BLOCKS, SPLITS)
        inside = there & (columns < COLUMNS)
        low = tl.load(start + columns, mask=inside, other=0.0)
        high = tl.load(start + columns + 16, mask=inside, other=0.0)
        if norm is not None:
            squares += low * low + high * high
            low *= tl.load(norm + columns, mask=columns < COLUMNS, other=0.0) * _NORM_SCALE
            high *= tl.load(norm + columns + 16, mask=columns < COLUMNS, other=0.0) * _NORM_SCALE
        low, high = _repeat_rows(low.to(tl.float16), BLOCK_M), _repeat_rows(high.to(tl.float16), BLOCK_M)
        low_weights, high_weights = split_tiles(matrix, block, row_blocks, BITS, BLOCKS, SPLITS)
        sums = tl.dot(low, tl.permute(low_weights, (0, 2, 1)), sums)
        sums = tl.dot(high, tl.permute(high_weights, (0, 2, 1)), sums)
    result = tl.sum(sums, 0)
    if norm is not None:
        inverse = tl.rsqrt(_sum_parts(_sum_columns(squares)) / COLUMNS + eps) / _NORM_SCALE  # [TOKENS]
        factor = tl.broadcast_to(inverse[:, None], TOKENS, BLOCK_M // TOKENS)
        result *= tl.reshape(factor, BLOCK_M)[:, None]
    return result
