"""What the persistent llama kernel brings to the L2 cache a layer ahead, each program a part of it."""

# mypy: disable-error-code="no-untyped-def, untyped-decorator"
# ruff: noqa: ANN001, ANN201, ANN202, N803, N806  (a kernel's arguments are Triton's, its constants capitals)

import triton
import triton.language as tl

from kernels.persistent_attention_triton import layer_at
from kernels.words_triton import prefetch


@triton.jit
def fetch_ahead(weights, cache, place, layer, S: tl.constexpr):
    """The next layer's weights, keys and values; in the last layers also a part of the head."""
    if layer + 1 < S.shape.layers:
        _fetch_weights(weights, layer + 1, S)
        _fetch_keys(cache, place, layer + 1, S)
        if tl.program_id(0) == S.programs - 1:  # as it has the fewest rows
            _fetch_small(weights, cache, layer + 1, S)
    PARTS: tl.constexpr = 8 if S.shape.layers >= 8 else 1
    if layer + PARTS >= S.shape.layers:
        HEAD: tl.constexpr = S.head
        ROWS: tl.constexpr = HEAD.share // PARTS
        row = tl.program_id(0) * HEAD.share + (layer + PARTS - S.shape.layers) * ROWS
        _fetch(weights.head, row, ROWS, HEAD)


@triton.jit
def _fetch_weights(weights, layer, S: tl.constexpr):
    """A program's share of a layer's matrices."""
    pid = tl.program_id(0)
    QKV: tl.constexpr = S.qkv
    GATE_UP: tl.constexpr = S.gate_up
    DOWN: tl.constexpr = S.down
    OUT: tl.constexpr = S.out
    _fetch(weights.qkv, layer * QKV.rows + pid * QKV.share, QKV.share, QKV)
    gate = layer * (2 * GATE_UP.rows) + pid * GATE_UP.share
    _fetch(weights.gate_up, gate, GATE_UP.share, GATE_UP)
    _fetch(weights.gate_up, gate + GATE_UP.rows, GATE_UP.share, GATE_UP)
    row = layer * DOWN.rows + pid * DOWN.share
    _fetch(weights.down, row, DOWN.share, DOWN)
    _fetch(weights.out, row, DOWN.share, OUT)  # of all heads: as many rows, in other shares


@triton.jit
def _fetch(matrix, row, ROWS: tl.constexpr, P: tl.constexpr):
    """So many rows. What is a little before and behind them may come too."""
    block = row * P.row_blocks
    BLOCKS: tl.constexpr = ROWS * P.row_blocks
    prefetch(matrix.codes + block * P.bits, BLOCKS * P.bits * 4)
    prefetch(matrix.scales + block, BLOCKS * 2)
    if matrix.minima is not None:
        prefetch(matrix.minima + block, BLOCKS * 2)


@triton.jit
def _fetch_keys(cache, place, layer, S: tl.constexpr):
    """A layer's keys and values, each page of a head by one program."""
    KV_HEADS: tl.constexpr = S.shape.kv_heads
    PAGE: tl.constexpr = S.page * S.shape.head_dim
    SIZE: tl.constexpr = PAGE * cache.k.dtype.element_ty.primitive_bitwidth // 8
    for item in range(tl.program_id(0), KV_HEADS * ((place.position + S.page - 1) // S.page), S.programs):
        page = tl.load(place.table + item // KV_HEADS).to(tl.int64) * KV_HEADS + item % KV_HEADS
        at = layer_at(layer, S) + page * PAGE
        prefetch(cache.k + at, SIZE)
        prefetch(cache.v + at, SIZE)


@triton.jit
def _fetch_small(weights, cache, layer, S: tl.constexpr):
    """A layer's norms and scales of keys and values."""
    WIDTH: tl.constexpr = S.shape.width
    prefetch(weights.attn_norm + layer * WIDTH, WIDTH * 4)
    prefetch(weights.ffn_norm + layer * WIDTH, WIDTH * 4)
    if cache.scales is not None:
        SCALES: tl.constexpr = 2 * S.shape.kv_heads * S.shape.head_dim
        prefetch(cache.scales + layer * SCALES, SCALES * 4)
