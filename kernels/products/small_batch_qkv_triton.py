"""The Triton kernel of `small_batch.qkv`: a program per some rows of q, k and v, and some tokens."""

# mypy: disable-error-code="no-untyped-def, untyped-decorator"
# ruff: noqa: ANN001, ANN202, N803, N806  (a kernel's arguments are Triton's, and its constants are capitals)

import torch
import triton
import triton.language as tl
from torch import Tensor

from kernels.device import on_device
from kernels.formats.fragments import Fragments
from kernels.formats.fragments_triton import (
    NEIGHBOURS,
    first_steps,
    fragment_products,
    in_order,
    mean_square,
    sum_pairwise,
    wait_for_last,
)
from kernels.formats.llama import PAGE, PagedCache, Rows, Weights
from kernels.products.qkv_triton import norm_heads, turn_and_store, turns
from kernels.products.small_batch_tiles import (
    choose_tile,
    compiled_for,
    grid_of,
    its_tokens,
    of_layer,
    words_of,
)


@triton.jit(do_not_specialize=["tokens", "table_width", "zero"])
def _project(
    q,
    keys,
    values,
    words,
    squares,
    codes,
    pairs,
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
    zero,
    COLUMNS: tl.constexpr,
    HEADS: tl.constexpr,
    KV_HEADS: tl.constexpr,
    D: tl.constexpr,
    PAGE: tl.constexpr,
    BITS: tl.constexpr,
    TOKENS: tl.constexpr,
    TILE: tl.constexpr,
    WARPS: tl.constexpr,
    PDL: tl.constexpr,
):
    """Tiles of TILE rows of q, k and v; with norms of heads TILE is D."""
    token, there = its_tokens(tokens, TOKENS)
    ROWS: tl.constexpr = (HEADS + 2 * KV_HEADS) * D
    x = (words, squares, tl.program_id(0) * TOKENS, tokens, None)
    matrix = (codes, pairs, zero)
    tile = tl.program_id(1)
    begun = first_steps(matrix, tile, COLUMNS, BITS, TILE, WARPS, 8, ROWS)
    # Before the product, which hides how long these take.
    position = tl.load(positions + token, mask=there, other=-1)
    stored = there & (position >= 0)
    slot = tl.load(slots + token, mask=stored, other=0).to(tl.int64)
    page = tl.load(table + slot * table_width + position // PAGE, mask=stored, other=0).to(tl.int64)
    rows = tile * TILE + tl.arange(0, TILE)
    live = rows < ROWS
    cosine, sine = turns(cos, sin, position, rows, HEADS + KV_HEADS, D)
    wait_for_last(PDL)
    result, sum_of_squares = fragment_products(
        begun, x, zero, COLUMNS, BITS, TOKENS, TILE, WARPS, 8, ROWS, True
    )
    result = tl.reshape(in_order(result, pairs, zero, NEIGHBOURS), [TOKENS, TILE])
    result *= tl.rsqrt(mean_square(sum_of_squares, pairs, zero, result.shape, COLUMNS) + eps)
    if bias is not None:
        result += tl.load(bias + rows, mask=live, other=0.0)[None, :]
    if q_norm is not None:
        its_squares = sum_pairwise(result * result)
        result = norm_heads(result, its_squares, q_norm, k_norm, rows, live, eps, HEADS, KV_HEADS, D)
    targets = (q, keys, values, cache_scales)
    its_token = (token, there, position, page)
    turn_and_store(targets, result, its_token, rows, live, cosine, sine, HEADS, KV_HEADS, D, PAGE)


def launch(q: Tensor, x: Fragments, weights: Weights, layer: int, cache: PagedCache, rows: Rows) -> None:
    """Write q, and keys and values into the cache; all are as `small_batch.qkv` has checked them."""
    shape = weights.shape
    tile = choose_tile(weights.qkv, x.rows, shape.head_dim if weights.q_norm is not None else 16)
    sizes = {"HEADS": shape.heads, "KV_HEADS": shape.kv_heads, "D": shape.head_dim, "PAGE": PAGE}
    with on_device(q):
        _project[grid_of(x.rows, shape.qkv_rows, tile)](
            q,
            cache.keys[layer],
            cache.values[layer],
            x.halves.view(torch.int32),
            x.squares,
            *words_of(weights.qkv, layer),
            of_layer(weights.qkv_bias, layer),
            of_layer(weights.q_norm, layer),
            of_layer(weights.k_norm, layer),
            weights.cos,
            weights.sin,
            of_layer(cache.scales, layer),
            cache.table,
            rows.slots,
            rows.positions,
            x.rows,
            cache.table.shape[1],
            shape.norm_eps,
            0,
            **sizes,
            TILE=tile.rows,
            **compiled_for(weights.qkv, tile, q.device),
        )
