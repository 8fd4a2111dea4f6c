"""Whole decoding steps of a llama in one kernel whose programs all stay resident; see `llama_persistent.py`.

A layer is four phases: q, k and v of the normed stream; attention with the output product of its heads; gate and
up; down. Each program computes some rows of each product and hands them on in tagged words; each keeps the
whole residual stream. Weights are asked for before a phase waits, and brought to the L2 cache a layer before.
"""

# ruff: noqa: ANN001, ANN202, N803  (a kernel's arguments are Triton's, and its constants are capitals)

import triton
import triton.language as tl

from kernels.words_triton import fence, prefetch, receive, send


@triton.jit  # type: ignore[untyped-decorator]
def _load(codes, scales, minima, rows, live, ROW_BLOCKS: tl.constexpr, B: tl.constexpr, BITS: tl.constexpr):  # type: ignore[no-untyped-def]
    """What makes up blocks [R, B] of `rows` [R]: bytes twice [R, B, 16], scales and minima [R, B].

    A row's blocks lie ROW_BLOCKS apart; `live` is [R, B].
    """
    at = rows[:, None] * ROW_BLOCKS + tl.arange(0, B)[None, :]
    lanes = tl.arange(0, 16)[None, None, :]
    inside = live[:, :, None]
    scale = tl.load(scales + at, mask=live, other=0.0)
    if BITS == 8:
        first = tl.load(codes + at[:, :, None] * 32 + lanes, mask=inside, other=0)
        second = tl.load(codes + at[:, :, None] * 32 + 16 + lanes, mask=inside, other=0)
        least = scale
    else:
        first = tl.load(codes + at[:, :, None] * 16 + lanes, mask=inside, other=0)
        second = first
        least = scale * -8.0 if minima is None else tl.load(minima + at, mask=live, other=0.0)
    return first, second, scale, least


@triton.jit  # type: ignore[untyped-decorator]
def _dot(first, second, scale, least, low, high, BITS: tl.constexpr):  # type: ignore[no-untyped-def]
    """Rows of what `_load` gave times the input, [R]; `low` and `high` [B, 16] are the halves of its blocks."""
    if BITS == 8:
        one, other = first.to(tl.float32), second.to(tl.float32)
    else:
        one, other = (first & 15).to(tl.float32), (second >> 4).to(tl.float32)
    dots = tl.sum(one * low[None, :, :] + other * high[None, :, :], 2)  # [R, B]
    products = dots * scale.to(tl.float32)
    if BITS == 4:
        products += tl.sum(low + high, 1)[None, :] * least.to(tl.float32)
    return tl.sum(products, 1)


@triton.jit  # type: ignore[untyped-decorator]
def _stream(WIDTH: tl.constexpr, PADDED: tl.constexpr):  # type: ignore[no-untyped-def]
    """Channels in the order in which `_halves` wants them, and which exist: [PADDED] each."""
    at = tl.arange(0, PADDED)
    channel = at // 32 * 32 + at % 2 * 16 + at % 32 // 2
    return channel, channel < WIDTH


