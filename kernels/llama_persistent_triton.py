"""Whole decoding steps of a llama in one kernel whose programs all stay resident; see `llama_persistent.py`.

A layer is four phases: q, k and v of the normed stream; attention with the output product of its heads; gate
and up; down. Each program computes some rows of each product and hands them on in tagged words; each keeps
the whole residual stream. Weights are asked for before a phase waits, and brought to the L2 cache a layer
before.
"""

# ruff: noqa: ANN001, ANN201, ANN202, N803, N806, SIM102  (Triton's arguments and branches)

import triton
import triton.language as tl

from kernels.words_triton import fence, prefetch, receive, receive_sum, send


@triton.jit  # type: ignore[untyped-decorator]
def _load(  # type: ignore[no-untyped-def]
    codes,
    scales,
    minima,
    rows,
    live,
    zero,
    ROW_BLOCKS: tl.constexpr,
    B: tl.constexpr,
    BITS: tl.constexpr,
):
    """What makes up blocks [R, B] of `rows` [R]: their codes, int32 [R, B, BITS], scales and minima [R, B].

    A row's blocks lie ROW_BLOCKS apart; `live` is [R, B]. `zero` is 0, which the compiler must not know: it
    would load two scales a thread, and then carry them through shared memory to the threads that hold their
    codes.
    """
    at = rows[:, None] * ROW_BLOCKS + (tl.arange(0, B) ^ zero)[None, :]
    scale = tl.load(scales + at, mask=live, other=0.0)
    where = codes + at[:, :, None] * BITS + tl.arange(0, BITS)[None, None, :]
    words = tl.load(where, mask=live[:, :, None], other=0)
    if BITS == 8:
        least = scale
    else:
        least = scale * -8.0 if minima is None else tl.load(minima + at, mask=live, other=0.0)
    return words, scale, least


@triton.jit  # type: ignore[untyped-decorator]
def _packed(x, PADDED: tl.constexpr):  # type: ignore[no-untyped-def]
    """x [PADDED] in 16 bits, a scale for each of B blocks of 32: what `_dot` multiplies weights with.

    High and low bytes, four columns to a word, int32 [B, 8, 2]; scales, and sums times scales, float32
    [B, 2]. An error is 1.5e-5 of a block's largest.
    """
    B: tl.constexpr = PADDED // 32
    blocks = tl.reshape(x, [B, 32])
    scale = tl.maximum(tl.max(tl.abs(blocks), 1), 1e-30) / 32512.0  # the high byte stays in -127 .. 127
    whole = tl.floor(blocks * (1.0 / scale)[:, None] + 0.5).to(tl.int32)
    total = tl.sum(whole, 1).to(tl.float32) * scale
    high = (whole + 128) >> 8
    place = (tl.arange(0, 4) * 8)[None, None, :]
    high_words = tl.sum((tl.reshape(high, [B, 8, 4]) & 255) << place, 2)
    low_words = tl.sum((tl.reshape(whole - (high << 8), [B, 8, 4]) & 255) << place, 2)
    # Joined, as they go through shared memory together.
    return tl.join(high_words, low_words), tl.join(scale, total)


@triton.jit  # type: ignore[untyped-decorator]
def _dot4(codes, bytes_, to, SIGNED: tl.constexpr, INTERPRET: tl.constexpr):  # type: ignore[no-untyped-def]
    """`to` + the sum of four products of bytes; those of `bytes_` are signed, those of `codes` if SIGNED."""
    if INTERPRET:
        for i in tl.static_range(4):
            code = (codes >> (8 * i)) & 255
            if SIGNED:
                code = (code ^ 128) - 128
            to += code * ((((bytes_ >> (8 * i)) & 255) ^ 128) - 128)
        return to
    if SIGNED:
        return tl.inline_asm_elementwise(
            "dp4a.s32.s32 $0, $1, $2, $3;",
            "=r,r,r,r",
            [codes, bytes_, to],
            dtype=tl.int32,
            is_pure=True,
            pack=1,
        )
    return tl.inline_asm_elementwise(
        "dp4a.u32.s32 $0, $1, $2, $3;",
        "=r,r,r,r",
        [codes, bytes_, to],
        dtype=tl.int32,
        is_pure=True,
        pack=1,
    )


