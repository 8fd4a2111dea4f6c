"""The Triton kernel of `qkv.py`: a program per some rows of the matrix and some tokens."""

# mypy: disable-error-code="no-untyped-def, untyped-decorator"
# ruff: noqa: ANN001, ANN201, ANN202, N803  (a kernel's arguments are Triton's, and its constants are capitals)

from dataclasses import dataclass

import triton
import triton.language as tl
from torch import Tensor

from kernels.device import on_device
from kernels.formats.llama import PAGE, PagedCache, Rows, Weights
from kernels.formats.quantized_triton import low_columns, weight_tiles
from kernels.products.product_triton import row_products

ALIKE = 16
"""Tokens of a program that splits the columns over its warps; any number up to it gives the same bits."""

_NORM_SCALE = tl.constexpr(0.125)  # as in product_triton.py: float16 ends at 65504
_ROUND = tl.constexpr(12582912.0)  # 1.5 * 2 ** 23: a float32 beside it has no room for fractions


@dataclass(frozen=True)
class Tile:
    """What a program computes at once, and with what."""

    tokens: int
    rows: int  # of the matrix
    blocks: int  # of 32 columns a step, in each part
    parts: int  # of the columns, one a warp; 0: the warps share tokens and rows instead
    warps: int
    stages: int


@triton.jit
def _tile_products(
    given, matrix, COLUMNS: tl.constexpr, BITS: tl.constexpr, BLOCKS: tl.constexpr, STAGES: tl.constexpr
):
    """As `row_products`, for many tokens [M], of which some are there: float32 [M, N]."""
    x, norm, eps, token, there = given
    row_blocks: tl.constexpr = COLUMNS // 32
    start = x + token.to(tl.int64)[:, None] * COLUMNS
    sums = tl.zeros([token.shape[0], matrix[3].shape[0]], tl.float32)
    squares = tl.zeros([token.shape[0]], tl.float32)
    for block in tl.range(0, row_blocks, BLOCKS, num_stages=STAGES):
        columns = low_columns(block, BLOCKS)
        inside = there[:, None] & (columns < COLUMNS)[None, :]
        low = tl.load(start + columns[None, :], mask=inside, other=0.0)
        high = tl.load(start + columns[None, :] + 16, mask=inside, other=0.0)
        squares += tl.sum(low * low + high * high, 1)
        low *= tl.load(norm + columns, mask=columns < COLUMNS, other=0.0)[None, :] * _NORM_SCALE
        high *= tl.load(norm + columns + 16, mask=columns < COLUMNS, other=0.0)[None, :] * _NORM_SCALE
        low_weights, high_weights = weight_tiles(matrix, block, row_blocks, BITS, BLOCKS)
        sums = tl.dot(low.to(tl.float16), low_weights.T, sums)
        sums = tl.dot(high.to(tl.float16), high_weights.T, sums)
    return sums * (tl.rsqrt(squares / COLUMNS + eps) / _NORM_SCALE)[:, None]


@triton.jit
def _cache_codes(x, scales, channel, mask, INT8: tl.constexpr):
    """Values [M, N] as the cache holds them; `scales` is of the keys or the values, `channel` [N] of both."""
    if INT8:
        scale = tl.load(scales + channel, mask=mask, other=1.0)
        codes = tl.minimum(tl.maximum(x / scale[None, :], -127.0), 127.0)
        result = ((codes + _ROUND) - _ROUND).to(tl.int8)  # to the nearest, halves to even
    else:
        result = x.to(tl.float16)
    return result


