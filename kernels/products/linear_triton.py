"""The Triton kernels of `linear.py`: products with quantized matrices, for few rows and for prompts."""

# mypy: disable-error-code="no-untyped-def, untyped-decorator"
# ruff: noqa: ANN001, ANN202, N803  (a kernel's arguments are Triton's, and its constants are capitals)

from dataclasses import dataclass

import triton
import triton.language as tl
from torch import Tensor

from kernels.device import on_device
from kernels.formats.quantized import Quantized
from kernels.formats.quantized_triton import low_columns, weight_tiles
from kernels.products.product_triton import row_products

HIDDEN_SCALE = tl.constexpr(1 / 16)


@dataclass(frozen=True)
class Tile:
    """How a product is cut: `split` names the kernel whose warps share the columns, see `choose_tile`."""

    split: bool
    tokens: int  # a program, BLOCK_M
    rows: int  # of the matrix, a program
    blocks: int  # of 32 columns, a step and part
    warps: int  # with `split` also the parts
    stages: int


@triton.jit
def _matrix_rows(ROWS: tl.constexpr, BLOCK_N: tl.constexpr, GATED: tl.constexpr):
    """The rows of a program, and which there are; of a gated pair, gate and up take turns."""
    first = tl.program_id(1) * BLOCK_N + tl.arange(0, BLOCK_N)
    rows = first // 2 + first % 2 * (ROWS // 2) if GATED else first
    return rows, first < ROWS