@triton.jit  # type: ignore[untyped-decorator]
def _dot(  # type: ignore[no-untyped-def]
    words,
    scale,
    least,
    bytes_,
    scales,
    BITS: tl.constexpr,
    INTERPRET: tl.constexpr,
):
    """Rows of what `_load` gave times what `_packed` gave, [R]. Exact but for the rounding in `_packed`."""
    B: tl.constexpr = words.shape[1]
    none = words * 0
    by, total = tl.split(scales)
    if BITS == 8:
        high, low = tl.split(bytes_)
        of_high = _dot4(words, high[None, :, :], none, True, INTERPRET)
        of_low = _dot4(words, low[None, :, :], none, True, INTERPRET)
    else:
        # A word has four of columns 0 to 15 of its block in its bytes' low halves, of 16 to 31 in the high.
        zeroth, one = tl.split(tl.permute(tl.reshape(bytes_, [B, 2, 4, 2]), (0, 2, 3, 1)))  # [B, 4, 2] each
        h0, l0 = tl.split(zeroth)
        h1, l1 = tl.split(one)
        first, second = words & 0x0F0F0F0F, (words >> 4) & 0x0F0F0F0F
        of_high = _dot4(first, h0[None, :, :], none, False, INTERPRET)
        of_high = _dot4(second, h1[None, :, :], of_high, False, INTERPRET)
        of_low = _dot4(first, l0[None, :, :], none, False, INTERPRET)
        of_low = _dot4(second, l1[None, :, :], of_low, False, INTERPRET)
    products = tl.sum((of_high << 8) + of_low, 2).to(tl.float32) * by[None, :] * scale.to(tl.float32)
    if BITS == 4:
        products += total[None, :] * least.to(tl.float32)
    return tl.sum(products, 1)


@triton.jit  # type: ignore[untyped-decorator]
def _send_rows(  # type: ignore[no-untyped-def]
    words,
    rows,
    value,
    epoch,
    own,
    zero,
    COPIES: tl.constexpr,
    COPY: tl.constexpr,
    B: tl.constexpr,
):
    """`send` from the first of the B threads that hold each row, one copy each: readers wait in line."""
    lane = tl.arange(0, B)[None, :]
    at = (rows ^ zero)[:, None] + lane * COPY  # see `_load`
    send(words, at, tl.broadcast_to(value[:, None], at.shape), epoch, own[:, None] & (lane < COPIES))


@triton.jit  # type: ignore[untyped-decorator]
def _rms(x, WIDTH: tl.constexpr, EPS: tl.constexpr):  # type: ignore[no-untyped-def]
    """What RMS norm multiplies x with: done once for each row that comes out rather than for what goes in."""
    return tl.rsqrt(tl.sum(x * x, 0) / WIDTH + EPS)