@triton.jit
def turns(cos, sin, position, rows, TURNED: tl.constexpr, D: tl.constexpr):
    """Cosines and sines [M, N / 2] of pairs of rows; 1 and 0 for heads not TURNED, and for padding."""
    pair, _ = tl.split(tl.reshape(rows, rows.shape[0] // 2, 2))
    turned = (position >= 0)[:, None] & (pair < TURNED * D)[None, :]
    angle = position[:, None] * (D // 2) + (pair % D // 2)[None, :]
    return tl.load(cos + angle, mask=turned, other=1.0), tl.load(sin + angle, mask=turned, other=0.0)


@triton.jit
def norm_heads(
    x, squares, q_norm, k_norm, rows, live, eps, HEADS: tl.constexpr, KV_HEADS: tl.constexpr, D: tl.constexpr
):
    """RMSNorm of a head [M, N] of q or k, of which `squares` [M] is the sum; one of v is left as it is."""
    weight = tl.load(q_norm + rows % D, mask=live & (rows < HEADS * D), other=0.0)
    is_key = live & (rows >= HEADS * D) & (rows < (HEADS + KV_HEADS) * D)
    weight += tl.load(k_norm + rows % D, mask=is_key, other=0.0)
    normed = x * tl.rsqrt(squares / D + eps)[:, None] * weight[None, :]
    return tl.where((rows < (HEADS + KV_HEADS) * D)[None, :], normed, x)


@triton.jit
def turn_and_store(
    targets,
    x,
    token,
    rows,
    live,
    cosine,
    sine,
    HEADS: tl.constexpr,
    KV_HEADS: tl.constexpr,
    D: tl.constexpr,
    PAGE: tl.constexpr,
):
    """Rotate rows [M, N] of q, k and v, and put them where they belong.

    `targets` are q, keys, values and the cache's scales; `token` is which tokens, which of them there are,
    their positions and pages, [M] each. Of padding nothing goes into the cache.
    """
    q, keys, values, cache_scales = targets
    which, there, position, page = token
    even, odd = tl.split(tl.reshape(x, [x.shape[0], x.shape[1] // 2, 2]))
    x = tl.reshape(tl.join(even * cosine - odd * sine, even * sine + odd * cosine), x.shape)
    at = which[:, None] * (HEADS * D) + rows[None, :]
    tl.store(q + at, x.to(tl.float16), mask=there[:, None] & (live & (rows < HEADS * D))[None, :])
    stored = there & (position >= 0)
    token_at = page * (KV_HEADS * PAGE * D) + position % PAGE * D
    is_int8: tl.constexpr = cache_scales is not None
    for part in tl.static_range(2):
        channel = rows - (HEADS + part * KV_HEADS) * D  # of all heads of keys, or of values
        own = live & (channel >= 0) & (channel < KV_HEADS * D)
        target = token_at[:, None] + (channel // D * (PAGE * D) + channel % D)[None, :]
        part_scales = cache_scales + part * KV_HEADS * D if is_int8 else cache_scales
        stored_as = _cache_codes(x, part_scales, channel, own, is_int8)
        tl.store((values if part else keys) + target, stored_as, mask=stored[:, None] & own[None, :])


@triton.jit(do_not_specialize=["tokens", "table_width"])
def _project(
    q,
    keys,
    values,
    x,
    norm,
    codes,
    scales,
    minima,
    bias,
    q_norm,
    k_norm,
    cos,
    sin,
    cache_scales,
    table,
    slots,
    positions,
    tokens,
    table_width,
    eps,
    COLUMNS: tl.constexpr,
    HEADS: tl.constexpr,
    KV_HEADS: tl.constexpr,
    D: tl.constexpr,
    PAGE: tl.constexpr,
    BITS: tl.constexpr,
    TOKENS: tl.constexpr,
    BLOCK_M: tl.constexpr,
    BLOCK_N: tl.constexpr,
    STEP_N: tl.constexpr,
    BLOCKS: tl.constexpr,
    PARTS: tl.constexpr,
    STAGES: tl.constexpr,
):
    """Rows program_id(0) * STEP_N .. + STEP_N - 1 of the matrix for tokens program_id(1) * TOKENS and on.

    With norms of heads STEP_N is D, so that a program has a whole head.
    """
    lanes = tl.arange(0, BLOCK_N)
    rows = tl.program_id(0) * STEP_N + lanes
    live = (lanes < STEP_N) & (rows < (HEADS + 2 * KV_HEADS) * D)
    first = tl.program_id(1) * TOKENS
    place = tl.arange(0, BLOCK_M)
    token = first + place // (BLOCK_M // TOKENS)
    there = (token < tokens) & (place % (BLOCK_M // TOKENS) == 0)
    # Before the product, which hides how long these take.
    position = tl.load(positions + token, mask=there, other=-1)
    stored = there & (position >= 0)
    slot = tl.load(slots + token, mask=stored, other=0).to(tl.int64)
    page = tl.load(table + slot * table_width + position // PAGE, mask=stored, other=0).to(tl.int64)
    matrix = (codes, scales, minima, rows, live)
    if PARTS:
        cosine, sine = turns(cos, sin, position, rows, HEADS + KV_HEADS, D)
        given = (x, norm, eps, None, first, tokens)
        result = row_products(given, matrix, COLUMNS, BITS, BLOCKS, PARTS, TOKENS, BLOCK_M, STAGES)
    else:
        result = _tile_products((x, norm, eps, token, there), matrix, COLUMNS, BITS, BLOCKS, STAGES)
        # Only now: many tokens' would have taken registers from the product.
        cosine, sine = turns(cos, sin, position, rows, HEADS + KV_HEADS, D)
    if bias is not None:
        result += tl.load(bias + rows, mask=live, other=0.0)[None, :]
    if q_norm is not None:
        squares = tl.sum(result * result, 1)  # rows past the head's end are zero
        result = norm_heads(result, squares, q_norm, k_norm, rows, live, eps, HEADS, KV_HEADS, D)
    targets, its_token = (q, keys, values, cache_scales), (token, there, position, page)
    turn_and_store(targets, result, its_token, rows, live, cosine, sine, HEADS, KV_HEADS, D, PAGE)


def launch(q: Tensor, x: Tensor, weights: Weights, layer: int, cache: PagedCache, rows: Rows) -> None:
    """Write q, and keys and values into the cache; all are as `qkv` has checked them."""
    shape, matrix, m = weights.shape, weights.qkv, len(x)
    per_head = weights.q_norm is not None
    tile = choose_tile(m, shape.qkv_rows, triton.next_power_of_2(shape.head_dim) if per_head else None)
    step = shape.head_dim if per_head else tile.rows

    def of_layer(tensor: Tensor | None) -> Tensor | None:
        return None if tensor is None else tensor[layer]

    with on_device(x):
        _project[triton.cdiv(shape.qkv_rows, step), triton.cdiv(m, tile.tokens)](
            q,
            cache.keys[layer],
            cache.values[layer],
            x,
            weights.attn_norm[layer],
            matrix.codes[layer],
            matrix.scales[layer],
            of_layer(matrix.minima),
            of_layer(weights.qkv_bias),
            of_layer(weights.q_norm),
            of_layer(weights.k_norm),
            weights.cos,
            weights.sin,
            of_layer(cache.scales),
            cache.table,
            rows.slots,
            rows.positions,
            m,
            cache.table.shape[1],
            shape.norm_eps,
            COLUMNS=shape.width,
            HEADS=shape.heads,
            KV_HEADS=shape.kv_heads,
            D=shape.head_dim,
            PAGE=PAGE,
            BITS=matrix.bits,
            TOKENS=tile.tokens,
            BLOCK_M=max(tile.tokens, ALIKE),
            BLOCK_N=tile.rows,
            STEP_N=step,
            BLOCKS=tile.blocks,
            PARTS=tile.parts,
            STAGES=tile.stages,
            num_warps=tile.warps,
        )


def choose_tile(tokens: int, rows: int, head: int | None) -> Tile:
    """`rows` of the matrix; `head` of them, padded, must be in one program if given.

    Few tokens: 16 rows a program, with the columns dealt out to 8 warps, so that a small model's matrix is
    read at once, by many processors. Many tokens: tiles as large as still give most of 132 processors work.
    """
    wide = head or 64
    if tokens > ALIKE and triton.cdiv(tokens, 128) * triton.cdiv(rows, 128) >= 132 and not head:
        return Tile(128, 128, 2, 0, 8, 3)
    if tokens > ALIKE and triton.cdiv(tokens, 64) * triton.cdiv(rows, wide) >= 96:
        return Tile(64, wide, 2, 0, 4 if wide <= 64 else 8, 3)
    wide, few = head or 16, min(max(4, triton.next_power_of_2(tokens)), ALIKE)  # 4: 16 bytes a load
    # A third stage of 16 float32 rows would leave a processor room for one program only.
    return Tile(few, wide, max(1, min(4, 128 // wide)), 8, 8, 3 if few <= 4 else 2)