@triton.jit
def _finish(
    out, result, token, live_token, scale, ROWS: tl.constexpr, BLOCK_N: tl.constexpr, GATED: tl.constexpr
):
    """Add a tile to `out`, or store its silu(gate) * up; token [M] is int64."""
    if GATED:
        half: tl.constexpr = BLOCK_N // 2
        gate, up = tl.split(tl.reshape(result, result.shape[0], half, 2))
        column = tl.program_id(1) * half + tl.arange(0, half)
        inside = live_token[:, None] & (column < ROWS // 2)[None, :]
        hidden = gate * tl.sigmoid(gate) * up * HIDDEN_SCALE
        at = out + token[:, None] * (ROWS // 2) + column[None, :]
        tl.store(at, hidden.to(tl.float16), mask=inside)
    else:
        column = tl.program_id(1) * BLOCK_N + tl.arange(0, BLOCK_N)
        inside = live_token[:, None] & (column < ROWS)[None, :]
        at = out + token[:, None] * ROWS + column[None, :]
        tl.store(at, tl.load(at, mask=inside, other=0.0) + result * scale, mask=inside)


@triton.jit(do_not_specialize=["tokens"])
def _split(
    out,
    x,
    norm,
    codes,
    scales,
    minima,
    tokens,
    eps,
    scale,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    BITS: tl.constexpr,
    GATED: tl.constexpr,
    TOKENS: tl.constexpr,
    BLOCK_M: tl.constexpr,
    BLOCK_N: tl.constexpr,
    BLOCKS: tl.constexpr,
    SPLITS: tl.constexpr,
    STAGES: tl.constexpr,
):
    """One program: TOKENS tokens times BLOCK_N rows of the matrix, its columns dealt out to the warps."""
    rows, live = _matrix_rows(ROWS, BLOCK_N, GATED)
    first = tl.program_id(0) * TOKENS
    given, matrix = (x, norm, eps, None, first, tokens), (codes, scales, minima, rows, live)
    result = row_products(given, matrix, COLUMNS, BITS, BLOCKS, SPLITS, TOKENS, BLOCK_M, STAGES)
    each: tl.constexpr = BLOCK_M // TOKENS
    lanes = tl.arange(0, BLOCK_M)
    token = (first + lanes // each).to(tl.int64)
    _finish(out, result, token, (lanes % each == 0) & (token < tokens), scale, ROWS, BLOCK_N, GATED)


@triton.jit(do_not_specialize=["tokens"])
def _tiled(
    out,
    x,
    codes,
    scales,
    minima,
    tokens,
    scale,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    BITS: tl.constexpr,
    GATED: tl.constexpr,
    BLOCK_M: tl.constexpr,
    BLOCK_N: tl.constexpr,
    BLOCKS: tl.constexpr,
    STAGES: tl.constexpr,
):
    """One program: BLOCK_M tokens times BLOCK_N rows of the matrix, in the widest tensor-core products."""
    rows, live = _matrix_rows(ROWS, BLOCK_N, GATED)
    token = (tl.program_id(0) * BLOCK_M + tl.arange(0, BLOCK_M)).to(tl.int64)
    row_blocks: tl.constexpr = COLUMNS // 32
    start, matrix = x + token[:, None] * COLUMNS, (codes, scales, minima, rows, live)
    result = tl.zeros([BLOCK_M, BLOCK_N], tl.float32)
    for block in tl.range(0, row_blocks, BLOCKS, num_stages=STAGES):
        columns = low_columns(block, BLOCKS)[None, :]
        inside = (token < tokens)[:, None] & (columns < COLUMNS)
        low = tl.load(start + columns, mask=inside, other=0.0)
        high = tl.load(start + columns + 16, mask=inside, other=0.0)
        low_weights, high_weights = weight_tiles(matrix, block, row_blocks, BITS, BLOCKS)
        result = tl.dot(low, low_weights.T, result)
        result = tl.dot(high, high_weights.T, result)
    _finish(out, result, token, token < tokens, scale, ROWS, BLOCK_N, GATED)


def choose_tile(tokens: int, rows: int, columns: int) -> Tile:
    """How to cut a product of `tokens` rows with a matrix [rows, columns]: one way for all up to 16.

    Of small matrices a program takes few rows, so that all processors of an H100 have some; up to 64 tokens
    they are rather read again, from the L2 cache, than multiplied with more tokens at a time.
    """
    small = rows * columns < 1 << 21
    if tokens <= 16 or (small and tokens <= 64):
        parts = 8 if columns >= 1024 and rows <= 4224 else 4
        tile_rows = 8 if rows <= 1056 else 16 if rows <= 4224 else 32
        return Tile(True, 16, tile_rows, 2 if columns <= 1536 else 4, parts, 4 if columns <= 1536 else 3)
    if tokens <= 64 and rows <= 8448:
        return Tile(True, 32 if tokens <= 32 else 64, 16 if rows <= 2112 else 32, 2, 8, 3)
    if tokens <= 64 or -(-tokens // 128) * -(-rows // 128) < 128:
        return Tile(False, 64, 64, 4, 4, 3)
    return Tile(False, 128, 128, 4, 8, 3)


def launch(
    out: Tensor,
    x: Tensor,
    norm: Tensor | None,
    w: Quantized,
    layer: int,
    *,
    eps: float = 0.0,
    scale: float = 1.0,
    gated: bool = False,
    tile: Tile | None = None,
) -> None:
    """Add scale * x W^T to float32 `out`, or store silu(gate) * up in it; all as `linear.py` has checked it.

    With `norm` x is float32 and normalised first; only a `split` tile can do that.
    """
    tokens = len(x)
    tile = tile or choose_tile(tokens, w.rows, w.columns)
    matrix = (w.codes[layer], w.scales[layer], None if w.minima is None else w.minima[layer])
    sizes = {"ROWS": w.rows, "COLUMNS": w.columns, "BITS": w.bits, "GATED": gated, "BLOCK_M": tile.tokens}
    sizes |= {"BLOCK_N": tile.rows, "BLOCKS": tile.blocks, "STAGES": tile.stages}
    options = {"num_warps": tile.warps, "num_stages": tile.stages}
    with on_device(x):
        if tile.split:
            each = tokens_loaded(tokens, tile.tokens)
            grid = triton.cdiv(tokens, each), triton.cdiv(w.rows, tile.rows)
            sizes |= {"TOKENS": each, "SPLITS": tile.warps}
            _split[grid](out, x, norm, *matrix, tokens, eps, scale, **sizes, **options)
        else:
            grid = triton.cdiv(tokens, tile.tokens), triton.cdiv(w.rows, tile.rows)
            _tiled[grid](out, x, *matrix, tokens, scale, **sizes, **options)


def tokens_loaded(tokens: int, block: int) -> int:
    """Tokens that a program loads for a block; the rest of it repeats them.

    Not below 4: a thread would load less than 4 bytes at a time, and not ahead of its loop.
    """
    return min(block, max(4, 1 << (tokens - 1).bit_length()))