@triton.jit  # type: ignore[untyped-decorator]
def _fetch(  # type: ignore[no-untyped-def]
    codes,
    scales,
    minima,
    row,
    ROWS: tl.constexpr,
    BLOCKS: tl.constexpr,
    BITS: tl.constexpr,
    INTERPRET: tl.constexpr,
):
    """Bring ROWS rows into the L2 cache. What is a little before and behind them may come too."""
    block = row * BLOCKS
    prefetch(codes + block * BITS, ROWS * BLOCKS * BITS * 4, INTERPRET)
    prefetch(scales + block, ROWS * BLOCKS * 2, INTERPRET)
    if minima is not None:
        prefetch(minima + block, ROWS * BLOCKS * 2, INTERPRET)


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
def _embed(  # type: ignore[no-untyped-def]
    codes,
    scales,
    minima,
    token,
    channel,
    live,
    ROW_BLOCKS: tl.constexpr,
    BITS: tl.constexpr,
):
    """A row of the embedding, [PADDED]."""
    block = token.to(tl.int64) * ROW_BLOCKS + channel // 32
    scale = tl.load(scales + block, mask=live, other=0.0).to(tl.float32)
    if BITS == 8:
        word = tl.load(codes + block * 8 + channel % 32 // 4, mask=live, other=0)
        return ((((word >> (channel % 4 * 8)) & 255) ^ 128) - 128).to(tl.float32) * scale
    word = tl.load(codes + block * 4 + channel % 16 // 4, mask=live, other=0)
    code = (word >> (channel % 4 * 8 + channel % 32 // 16 * 4)) & 15
    least = scale * -8.0 if minima is None else tl.load(minima + block, mask=live, other=0.0).to(tl.float32)
    return code.to(tl.float32) * scale + least


@triton.jit  # type: ignore[untyped-decorator]
def _places(  # type: ignore[no-untyped-def]
    table,
    token,
    position,
    D: tl.constexpr,
    KV_HEADS: tl.constexpr,
    PAGE: tl.constexpr,
):
    """Where keys and values of the tokens [T] before `position` lie in a layer's, for the first head."""
    page = tl.load(table + token // PAGE, mask=token < position, other=0).to(tl.int64)
    return (page * (KV_HEADS * PAGE) + token % PAGE) * D


@triton.jit  # type: ignore[untyped-decorator]
def _load_keys(keys, values, places, seen, D: tl.constexpr):  # type: ignore[no-untyped-def]
    """Keys and values [T, D] at `places`; zeros where not `seen`."""
    where = places[:, None] + tl.arange(0, D)[None, :]
    k_tile = tl.load(keys + where, mask=seen[:, None], other=0, cache_modifier=".cg")
    v_tile = tl.load(values + where, mask=seen[:, None], other=0, cache_modifier=".cg")
    return k_tile, v_tile


@triton.jit
def _attend(queries, keys, values, seen, peak, total, sums, log2_scale):  # type: ignore[no-untyped-def]
    """Online softmax over a tile: float16 queries [16, D], keys and values [T, D] of which `seen` [T]."""
    scores = tl.dot(queries, tl.trans(keys.to(tl.float16))) * log2_scale
    scores = tl.where(seen[None, :], scores, float("-inf"))
    new_peak = tl.maximum(peak, tl.max(scores, 1))
    shrink = tl.exp2(peak - new_peak)
    weights = tl.exp2(scores - new_peak[:, None])
    total = total * shrink + tl.sum(weights, 1)
    sums = tl.dot(weights.to(tl.float16), values.to(tl.float16), sums * shrink[:, None])
    return new_peak, total, sums


@triton.jit
def _code(x, scale):  # type: ignore[no-untyped-def]
    """The int8 code of x, as float32."""
    half = 12582912.0  # 1.5 * 2^23: what is added to it is rounded to a whole number, halves to even
    return tl.minimum(tl.maximum((x / scale + half) - half, -127.0), 127.0)


@triton.jit  # type: ignore[untyped-decorator]
def _rows(  # type: ignore[no-untyped-def]
    tile,
    ROWS: tl.constexpr,
    TILE: tl.constexpr,
    LIMIT: tl.constexpr,
    BLOCKS: tl.constexpr,
    B: tl.constexpr,
):
    """A tile's rows [TILE], which of them are its own, and which of its blocks [TILE, B] exist."""
    row = tl.arange(0, TILE)
    rows = tile * ROWS + row
    own = (row < ROWS) & (rows < LIMIT)
    return rows, own, own[:, None] & (tl.arange(0, B) < BLOCKS)[None, :]


@triton.jit
def _silu(gate, up):  # type: ignore[no-untyped-def]
    return gate / (1.0 + tl.exp(-gate)) * up


@triton.jit  # type: ignore[untyped-decorator]
def _attention(  # type: ignore[no-untyped-def]
    tile,
    zero,
    mine,
    theirs,
    epoch,
    position,
    layer,
    k_tile,
    v_tile,
    out_codes,
    out_scales,
    out_minima,
    turn_cos,
    turn_sin,
    spot,
    keys,
    values,
    kv_scales,
    table,
    WIDTH: tl.constexpr,
    HEADS: tl.constexpr,
    KV_HEADS: tl.constexpr,
    D: tl.constexpr,
    PAGES: tl.constexpr,
    PAGE: tl.constexpr,
    OUT_BITS: tl.constexpr,
    OUT_ROWS: tl.constexpr,
    OUT_TILE: tl.constexpr,
    GROUP_BLOCKS: tl.constexpr,
    GROUP_PADDED: tl.constexpr,
    KEYS: tl.constexpr,
    COPIES: tl.constexpr,
    COPY: tl.constexpr,
    QKV_PACK: tl.constexpr,
    INTERPRET: tl.constexpr,
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
    w, ws, wm = _load(
        out_codes + start * OUT_BITS,
        out_scales + start,
        out_minima + start if out_minima is not None else None,
        rows,
        live,
        zero,
        OUT_BLOCKS,
        GROUP_PADDED,
        OUT_BITS,
    )
    plane = tl.full([], PAGES * KV_HEADS * PAGE * D, tl.int64) * layer
    token = tl.arange(0, KEYS)
    here = plane + head * (PAGE * D)
    # Rows: the group's queries, the key, the value, and nothing.
    at = tl.arange(0, 16 * D)
    row = at // D
    if kv_scales is not None:
        plane_of = tl.where(row <= GROUP, 0, KV_HEADS) + head
        scale = tl.load(kv_scales + (layer * (2 * KV_HEADS) + plane_of) * D + at % D)
    four = tl.arange(0, 4 * D) * 4
    four_row = four // D
    first = tl.where(four_row < GROUP, head * GROUP + four_row, HEADS + head + (four_row - GROUP) * KV_HEADS)
    qkv = receive(theirs, first * D + four % D, epoch, four_row < GROUP + 2, QKV_PACK, INTERPRET)
    even, odd = tl.split(tl.reshape(qkv, [8 * D, 2]))
    qkv = tl.join(even * turn_cos - odd * turn_sin, odd * turn_cos + even * turn_sin)
    qkv = tl.reshape(qkv, [16 * D])
    if kv_scales is not None:
        qkv = tl.where(row < GROUP, qkv * scale, _code(qkv, scale))
    if part == 0:
        stored = qkv.to(keys.dtype.element_ty)
        tl.store(keys + here + spot + at % D, stored, mask=row == GROUP)
        tl.store(values + here + spot + at % D, stored, mask=row == GROUP + 1)
    tile_of = tl.reshape(qkv, [16, D]).to(tl.float16)
    log2_scale = 1.4426950408889634 * D**-0.5
    # The token itself, whose key and value are rows of the same tile as the queries.
    column = tl.arange(0, 16)[None, :]
    own_scores = tl.dot(tile_of, tl.trans(tile_of)) * log2_scale
    peak = tl.sum(tl.where(column == GROUP, own_scores, 0.0), 1)
    total = tl.full([16], 1.0, tl.float32)
    itself = tl.where((column == GROUP + 1) & (peak == peak)[:, None], 1.0, 0.0).to(tl.float16)
    sums = tl.dot(itself, tile_of)
    peak, total, sums = _attend(tile_of, k_tile, v_tile, token < position, peak, total, sums, log2_scale)
    for begin in tl.range(KEYS, position, KEYS, num_stages=1):
        later = begin + token
        k_next, v_next = _load_keys(
            keys + here,
            values + here,
            _places(table, later, position, D, KV_HEADS, PAGE),
            later < position,
            D,
        )
        peak, total, sums = _attend(tile_of, k_next, v_next, later < position, peak, total, sums, log2_scale)
    attended = sums / total[:, None]
    if kv_scales is not None:
        d = tl.arange(0, D)
        attended *= tl.load(kv_scales + ((layer * 2 + 1) * KV_HEADS + head) * D + d)[None, :]
    flat = tl.gather(tl.reshape(attended, [16 * D]), tl.arange(0, GROUP_PADDED * 32), 0)
    bytes_, by = _packed(tl.where(tl.arange(0, GROUP_PADDED * 32) < GROUP * D, flat, 0.0), GROUP_PADDED * 32)
    result = _dot(w, ws, wm, bytes_, by, OUT_BITS, INTERPRET)
    _send_rows(mine + OUT_WORDS, head * WIDTH + rows, result, epoch, own, zero, COPIES, COPY, GROUP_PADDED)


@triton.jit  # type: ignore[untyped-decorator]
def _head_rows(  # type: ignore[no-untyped-def]
    codes,
    scales,
    minima,
    pid,
    start,
    zero,
    ROWS: tl.constexpr,
    TILE: tl.constexpr,
    LIMIT: tl.constexpr,
    BLOCKS: tl.constexpr,
    B: tl.constexpr,
    BITS: tl.constexpr,
):
    """`_load` of a tile of a program's rows of the head, from `start` on."""
    slot = start + tl.arange(0, TILE)
    rows = pid * ROWS + slot
    own = (slot < ROWS) & (rows < LIMIT)
    return _load(
        codes, scales, minima, rows, own[:, None] & (tl.arange(0, B) < BLOCKS)[None, :], zero, BLOCKS, B, BITS
    )


@triton.jit(do_not_specialize=["steps"])  # type: ignore[untyped-decorator]
def decode(  # type: ignore[no-untyped-def]
    embedding_codes,
    embedding_scales,
    embedding_minima,
    attn_norm,
    qkv_codes,
    qkv_scales,
    qkv_minima,
    qkv_bias,
    out_codes,
    out_scales,
    out_minima,
    ffn_norm,
    gate_up_codes,
    gate_up_scales,
    gate_up_minima,
    down_codes,
    down_scales,
    down_minima,
    output_norm,
    head_codes,
    head_scales,
    head_minima,
    cos,
    sin,
    keys,
    values,
    kv_scales,
    table,
    state,
    words,
    tokens,
    logits,
    seen,
    penalty,
    steps,
    LAYERS: tl.constexpr,
    WIDTH: tl.constexpr,
    PADDED: tl.constexpr,
    HEADS: tl.constexpr,
    KV_HEADS: tl.constexpr,
    D: tl.constexpr,
    HIDDEN: tl.constexpr,
    HIDDEN_PADDED: tl.constexpr,
    VOCABULARY: tl.constexpr,
    EPS: tl.constexpr,
    PAGES: tl.constexpr,
    PAGE: tl.constexpr,
    TABLE_ROW: tl.constexpr,
    QKV_BITS: tl.constexpr,
    OUT_BITS: tl.constexpr,
    GATE_UP_BITS: tl.constexpr,
    DOWN_BITS: tl.constexpr,
    HEAD_BITS: tl.constexpr,
    EMBEDDING_BITS: tl.constexpr,
    QKV_ROWS: tl.constexpr,
    OUT_ROWS: tl.constexpr,
    UP_ROWS: tl.constexpr,
    DOWN_ROWS: tl.constexpr,
    HEAD_ROWS: tl.constexpr,
    HEAD_TILE: tl.constexpr,
    QKV_TILE: tl.constexpr,
    OUT_TILE: tl.constexpr,
    UP_TILE: tl.constexpr,
    DOWN_TILE: tl.constexpr,
    OUT_PARTS: tl.constexpr,
    GROUP_BLOCKS: tl.constexpr,
    GROUP_PADDED: tl.constexpr,
    KEYS: tl.constexpr,
    COPIES: tl.constexpr,
    GRID: tl.constexpr,
    GRID_PADDED: tl.constexpr,
    PACK: tl.constexpr,
    HIDDEN_PACK: tl.constexpr,
    QKV_PACK: tl.constexpr,
    OUT_SPIN: tl.constexpr,
    CHOICE_PACK: tl.constexpr,
    INTERPRET: tl.constexpr,
):
    """`steps` tokens of one sequence, each the likeliest behind the one before.

    X_ROWS is how many rows of a product a program computes, X_TILE the power of two at or above it.
    """
    QKV: tl.constexpr = (HEADS + 2 * KV_HEADS) * D
    BLOCKS: tl.constexpr = WIDTH // 32
    HIDDEN_BLOCKS: tl.constexpr = HIDDEN // 32
    OUT_BLOCKS: tl.constexpr = HEADS * D // 32
    HEAD_LAYERS: tl.constexpr = 8 if LAYERS >= 8 else 1
    LANES: tl.constexpr = PADDED // 32
    HIDDEN_LANES: tl.constexpr = HIDDEN_PADDED // 32
    # Words, twice each, for layers of even and of odd number.
    OUT_WORDS: tl.constexpr = QKV
    UP_WORDS: tl.constexpr = OUT_WORDS + KV_HEADS * WIDTH
    DOWN_WORDS: tl.constexpr = UP_WORDS + HIDDEN
    SET: tl.constexpr = DOWN_WORDS + WIDTH
    CHOICES: tl.constexpr = 2 * SET
    COPY: tl.constexpr = CHOICES + 4 * GRID

    pid = tl.program_id(0)
    zero = pid // GRID
    heard = words + (pid % COPIES) * COPY  # the copy that this program reads
    channel = tl.arange(0, PADDED)
    is_channel = channel < WIDTH
    hidden_channel = tl.arange(0, HIDDEN_PADDED)
    fours, hidden_fours = tl.arange(0, PADDED // 4) * 4, tl.arange(0, HIDDEN_PADDED // 4) * 4
    token = tl.load(state)
    position = tl.load(state + 1)
    base = tl.load(state + 2)
    table += tl.load(state + 3) * TABLE_ROW

    for step in range(steps):
        first_epoch = base + step * (LAYERS + 1)
        x = _embed(
            embedding_codes,
            embedding_scales,
            embedding_minima,
            tl.maximum(token, 0),
            channel,
            is_channel,
            BLOCKS,
            EMBEDDING_BITS,
        )
        # Of all layers: the angles of this position, and where the first keys and the new one lie.
        pair = tl.arange(0, 8 * D)
        turns = pair // (D // 2) <= HEADS // KV_HEADS
        turn_cos = tl.load(cos + position * (D // 2) + pair % (D // 2), mask=turns, other=1.0)
        turn_sin = tl.load(sin + position * (D // 2) + pair % (D // 2), mask=turns, other=0.0)
        places = _places(table, tl.arange(0, KEYS), position, D, KV_HEADS, PAGE)
        old = tl.arange(0, KEYS) < position
        page = tl.load(table + position // PAGE).to(tl.int64)
        spot = (page * (KV_HEADS * PAGE) + position % PAGE) * D
        for layer in range(LAYERS):
            epoch = first_epoch + layer
            mine, theirs = words + (layer % 2) * SET, heard + (layer % 2) * SET
            before = heard + ((layer + 1) % 2) * SET
            # Keys and values first: they are on their way while q, k and v are worked out.
            here = tl.full([], PAGES * KV_HEADS * PAGE * D, tl.int64) * layer + (pid % KV_HEADS) * (PAGE * D)
            k_tile, v_tile = _load_keys(keys + here, values + here, places, old, D)
            # q, k and v
            qkv_at = layer * (QKV * BLOCKS)
            qkv_c, qkv_s = qkv_codes + qkv_at * QKV_BITS, qkv_scales + qkv_at
            qkv_m = qkv_minima + qkv_at if qkv_minima is not None else None
            qkv_r, qkv_own, qkv_live = _rows(pid, QKV_ROWS, QKV_TILE, QKV, BLOCKS, LANES)
            qw, qs, qm = _load(qkv_c, qkv_s, qkv_m, qkv_r, qkv_live, zero, BLOCKS, LANES, QKV_BITS)
            norm = tl.load(attn_norm + layer * WIDTH + channel, mask=is_channel, other=0.0)
            if layer > 0:
                down = receive(before + DOWN_WORDS, fours, epoch - 1, fours < WIDTH, PACK, INTERPRET)
                x += tl.reshape(down, [PADDED])
            bytes_, by = _packed(x * norm, PADDED)
            rms = _rms(x, WIDTH, EPS)
            qkv = _dot(qw, qs, qm, bytes_, by, QKV_BITS, INTERPRET) * rms
            if qkv_bias is not None:
                qkv += tl.load(qkv_bias + layer * QKV + qkv_r, mask=qkv_own, other=0.0)
            _send_rows(mine, qkv_r, qkv, epoch, qkv_own, zero, COPIES, COPY, LANES)
            if GRID * QKV_ROWS < QKV:
                for tile in range(pid + GRID, (QKV + QKV_ROWS - 1) // QKV_ROWS, GRID):
                    qkv_r, qkv_own, qkv_live = _rows(tile, QKV_ROWS, QKV_TILE, QKV, BLOCKS, LANES)
                    qw, qs, qm = _load(qkv_c, qkv_s, qkv_m, qkv_r, qkv_live, zero, BLOCKS, LANES, QKV_BITS)
                    qkv = _dot(qw, qs, qm, bytes_, by, QKV_BITS, INTERPRET) * rms
                    if qkv_bias is not None:
                        qkv += tl.load(qkv_bias + layer * QKV + qkv_r, mask=qkv_own, other=0.0)
                    _send_rows(mine, qkv_r, qkv, epoch, qkv_own, zero, COPIES, COPY, LANES)
            # The next layer's weights, or, in the last ones, a part of the head's.
            if layer + 1 < LAYERS:
                ahead = (layer + 1) * QKV + pid * QKV_ROWS
                _fetch(qkv_codes, qkv_scales, qkv_minima, ahead, QKV_ROWS, BLOCKS, QKV_BITS, INTERPRET)
                ahead = (layer + 1) * (2 * HIDDEN) + pid * UP_ROWS
                _fetch(
                    gate_up_codes,
                    gate_up_scales,
                    gate_up_minima,
                    ahead,
                    UP_ROWS,
                    BLOCKS,
                    GATE_UP_BITS,
                    INTERPRET,
                )
                ahead += HIDDEN
                _fetch(
                    gate_up_codes,
                    gate_up_scales,
                    gate_up_minima,
                    ahead,
                    UP_ROWS,
                    BLOCKS,
                    GATE_UP_BITS,
                    INTERPRET,
                )
                ahead = (layer + 1) * WIDTH + pid * DOWN_ROWS
                _fetch(
                    down_codes,
                    down_scales,
                    down_minima,
                    ahead,
                    DOWN_ROWS,
                    HIDDEN_BLOCKS,
                    DOWN_BITS,
                    INTERPRET,
                )
                _fetch(out_codes, out_scales, out_minima, ahead, DOWN_ROWS, OUT_BLOCKS, OUT_BITS, INTERPRET)
                # And its keys and values: of all pages, each by one program.
                for item in range(pid, KV_HEADS * ((position + PAGE - 1) // PAGE), GRID):
                    item_page = tl.load(table + item // KV_HEADS).to(tl.int64) * KV_HEADS + item % KV_HEADS
                    item_at = tl.full([], PAGES * KV_HEADS * PAGE * D, tl.int64) * (layer + 1)
                    item_at += item_page * (PAGE * D)
                    size: tl.constexpr = PAGE * D * keys.dtype.element_ty.primitive_bitwidth // 8
                    prefetch(keys + item_at, size, INTERPRET)
                    prefetch(values + item_at, size, INTERPRET)
                if pid == GRID - 1:
                    prefetch(attn_norm + (layer + 1) * WIDTH, WIDTH * 4, INTERPRET)
                    prefetch(ffn_norm + (layer + 1) * WIDTH, WIDTH * 4, INTERPRET)
                    if kv_scales is not None:
                        prefetch(kv_scales + (layer + 1) * (2 * KV_HEADS * D), 8 * KV_HEADS * D, INTERPRET)
            if layer + HEAD_LAYERS >= LAYERS:
                ahead = pid * HEAD_ROWS + (layer + HEAD_LAYERS - LAYERS) * (HEAD_ROWS // HEAD_LAYERS)
                _fetch(
                    head_codes,
                    head_scales,
                    head_minima,
                    ahead,
                    HEAD_ROWS // HEAD_LAYERS,
                    BLOCKS,
                    HEAD_BITS,
                    INTERPRET,
                )
            # attention and its output product
            for tile in range(pid, KV_HEADS * OUT_PARTS, GRID):
                _attention(
                    tile,
                    zero,
                    mine,
                    theirs,
                    epoch,
                    position,
                    layer,
                    k_tile,
                    v_tile,
                    out_codes,
                    out_scales,
                    out_minima,
                    turn_cos,
                    turn_sin,
                    spot,
                    keys,
                    values,
                    kv_scales,
                    table,
                    WIDTH,
                    HEADS,
                    KV_HEADS,
                    D,
                    PAGES,
                    PAGE,
                    OUT_BITS,
                    OUT_ROWS,
                    OUT_TILE,
                    GROUP_BLOCKS,
                    GROUP_PADDED,
                    KEYS,
                    COPIES,
                    COPY,
                    QKV_PACK,
                    INTERPRET,
                )
                if GRID < KV_HEADS * OUT_PARTS:
                    here = tl.full([], PAGES * KV_HEADS * PAGE * D, tl.int64) * layer
                    here += ((tile + GRID) % KV_HEADS) * (PAGE * D)
                    k_tile, v_tile = _load_keys(keys + here, values + here, places, old, D)
            # gate and up
            up_at = layer * (2 * HIDDEN * BLOCKS)
            up_c, up_s = gate_up_codes + up_at * GATE_UP_BITS, gate_up_scales + up_at
            up_m = gate_up_minima + up_at if gate_up_minima is not None else None
            up_r, up_own, up_live = _rows(pid, UP_ROWS, UP_TILE, HIDDEN, BLOCKS, LANES)
            gw, gs, gm = _load(up_c, up_s, up_m, up_r, up_live, zero, BLOCKS, LANES, GATE_UP_BITS)
            uw, us, um = _load(up_c, up_s, up_m, HIDDEN + up_r, up_live, zero, BLOCKS, LANES, GATE_UP_BITS)
            norm = tl.load(ffn_norm + layer * WIDTH + channel, mask=is_channel, other=0.0)
            parts = receive_sum(
                theirs + OUT_WORDS, fours, epoch, fours < WIDTH, WIDTH, KV_HEADS, OUT_SPIN, INTERPRET
            )
            x += tl.reshape(parts, [PADDED])
            bytes_, by = _packed(x * norm, PADDED)
            rms = _rms(x, WIDTH, EPS)
            gate = _dot(gw, gs, gm, bytes_, by, GATE_UP_BITS, INTERPRET) * rms
            up = _dot(uw, us, um, bytes_, by, GATE_UP_BITS, INTERPRET) * rms
            _send_rows(mine + UP_WORDS, up_r, _silu(gate, up), epoch, up_own, zero, COPIES, COPY, LANES)
            if GRID * UP_ROWS < HIDDEN:
                for tile in range(pid + GRID, (HIDDEN + UP_ROWS - 1) // UP_ROWS, GRID):
                    up_r, up_own, up_live = _rows(tile, UP_ROWS, UP_TILE, HIDDEN, BLOCKS, LANES)
                    gw, gs, gm = _load(up_c, up_s, up_m, up_r, up_live, zero, BLOCKS, LANES, GATE_UP_BITS)
                    uw, us, um = _load(
                        up_c, up_s, up_m, HIDDEN + up_r, up_live, zero, BLOCKS, LANES, GATE_UP_BITS
                    )
                    gate = _dot(gw, gs, gm, bytes_, by, GATE_UP_BITS, INTERPRET) * rms
                    up = _dot(uw, us, um, bytes_, by, GATE_UP_BITS, INTERPRET) * rms
                    _send_rows(
                        mine + UP_WORDS, up_r, _silu(gate, up), epoch, up_own, zero, COPIES, COPY, LANES
                    )
            # down
            for tile in range(pid, (WIDTH + DOWN_ROWS - 1) // DOWN_ROWS, GRID):
                down_r, down_own, down_live = _rows(
                    tile, DOWN_ROWS, DOWN_TILE, WIDTH, HIDDEN_BLOCKS, HIDDEN_LANES
                )
                down_at = layer * (WIDTH * HIDDEN_BLOCKS)
                dw, ds, dm = _load(
                    down_codes + down_at * DOWN_BITS,
                    down_scales + down_at,
                    down_minima + down_at if down_minima is not None else None,
                    down_r,
                    down_live,
                    zero,
                    HIDDEN_BLOCKS,
                    HIDDEN_LANES,
                    DOWN_BITS,
                )
                hidden = receive(
                    theirs + UP_WORDS, hidden_fours, epoch, hidden_fours < HIDDEN, HIDDEN_PACK, INTERPRET
                )
                # A load of nothing: what follows takes a load's layout, four neighbours a thread.
                nothing = tl.load(output_norm + hidden_channel, mask=hidden_channel < zero, other=0.0)
                hidden = tl.reshape(hidden, [HIDDEN_PADDED]) + nothing
                hidden_bytes, hidden_by = _packed(hidden, HIDDEN_PADDED)
                result = _dot(dw, ds, dm, hidden_bytes, hidden_by, DOWN_BITS, INTERPRET)
                _send_rows(
                    mine + DOWN_WORDS, down_r, result, epoch, down_own, zero, COPIES, COPY, HIDDEN_LANES
                )
        # The head: each program HEAD_ROWS tokens, in tiles.
        last = first_epoch + LAYERS
        norm = tl.load(output_norm + channel, mask=is_channel, other=0.0)
        down = receive(
            heard + ((LAYERS - 1) % 2) * SET + DOWN_WORDS, fours, last - 1, fours < WIDTH, PACK, INTERPRET
        )
        x += tl.reshape(down, [PADDED])
        bytes_, by = _packed(x * norm, PADDED)
        rms = _rms(x, WIDTH, EPS)
        best = tl.full([HEAD_TILE], float("-inf"), tl.float32)
        best_row = tl.zeros([HEAD_TILE], tl.int32)
        hw, hs, hm = _head_rows(
            head_codes,
            head_scales,
            head_minima,
            pid,
            0,
            zero,
            HEAD_ROWS,
            HEAD_TILE,
            VOCABULARY,
            BLOCKS,
            LANES,
            HEAD_BITS,
        )
        for start in range(0, HEAD_ROWS, HEAD_TILE):
            # The next rows are on their way while these are multiplied.
            next_w, next_s, next_m = _head_rows(
                head_codes,
                head_scales,
                head_minima,
                pid,
                start + HEAD_TILE,
                zero,
                HEAD_ROWS,
                HEAD_TILE,
                VOCABULARY,
                BLOCKS,
                LANES,
                HEAD_BITS,
            )
            slot = start + tl.arange(0, HEAD_TILE)
            head_r = pid * HEAD_ROWS + slot
            head_own = (slot < HEAD_ROWS) & (head_r < VOCABULARY)
            logit = _dot(hw, hs, hm, bytes_, by, HEAD_BITS, INTERPRET) * rms
            hw, hs, hm = next_w, next_s, next_m
            if logits is not None:
                tl.store(logits + step * VOCABULARY + head_r, logit, mask=head_own)
            if seen is not None:
                was = tl.load(seen + head_r, mask=head_own, other=0) != 0
                fine = tl.load(penalty)
                logit = tl.where(was, tl.where(logit > 0, logit / fine, logit * fine), logit)
            logit = tl.where(logit == logit, logit, float("inf"))  # NaN: no token can be chosen
            better = head_own & (logit > best)
            best = tl.where(better, logit, best)
            best_row = tl.where(better, head_r, best_row)
        top = tl.max(best, 0)
        choice = tl.min(tl.where(best == top, best_row, VOCABULARY), 0)
        fence(last, INTERPRET)  # the keys and values of this step, for the next
        four = tl.arange(0, 4)
        sent = tl.where(four == 0, top, choice.to(tl.float32))
        copy = tl.arange(0, COPIES)[:, None] * COPY
        send(
            words + CHOICES,
            copy + pid * 4 + four[None, :],
            tl.broadcast_to(sent[None, :], [COPIES, 4]),
            last,
            copy >= 0,
        )
        others = tl.arange(0, GRID_PADDED)
        choices = receive(heard + CHOICES, others * 4, last, others < GRID, CHOICE_PACK, INTERPRET)
        first = (four == 0)[None, :]
        tops = tl.where(others < GRID, tl.sum(tl.where(first, choices, 0.0), 1), float("-inf"))
        top_rows = tl.max(tl.where(first, 0.0, choices), 1)
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
