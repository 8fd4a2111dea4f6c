"""A phase of a layer in the persistent llama kernel: attention, and the out product of its heads.

The query heads that share a head of keys and values are a group. Each program of a group does all its
attention, then some rows of the out product with the group's heads: to divide attention would cost a hop.
"""

# mypy: disable-error-code="no-untyped-def, untyped-decorator"
# ruff: noqa: ANN001, ANN201, ANN202, N803, N806  (a kernel's arguments are Triton's, its constants capitals)

from typing import Any, NamedTuple

import triton
import triton.language as tl

from kernels.persistent_dot_triton import dot, pack
from kernels.persistent_phase_triton import load_share, of_layer, send_rows
from kernels.words_triton import receive


class Place(NamedTuple):
    """The token's position, and what follows from it for every layer.

    Where a key lies is counted from where its head's keys begin in the layer, see `_head_at`.
    """

    position: Any
    table: Any  # pointer to the pages of the sequence
    cos: Any  # [8 * head_dim]: for pairs of channels as in `_receive_group`; 1 for what is not rotated
    sin: Any
    first: Any  # int64 [tile_keys]: where the first keys lie
    own: Any  # int64: where the token's key is to lie


@triton.jit
def find_place(position, table, weights, S: tl.constexpr):
    """The `Place` of a position."""
    D: tl.constexpr = S.shape.head_dim
    pair = tl.arange(0, 8 * D)
    turns = pair // (D // 2) <= S.shape.group  # queries and key
    cos = tl.load(weights.cos + position * (D // 2) + pair % (D // 2), mask=turns, other=1.0)
    sin = tl.load(weights.sin + position * (D // 2) + pair % (D // 2), mask=turns, other=0.0)
    first = _places(table, tl.arange(0, S.tile_keys), position, S)
    page = tl.load(table + position // S.page).to(tl.int64)
    own = (page * (S.shape.kv_heads * S.page) + position % S.page) * D
    return Place(position, table, cos, sin, first, own)


@triton.jit
def first_keys(cache, place, layer, head, S: tl.constexpr):
    """The first keys and values of a head, [tile_keys, head_dim] each; zeros behind the last."""
    token = tl.arange(0, S.tile_keys)
    return _load_keys(cache, _head_at(layer, head, S), place.first, token < place.position, S)


@triton.jit
def attention(keys, values, weights, cache, place, layer, words, epoch, S: tl.constexpr):
    """Receive q, k and v, store the new key and value, send rows of the out product.

    `keys` and `values` are `first_keys` of head program % kv_heads.
    """
    P: tl.constexpr = S.out
    TASKS: tl.constexpr = S.shape.kv_heads * S.out_parts
    D: tl.constexpr = S.shape.head_dim
    # A task: the attention of one group, and the out_parts-th part of the out product's rows.
    for task in range(tl.program_id(0), TASKS, S.programs):
        head, part = task % S.shape.kv_heads, task // S.shape.kv_heads
        first = layer * (P.rows * P.row_blocks) + head * P.blocks
        share = load_share(weights.out, first, part, P, S)
        group = _receive_group(cache, place, layer, head, words, epoch, S)
        _store(group, cache, place, layer, head, part, S)
        attended = _attend_all(group, keys, values, cache, place, layer, head, S)
        channel = tl.arange(0, P.lanes * 32)
        flat = tl.gather(tl.reshape(attended, [16 * D]), channel, 0)
        packed = pack(tl.where(channel < S.shape.group * D, flat, 0.0))
        result = dot(share.weights, packed, P)
        to = of_layer(words.first, layer, S) + S.out_words
        send_rows(to, head * P.rows + share.rows, share.own, result, epoch, P, S)
        if S.programs < TASKS:
            keys, values = first_keys(cache, place, layer, (task + S.programs) % S.shape.kv_heads, S)


@triton.jit
def layer_at(layer, S: tl.constexpr):
    """Where a layer's keys begin, int64."""
    return tl.full([], S.pages * S.shape.kv_heads * S.page * S.shape.head_dim, tl.int64) * layer


@triton.jit
def _head_at(layer, head, S: tl.constexpr):
    """Where a head's keys begin in the first page of a layer, int64."""
    return layer_at(layer, S) + head * (S.page * S.shape.head_dim)


@triton.jit
def _places(table, token, position, S: tl.constexpr):
    """Where the keys of tokens [T] lie, int64; anywhere from `position` on."""
    page = tl.load(table + token // S.page, mask=token < position, other=0).to(tl.int64)
    return (page * (S.shape.kv_heads * S.page) + token % S.page) * S.shape.head_dim


@triton.jit
def _load_keys(cache, here, places, seen, S: tl.constexpr):
    """Keys and values [T, head_dim] at here + places; zeros where not `seen`."""
    where = places[:, None] + tl.arange(0, S.shape.head_dim)[None, :]
    keys = tl.load(cache.k + here + where, mask=seen[:, None], other=0, cache_modifier=".cg")
    values = tl.load(cache.v + here + where, mask=seen[:, None], other=0, cache_modifier=".cg")
    return keys, values


@triton.jit
def _receive_group(cache, place, layer, head, words, epoch, S: tl.constexpr):
    """The group's queries, its key, both rotated, its value, and zeros: 16 rows of head_dim, in one.

    With an int8 cache key and value are codes, and queries are multiplied with the key's scales instead.
    """
    D: tl.constexpr = S.shape.head_dim
    GROUP: tl.constexpr = S.shape.group
    at = tl.arange(0, 16 * D)
    row = at // D
    if cache.scales is not None:
        plane = tl.where(row <= GROUP, 0, S.shape.kv_heads) + head
        scale = tl.load(cache.scales + (layer * (2 * S.shape.kv_heads) + plane) * D + at % D)
    four = tl.arange(0, 4 * D) * 4
    to_row = four // D
    query = head * GROUP + to_row
    key_or_value = S.shape.heads + head + (to_row - GROUP) * S.shape.kv_heads
    from_row = tl.where(to_row < GROUP, query, key_or_value)
    heard = of_layer(words.copy, layer, S)
    group = receive(heard, from_row * D + four % D, epoch, to_row < GROUP + 2)
    even, odd = tl.split(tl.reshape(group, [8 * D, 2]))
    group = tl.join(even * place.cos - odd * place.sin, odd * place.cos + even * place.sin)
    group = tl.reshape(group, [16 * D])
    if cache.scales is not None:
        group = tl.where(row < GROUP, group * scale, _code(group, scale))
    return group


@triton.jit
def _code(x, scale):
    """The int8 code of x, as float32."""
    half = 12582912.0  # 1.5 * 2^23: what is added to it is rounded to a whole number, halves to even
    return tl.minimum(tl.maximum((x / scale + half) - half, -127.0), 127.0)


@triton.jit
def _store(group, cache, place, layer, head, part, S: tl.constexpr):
    """Put the token's key and value into the cache; the first program of a group does."""
    at = tl.arange(0, 16 * S.shape.head_dim)
    row = at // S.shape.head_dim
    here = _head_at(layer, head, S)
    if part == 0:
        stored = group.to(cache.k.dtype.element_ty)
        tl.store(cache.k + here + place.own + at % S.shape.head_dim, stored, mask=row == S.shape.group)
        tl.store(cache.v + here + place.own + at % S.shape.head_dim, stored, mask=row == S.shape.group + 1)


@triton.jit
def _attend_all(group, keys, values, cache, place, layer, head, S: tl.constexpr):
    """What each query attends to, [16, head_dim]: of the token itself, the first keys, and the others."""
    D: tl.constexpr = S.shape.head_dim
    GROUP: tl.constexpr = S.shape.group
    token, position = tl.arange(0, S.tile_keys), place.position
    rows = tl.reshape(group, [16, D]).to(tl.float16)
    log2_scale = 1.4426950408889634 * D**-0.5  # softmax in powers of two
    # The token itself: its key and value are rows of the same tile as the queries.
    column = tl.arange(0, 16)[None, :]
    scores = tl.dot(rows, tl.trans(rows)) * log2_scale
    peak = tl.sum(tl.where(column == GROUP, scores, 0.0), 1)
    total = tl.full([16], 1.0, tl.float32)
    # It begins with a weight of 1. `peak == peak` gives the weights their 16 rows.
    itself = tl.where((column == GROUP + 1) & (peak == peak)[:, None], 1.0, 0.0).to(tl.float16)
    sums = tl.dot(itself, rows)
    peak, total, sums = _attend(rows, keys, values, token < position, peak, total, sums, log2_scale)
    here = _head_at(layer, head, S)
    for begin in tl.range(S.tile_keys, position, S.tile_keys, num_stages=1):
        later = begin + token
        places = _places(place.table, later, position, S)
        keys, values = _load_keys(cache, here, places, later < position, S)
        peak, total, sums = _attend(rows, keys, values, later < position, peak, total, sums, log2_scale)
    attended = sums / total[:, None]
    if cache.scales is not None:
        scales = cache.scales + ((layer * 2 + 1) * S.shape.kv_heads + head) * D
        attended *= tl.load(scales + tl.arange(0, D))[None, :]
    return attended


@triton.jit
def _attend(queries, keys, values, seen, peak, total, sums, log2_scale):
    """Online softmax over a tile: float16 queries [16, D], keys and values [T, D] of which `seen` [T]."""
    scores = tl.dot(queries, tl.trans(keys.to(tl.float16))) * log2_scale
    scores = tl.where(seen[None, :], scores, float("-inf"))
    new_peak = tl.maximum(peak, tl.max(scores, 1))
    shrink = tl.exp2(peak - new_peak)
    weights = tl.exp2(scores - new_peak[:, None])
    total = total * shrink + tl.sum(weights, 1)
    sums = tl.dot(weights.to(tl.float16), values.to(tl.float16), sums * shrink[:, None])
    return new_peak, total, sums