@triton.jit  # type: ignore[untyped-decorator]
def _halves(x, PADDED: tl.constexpr):  # type: ignore[no-untyped-def]
    """Columns 0 to 15 and 16 to 31 of each block, [PADDED / 32, 16] each, of `x` in `_stream`'s order."""
    return tl.split(tl.reshape(x, [PADDED // 32, 16, 2]))


@triton.jit  # type: ignore[untyped-decorator]
def _normed(x, weight, WIDTH: tl.constexpr, EPS: tl.constexpr):  # type: ignore[no-untyped-def]
    return x * weight * tl.rsqrt(tl.sum(x * x, 0) / WIDTH + EPS)


@triton.jit  # type: ignore[untyped-decorator]
def _embed(codes, scales, minima, token, channel, live, ROW_BLOCKS: tl.constexpr, BITS: tl.constexpr):  # type: ignore[no-untyped-def]
    """A row of the embedding in `_stream`'s order."""
    block = token.to(tl.int64) * ROW_BLOCKS + channel // 32
    scale = tl.load(scales + block, mask=live, other=0.0).to(tl.float32)
    if BITS == 8:
        return tl.load(codes + block * 32 + channel % 32, mask=live, other=0).to(tl.float32) * scale
    packed = tl.load(codes + block * 16 + channel % 16, mask=live, other=0)
    code = tl.where(channel % 32 < 16, packed & 15, packed >> 4).to(tl.float32)
    least = scale * -8.0 if minima is None else tl.load(minima + block, mask=live, other=0.0).to(tl.float32)
    return code * scale + least


@triton.jit  # type: ignore[untyped-decorator]
def _load_keys(token, position, keys, values, table, head, D: tl.constexpr, KV_HEADS: tl.constexpr, PAGE: tl.constexpr):  # type: ignore[no-untyped-def]
    """Keys and values [T, D] of the tokens [T] before `position`, of one head; of others zeros."""
    old = token < position
    page = tl.load(table + token // PAGE, mask=old, other=0).to(tl.int64)
    where = (((page * KV_HEADS + head) * PAGE + token % PAGE) * D)[:, None] + tl.arange(0, D)[None, :]
    k_tile = tl.load(keys + where, mask=old[:, None], other=0, cache_modifier=".cg")
    v_tile = tl.load(values + where, mask=old[:, None], other=0, cache_modifier=".cg")
    return k_tile, v_tile


@triton.jit  # type: ignore[untyped-decorator]
def _attend(queries, keys, values, key, value, token, position, peak, total, sums, log2_scale):  # type: ignore[no-untyped-def]
    """Online softmax over a tile: float16 queries [16, D], keys and values [T, D], and those of `position`."""
    new = (token == position)[:, None]
    keys = tl.where(new, key[None, :].to(tl.float16), keys.to(tl.float16))
    values = tl.where(new, value[None, :].to(tl.float16), values.to(tl.float16))
    scores = tl.dot(queries, tl.trans(keys)) * log2_scale
    scores = tl.where((token <= position)[None, :], scores, float("-inf"))
    new_peak = tl.maximum(peak, tl.max(scores, 1))
    shrink = tl.exp2(peak - new_peak)
    weights = tl.exp2(scores - new_peak[:, None])
    total = total * shrink + tl.sum(weights, 1)
    sums = tl.dot(weights.to(tl.float16), values, sums * shrink[:, None])
    return new_peak, total, sums


@triton.jit  # type: ignore[untyped-decorator]
def _code(x, scale):  # type: ignore[no-untyped-def]
    """The int8 code of x, as float32."""
    half = 12582912.0  # 1.5 * 2^23: what is added to it is rounded to a whole number, halves to even
    return tl.minimum(tl.maximum((x / scale + half) - half, -127.0), 127.0)


@triton.jit  # type: ignore[untyped-decorator]
def _rows(tile, ROWS: tl.constexpr, TILE: tl.constexpr, LIMIT: tl.constexpr, BLOCKS: tl.constexpr, B: tl.constexpr):  # type: ignore[no-untyped-def]
    """A tile's rows [TILE], which of them are its own, and which of its blocks [TILE, B] exist."""
    row = tl.arange(0, TILE)
    rows = tile * ROWS + row
    own = (row < ROWS) & (rows < LIMIT)
    return rows, own, own[:, None] & (tl.arange(0, B) < BLOCKS)[None, :]


@triton.jit  # type: ignore[untyped-decorator]
def _silu(gate, up):  # type: ignore[no-untyped-def]
    return gate / (1.0 + tl.exp(-gate)) * up


@triton.jit  # type: ignore[untyped-decorator]
def _attention(  # type: ignore[no-untyped-def]
    tile, mine, epoch, position, layer,
    out_codes, out_scales, out_minima, cos, sin, keys, values, kv_scales, table,
    WIDTH: tl.constexpr, HEADS: tl.constexpr, KV_HEADS: tl.constexpr, D: tl.constexpr,
    PAGES: tl.constexpr, PAGE: tl.constexpr, OUT_BITS: tl.constexpr, OUT_ROWS: tl.constexpr,
    OUT_TILE: tl.constexpr, GROUP_BLOCKS: tl.constexpr, GROUP_PADDED: tl.constexpr, KEYS: tl.constexpr,
    PACK: tl.constexpr, INTERPRET: tl.constexpr,
):
    """One group of query heads over all keys, and some rows of the output product of its heads.

    Each program of a group does the same attention: a barrier would cost more.
    """
    GROUP: tl.constexpr = HEADS // KV_HEADS
    OUT_BLOCKS: tl.constexpr = HEADS * D // 32
    OUT_WORDS: tl.constexpr = (HEADS + 2 * KV_HEADS) * D
    head, part = tile % KV_HEADS, tile // KV_HEADS
    rows, own, live = _rows(part, OUT_ROWS, OUT_TILE, WIDTH, GROUP_BLOCKS, GROUP_PADDED)
    start = layer * (WIDTH * OUT_BLOCKS) + head * GROUP_BLOCKS
    w0, w1, w2, w3 = _load(
        out_codes + start * (OUT_BITS * 4),
        out_scales + start,
        out_minima + start if out_minima is not None else None,
        rows, live, OUT_BLOCKS, GROUP_PADDED, OUT_BITS,
    )
    d = tl.arange(0, D)
    pair = tl.arange(0, D // 2)
    plane = tl.full([], PAGES * KV_HEADS * PAGE * D, tl.int64) * layer
    token = tl.arange(0, KEYS)
    k_tile, v_tile = _load_keys(token, position, keys + plane, values + plane, table, head, D, KV_HEADS, PAGE)
    turn_cos = tl.load(cos + position * (D // 2) + pair)
    turn_sin = tl.load(sin + position * (D // 2) + pair)
    if kv_scales is not None:
        k_scale = tl.load(kv_scales + ((layer * 2) * KV_HEADS + head) * D + d)
        v_scale = tl.load(kv_scales + ((layer * 2 + 1) * KV_HEADS + head) * D + d)
    # Rows: the group's queries, the key, the value, and nothing.
    row = tl.arange(0, 16)
    first = tl.where(row < GROUP, (head * GROUP + row) * D, (HEADS + head + (row - GROUP) * KV_HEADS) * D)
    exists = (row < GROUP + 2)[:, None] & (d >= 0)[None, :]
    qkv = receive(mine, first[:, None] + d[None, :], epoch, exists, PACK, INTERPRET)
    even, odd = tl.split(tl.reshape(qkv, [16, D // 2, 2]))
    turns = (row <= GROUP)[:, None]
    c, s = tl.where(turns, turn_cos[None, :], 1.0), tl.where(turns, turn_sin[None, :], 0.0)
    qkv = tl.reshape(tl.join(even * c - odd * s, odd * c + even * s), [16, D])
    key = tl.sum(tl.where((row == GROUP)[:, None], qkv, 0.0), 0)
    value = tl.sum(tl.where((row == GROUP + 1)[:, None], qkv, 0.0), 0)
    if kv_scales is not None:
        key, value = _code(key, k_scale), _code(value, v_scale)
        qkv = qkv * k_scale[None, :]
    queries = qkv.to(tl.float16)
    if part == 0:
        page = tl.load(table + position // PAGE).to(tl.int64)
        spot = plane + ((page * KV_HEADS + head) * PAGE + position % PAGE) * D
        tl.store(keys + spot + d, key.to(keys.dtype.element_ty))
        tl.store(values + spot + d, value.to(values.dtype.element_ty))
    log2_scale = 1.4426950408889634 * D**-0.5
    peak = tl.full([16], -1e30, tl.float32)
    total = tl.zeros([16], tl.float32)
    sums = tl.zeros([16, D], tl.float32)
    peak, total, sums = _attend(queries, k_tile, v_tile, key, value, token, position, peak, total, sums, log2_scale)
    for begin in range(KEYS, position + 1, KEYS):
        k_next, v_next = _load_keys(
            begin + token, position, keys + plane, values + plane, table, head, D, KV_HEADS, PAGE
        )
        peak, total, sums = _attend(
            queries, k_next, v_next, key, value, begin + token, position, peak, total, sums, log2_scale
        )
    attended = sums / total[:, None]
    if kv_scales is not None:
        attended = attended * v_scale[None, :]
    flat = tl.reshape(attended, [16 * D])
    column = tl.arange(0, GROUP_PADDED * 16)
    column = column // 16 * 32 + column % 16
    low = tl.reshape(tl.gather(flat, column, 0), [GROUP_PADDED, 16])
    high = tl.reshape(tl.gather(flat, column + 16, 0), [GROUP_PADDED, 16])
    result = _dot(w0, w1, w2, w3, low, high, OUT_BITS)
    send(mine + OUT_WORDS, head * WIDTH + rows, result, epoch, own)


@triton.jit(do_not_specialize=["steps"])  # type: ignore[untyped-decorator]
def decode(  # type: ignore[no-untyped-def]
    embedding_codes, embedding_scales, embedding_minima,
    attn_norm,
    qkv_codes, qkv_scales, qkv_minima, qkv_bias,
    out_codes, out_scales, out_minima,
    ffn_norm,
    gate_up_codes, gate_up_scales, gate_up_minima,
    down_codes, down_scales, down_minima,
    output_norm,
    head_codes, head_scales, head_minima,
    cos, sin,
    keys, values, kv_scales, table,
    state, words, tokens, logits, seen, penalty,
    steps,
    LAYERS: tl.constexpr, WIDTH: tl.constexpr, PADDED: tl.constexpr,
    HEADS: tl.constexpr, KV_HEADS: tl.constexpr, KV_PADDED: tl.constexpr, D: tl.constexpr,
    HIDDEN: tl.constexpr, HIDDEN_PADDED: tl.constexpr, VOCABULARY: tl.constexpr, EPS: tl.constexpr,
    PAGES: tl.constexpr, PAGE: tl.constexpr, TABLE_ROW: tl.constexpr,
    QKV_BITS: tl.constexpr, OUT_BITS: tl.constexpr, GATE_UP_BITS: tl.constexpr, DOWN_BITS: tl.constexpr,
    HEAD_BITS: tl.constexpr, EMBEDDING_BITS: tl.constexpr,
    QKV_ROWS: tl.constexpr, OUT_ROWS: tl.constexpr, UP_ROWS: tl.constexpr, DOWN_ROWS: tl.constexpr,
    HEAD_ROWS: tl.constexpr, HEAD_TILE: tl.constexpr,
    QKV_TILE: tl.constexpr, OUT_TILE: tl.constexpr, UP_TILE: tl.constexpr, DOWN_TILE: tl.constexpr,
    OUT_PARTS: tl.constexpr, GROUP_BLOCKS: tl.constexpr, GROUP_PADDED: tl.constexpr,
    KEYS: tl.constexpr, GRID: tl.constexpr, GRID_PADDED: tl.constexpr, PACK: tl.constexpr, OUT_PACK: tl.constexpr,
    INTERPRET: tl.constexpr,
):
    """`steps` tokens of one sequence, each the likeliest behind the one before.

    X_ROWS is how many rows of a product a program computes, X_TILE the power of two at or above it.
    """
    QKV: tl.constexpr = (HEADS + 2 * KV_HEADS) * D
    BLOCKS: tl.constexpr = WIDTH // 32
    HIDDEN_BLOCKS: tl.constexpr = HIDDEN // 32
    LANES: tl.constexpr = PADDED // 32
    HIDDEN_LANES: tl.constexpr = HIDDEN_PADDED // 32
    # Words, twice each, for layers of even and of odd number.
    OUT_WORDS: tl.constexpr = QKV
    UP_WORDS: tl.constexpr = OUT_WORDS + KV_HEADS * WIDTH
    DOWN_WORDS: tl.constexpr = UP_WORDS + HIDDEN
    SET: tl.constexpr = DOWN_WORDS + WIDTH
    CHOICES: tl.constexpr = 2 * SET

    pid = tl.program_id(0)
    channel, is_channel = _stream(WIDTH, PADDED)
    hidden_channel, is_hidden = _stream(HIDDEN, HIDDEN_PADDED)
    groups = tl.arange(0, KV_PADDED)[:, None]
    token = tl.load(state)
    position = tl.load(state + 1)
    base = tl.load(state + 2)
    table += tl.load(state + 3) * TABLE_ROW

    for step in range(steps):
        first_epoch = base + step * (LAYERS + 1)
        x = _embed(
            embedding_codes, embedding_scales, embedding_minima, tl.maximum(token, 0), channel, is_channel,
            BLOCKS, EMBEDDING_BITS,
        )
        for layer in range(LAYERS):
            epoch = first_epoch + layer
            mine, before = words + (layer % 2) * SET, words + ((layer + 1) % 2) * SET
            # q, k and v
            qkv_at = layer * (QKV * BLOCKS)
            qkv_c, qkv_s = qkv_codes + qkv_at * (QKV_BITS * 4), qkv_scales + qkv_at
            qkv_m = qkv_minima + qkv_at if qkv_minima is not None else None
            qkv_r, qkv_own, qkv_live = _rows(pid, QKV_ROWS, QKV_TILE, QKV, BLOCKS, LANES)
            q0, q1, q2, q3 = _load(qkv_c, qkv_s, qkv_m, qkv_r, qkv_live, BLOCKS, LANES, QKV_BITS)
            norm = tl.load(attn_norm + layer * WIDTH + channel, mask=is_channel, other=0.0)
            if layer > 0:
                x += receive(before + DOWN_WORDS, channel, epoch - 1, is_channel, PACK, INTERPRET)
            low, high = _halves(_normed(x, norm, WIDTH, EPS), PADDED)
            qkv = _dot(q0, q1, q2, q3, low, high, QKV_BITS)
            if qkv_bias is not None:
                qkv += tl.load(qkv_bias + layer * QKV + qkv_r, mask=qkv_own, other=0.0)
            send(mine, qkv_r, qkv, epoch, qkv_own)
            if GRID * QKV_ROWS < QKV:
                for tile in range(pid + GRID, (QKV + QKV_ROWS - 1) // QKV_ROWS, GRID):
                    qkv_r, qkv_own, qkv_live = _rows(tile, QKV_ROWS, QKV_TILE, QKV, BLOCKS, LANES)
                    q0, q1, q2, q3 = _load(qkv_c, qkv_s, qkv_m, qkv_r, qkv_live, BLOCKS, LANES, QKV_BITS)
                    qkv = _dot(q0, q1, q2, q3, low, high, QKV_BITS)
                    if qkv_bias is not None:
                        qkv += tl.load(qkv_bias + layer * QKV + qkv_r, mask=qkv_own, other=0.0)
                    send(mine, qkv_r, qkv, epoch, qkv_own)
            # attention and its output product
            for tile in range(pid, KV_HEADS * OUT_PARTS, GRID):
                _attention(
                    tile, mine, epoch, position, layer,
                    out_codes, out_scales, out_minima, cos, sin, keys, values, kv_scales, table,
                    WIDTH, HEADS, KV_HEADS, D, PAGES, PAGE, OUT_BITS, OUT_ROWS, OUT_TILE,
                    GROUP_BLOCKS, GROUP_PADDED, KEYS, PACK, INTERPRET,
                )
            # gate and up
            up_at = layer * (2 * HIDDEN * BLOCKS)
            up_c, up_s = gate_up_codes + up_at * (GATE_UP_BITS * 4), gate_up_scales + up_at
            up_m = gate_up_minima + up_at if gate_up_minima is not None else None
            up_r, up_own, up_live = _rows(pid, UP_ROWS, UP_TILE, HIDDEN, BLOCKS, LANES)
            g0, g1, g2, g3 = _load(up_c, up_s, up_m, up_r, up_live, BLOCKS, LANES, GATE_UP_BITS)
            u0, u1, u2, u3 = _load(up_c, up_s, up_m, HIDDEN + up_r, up_live, BLOCKS, LANES, GATE_UP_BITS)
            norm = tl.load(ffn_norm + layer * WIDTH + channel, mask=is_channel, other=0.0)
            # Of each group's heads, in one go: a wait takes as long as a way through the L2 cache.
            parts = receive(
                mine + OUT_WORDS, groups * WIDTH + channel[None, :], epoch,
                (groups < KV_HEADS) & is_channel[None, :], OUT_PACK, INTERPRET,
            )
            x += tl.sum(parts, 0)
            low, high = _halves(_normed(x, norm, WIDTH, EPS), PADDED)
            gate = _dot(g0, g1, g2, g3, low, high, GATE_UP_BITS)
            up = _dot(u0, u1, u2, u3, low, high, GATE_UP_BITS)
            send(mine + UP_WORDS, up_r, _silu(gate, up), epoch, up_own)
            if GRID * UP_ROWS < HIDDEN:
                for tile in range(pid + GRID, (HIDDEN + UP_ROWS - 1) // UP_ROWS, GRID):
                    up_r, up_own, up_live = _rows(tile, UP_ROWS, UP_TILE, HIDDEN, BLOCKS, LANES)
                    g0, g1, g2, g3 = _load(up_c, up_s, up_m, up_r, up_live, BLOCKS, LANES, GATE_UP_BITS)
                    u0, u1, u2, u3 = _load(up_c, up_s, up_m, HIDDEN + up_r, up_live, BLOCKS, LANES, GATE_UP_BITS)
                    gate = _dot(g0, g1, g2, g3, low, high, GATE_UP_BITS)
                    up = _dot(u0, u1, u2, u3, low, high, GATE_UP_BITS)
                    send(mine + UP_WORDS, up_r, _silu(gate, up), epoch, up_own)
            # down
            for tile in range(pid, (WIDTH + DOWN_ROWS - 1) // DOWN_ROWS, GRID):
                down_r, down_own, down_live = _rows(tile, DOWN_ROWS, DOWN_TILE, WIDTH, HIDDEN_BLOCKS, HIDDEN_LANES)
                down_at = layer * (WIDTH * HIDDEN_BLOCKS)
                d0, d1, d2, d3 = _load(
                    down_codes + down_at * (DOWN_BITS * 4),
                    down_scales + down_at,
                    down_minima + down_at if down_minima is not None else None,
                    down_r, down_live, HIDDEN_BLOCKS, HIDDEN_LANES, DOWN_BITS,
                )
                hidden = receive(mine + UP_WORDS, hidden_channel, epoch, is_hidden, PACK, INTERPRET)
                low_hidden, high_hidden = _halves(hidden, HIDDEN_PADDED)
                down = _dot(d0, d1, d2, d3, low_hidden, high_hidden, DOWN_BITS)
                send(mine + DOWN_WORDS, down_r, down, epoch, down_own)
        # The head: each program HEAD_ROWS tokens, in tiles.
        last = first_epoch + LAYERS
        norm = tl.load(output_norm + channel, mask=is_channel, other=0.0)
        x += receive(
            words + ((LAYERS - 1) % 2) * SET + DOWN_WORDS, channel, last - 1, is_channel, PACK, INTERPRET
        )
        low, high = _halves(_normed(x, norm, WIDTH, EPS), PADDED)
        best = tl.full([HEAD_TILE], float("-inf"), tl.float32)
        best_row = tl.zeros([HEAD_TILE], tl.int32)
        for start in range(0, HEAD_ROWS, HEAD_TILE):
            slot = start + tl.arange(0, HEAD_TILE)
            head_r = pid * HEAD_ROWS + slot
            head_own = (slot < HEAD_ROWS) & (head_r < VOCABULARY)
            head_live = head_own[:, None] & (tl.arange(0, LANES) < BLOCKS)[None, :]
            h0, h1, h2, h3 = _load(
                head_codes, head_scales, head_minima, head_r, head_live, BLOCKS, LANES, HEAD_BITS
            )
            logit = _dot(h0, h1, h2, h3, low, high, HEAD_BITS)
            if logits is not None:
                tl.store(logits + step * VOCABULARY + head_r, logit, mask=head_own)
            if seen is not None:
                was = tl.load(seen + head_r, mask=head_own, other=0) != 0
                by = tl.load(penalty)
                logit = tl.where(was, tl.where(logit > 0, logit / by, logit * by), logit)
            logit = tl.where(logit == logit, logit, float("inf"))  # NaN: no token can be chosen
            better = head_own & (logit > best)
            best = tl.where(better, logit, best)
            best_row = tl.where(better, head_r, best_row)
        top = tl.max(best, 0)
        choice = tl.min(tl.where(best == top, best_row, VOCABULARY), 0)
        fence(last, INTERPRET)  # the keys and values of this step, for the next
        two = tl.arange(0, 2)
        send(words + CHOICES, pid * 2 + two, tl.where(two == 0, top, choice.to(tl.float32)), last, two >= 0)
        others = tl.arange(0, GRID_PADDED)
        choices = receive(words + CHOICES, others, last, others < 2 * GRID, 4, INTERPRET)
        tops, top_rows = tl.split(tl.reshape(choices, [GRID_PADDED // 2, 2]))
        tops = tl.where(tl.arange(0, GRID_PADDED // 2) < GRID, tops, float("-inf"))
        top = tl.max(tops, 0)
        choice = tl.min(tl.where(tops == top, top_rows, VOCABULARY), 0).to(tl.int32)
        fence(last, INTERPRET)
        token = tl.where((top < float("inf")) & (token >= 0), choice, -1)
        position += 1
        if seen is not None:
            if (token >= pid * HEAD_ROWS) & (token < (pid + 1) * HEAD_ROWS):
                tl.store(seen + token, 1)
                tl.debug_barrier()
        if pid == 0:
            tl.store(tokens + step, token)
    if pid == 0:
        tl.store(state, token)
        tl.store(state + 1, position)
        tl.store(state + 2, base + steps * (LAYERS + 1))
