"""Small-batch GEMMs with a quantized matrix inside a Triton kernel, and how fragments are stored.

The products are `mma` instructions written out: 16 rows of the matrix times 8 tokens, 16 columns each. Which
columns are multiplied together is free, so a thread makes its part of the operands of what it has loaded, a
block of 32 codes of two rows: nothing goes through shared memory but the sums. Weights become float16, sums
are float32. A row's sums do not depend on what is beside it.

A tile has 8 tokens a step, 16 rows a step, warps, 32 lanes, and four words of each side by side in a thread.
Each warp has columns of its own. Which dimensions lanes and warps get is not said to Triton, but follows from
their order: the innermost first, and then, before Triton 3.7, from the first on, else from the last. So the
order of a tile's dimensions, but the innermost, depends on the version. In another one than assumed the
results are wrong: `llama/supported.py` tries it out. Where there is no GPU, tests carry the
instructions out in numpy: `tests/kernels/triton/ptx_in_numpy.py`.

A kernel asks for weights before it waits for the kernel before it (programmatic dependent launch): while one
kernel computes, the next ones' weights are on their way.
"""

# mypy: disable-error-code="no-untyped-def, untyped-decorator, assignment, misc"
# ruff: noqa: ANN001, ANN201, ANN202, N803, N806  (a kernel's arguments are Triton's, and its constants are capitals)

import triton
import triton.language as tl
from triton.language.extra import cuda

from kernels.formats.fragments import SCALE

DESCENDING = tuple(map(int, triton.__version__.split(".")[:2])) >= (3, 7)
TOKEN, ROW, WARP, LANE = map(tl.constexpr, (0, 1, 2, 3) if DESCENDING else (3, 2, 1, 0))
"""Which dimension of a tile is which."""

ROWS_ALONE, NEIGHBOURS, PAIRS_OF_TILES = map(tl.constexpr, (0, 1, 2))
"""Which rows `in_order` puts side by side."""

_SCALE = tl.constexpr(SCALE)


def _unpack_asm(bits: int) -> str:
    """PTX: codes and a block's scale and least weight, in one word, to 16 pairs of float16 weights.

    Results are $0 to $15, four for each word of activations. Of 4 bits the codes are $16 to $19; of 8
    bits those of columns 0 to 15 are $16 to $19, and of 16 to 31 $20 to $23. The first of four words with
    scale and least comes behind them. A code is put below the 1024 of a float16, exactly.
    """
    pair = 20 if bits == 4 else 24
    lines = [".reg .b32 s, m, c, x;", f"prmt.b32 s, ${pair}, ${pair}, 0x1010;"]
    lines += [f"prmt.b32 m, ${pair}, ${pair}, 0x3232;"] if bits == 4 else []
    for word in range(4):
        for part in range(4):
            to = f"${4 * word + part}"
            if bits == 8:
                source, select = 16 + word + 4 * (part % 2), 0x4341 if part // 2 else 0x4240
                lines += [f"xor.b32 c, ${source}, 0x80808080;", f"prmt.b32 x, c, 0x64646464, {select};"]
                lines += ["sub.rn.f16x2 x, x, 0x64806480;", f"mul.rn.f16x2 {to}, x, s;"]
                continue
            lines += [f"shr.b32 c, ${16 + word}, {8 * (part // 2)};"]
            if part % 2 == 0:
                lines += ["lop3.b32 x, c, 0x000f000f, 0x64006400, 0xea;", "sub.rn.f16x2 x, x, 0x64006400;"]
            else:  # sixteen times the code: a shift less
                lines += ["lop3.b32 x, c, 0x00f000f0, 0x64006400, 0xea;"]
                lines += ["fma.rn.f16x2 x, x, 0x2c002c00, 0xd400d400;"]
            lines += [f"fma.rn.f16x2 {to}, x, s, m;"]
    # Immediates of 16 bits twice have to be registers.
    constants = sorted({word for line in lines if "f16x2" in line for word in _hexadecimals(line)})
    names = {value: f"k{i}" for i, value in enumerate(constants)}
    for i, line in enumerate(lines):
        if "f16x2" in line:
            for value, name in names.items():
                lines[i] = lines[i].replace(value, name)
    head = [f".reg .b32 {', '.join(names.values())};", *(f"mov.b32 {n}, {v};" for v, n in names.items())]
    return "{ " + " ".join(head + lines) + " }"


def _hexadecimals(line: str) -> list[str]:
    return [word.strip(",;") for word in line.split() if word.startswith("0x")]


def _mma_asm() -> str:
    """PTX: 16 rows times 8 tokens, twice 16 columns, added up.

    $4 to $7 are weights of the first eight rows, $8 to $11 of the others, $12 to $15 activations, $16 to $19
    sums so far; the new ones are $0 to $3.
    """
    mma = "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32"
    first = f"{mma} {{a, b, c, d}}, {{$4, $8, $5, $9}}, {{$12, $13}}, {{$16, $17, $18, $19}};"
    second = f"{mma} {{$0, $1, $2, $3}}, {{$6, $10, $7, $11}}, {{$14, $15}}, {{a, b, c, d}};"
    return "{ .reg .f32 a, b, c, d; " + first + " " + second + " }"


def _operands(results: str, *given: str) -> str:
    return ",".join([f"={results}"] * (16 if results == "&r" else 4) + [x for x in given for _ in range(4)])


_UNPACK_4, _UNPACK_8, _MMA = map(tl.constexpr, (_unpack_asm(4), _unpack_asm(8), _mma_asm()))
_OPERANDS_4 = tl.constexpr(_operands("&r", "r", "r"))
_OPERANDS_8 = tl.constexpr(_operands("&r", "r", "r", "r"))
_OPERANDS_MMA = tl.constexpr(_operands("&f", "r", "r", "r", "f"))
_FOUR_WORDS = tl.constexpr((tl.int32,) * 4)


@triton.jit
def wait_for_last(PDL: tl.constexpr):
    """Wait until all that kernels before this one have written can be read, and written over.

    Only then may the next kernel begin, once all programs of this one are here: it loads while this one
    computes, and waits in its turn. What the kernel before the last wrote can be read before the wait. If the
    next may begin before, kernels of some layers ahead fill the processors.
    """
    if PDL:
        cuda.gdc_wait()
        cuda.gdc_launch_dependents()


@triton.jit
def spread(x, AXIS: tl.constexpr, RANK: tl.constexpr):
    """x [N] along one dimension of RANK."""
    for i in tl.static_range(RANK):
        if i != AXIS:
            x = tl.expand_dims(x, i)
    return x


@triton.jit
def lanes_of(zero):
    """The number of each lane, along LANE of a tile without its words; `zero` is 0.

    The compiler must not know: it would load several scales a thread, and carry them through shared memory to
    the threads that have their codes.
    """
    return spread(tl.arange(0, 32) ^ zero, LANE, 4)


@triton.jit
def _load_codes(words, pairs, blocks, there, BITS: tl.constexpr):
    """Codes `blocks` further on, if `there`: words of columns 0 to 15 and 16 to 31, scale, least weight."""
    words += blocks * BITS
    if there is None:
        low, pair = tl.load(words), tl.load(pairs + blocks)
    else:
        low = tl.load(words, mask=tl.expand_dims(there, 4), other=0)
        pair = tl.load(pairs + blocks, mask=there, other=0)
    high = low
    if BITS == 8 and there is None:
        high = tl.load(words + 4)
    elif BITS == 8:
        high = tl.load(words + 4, mask=tl.expand_dims(there, 4), other=0)
    return low, high, pair


@triton.jit
def _load_step(
    weights,
    step,
    ALL: tl.constexpr,
    COLUMNS: tl.constexpr,
    BITS: tl.constexpr,
    WARPS: tl.constexpr,
    APART: tl.constexpr,
    LIMIT: tl.constexpr,
):
    """A step's codes of both rows of each lane; with ALL they are known to be there."""
    words, pairs, row, block = weights
    ROW_BLOCKS: tl.constexpr = COLUMNS // 32
    blocks = step * (4 * WARPS)
    first_there, second_there = None, None
    if not ALL:
        inside = block + blocks < ROW_BLOCKS
        first_there, second_there = inside & (row < LIMIT), inside & (row + APART % LIMIT < LIMIT)
    return (
        _load_codes(words, pairs, blocks, first_there, BITS),
        _load_codes(words, pairs, blocks + APART * ROW_BLOCKS, second_there, BITS),
    )


@triton.jit
def _load_x(x, step, ALL: tl.constexpr, COLUMNS: tl.constexpr, WARPS: tl.constexpr, NORMED: tl.constexpr):
    """A block of each lane's token: four times four words, and the squares of the stream.

    Zeros behind the last span; with ALL no warp is there.
    """
    words, squares, there = x
    SPANS: tl.constexpr = (COLUMNS + 127) // 128
    span = step * WARPS
    if not ALL:
        there = there & (span + spread(tl.arange(0, WARPS), WARP, 4) < SPANS)
    at, mask = words + span * 64, tl.expand_dims(there, 4)
    x0, x1 = tl.load(at, mask=mask, other=0), tl.load(at + 16, mask=mask, other=0)
    x2, x3 = tl.load(at + 32, mask=mask, other=0), tl.load(at + 48, mask=mask, other=0)
    square = 0.0
    if NORMED:
        group = squares + span * 8
        square = tl.load(group, mask=there, other=0.0) + tl.load(group + 1, mask=there, other=0.0)
    return x0, x1, x2, x3, square


@triton.jit
def _unpack(weights, BITS: tl.constexpr):
    """A block of weights in float16: four times four pairs."""
    low, high, pair = weights
    pair = tl.expand_dims(pair, 4)
    if BITS == 4:
        a, b, c, d = tl.inline_asm_elementwise(
            _UNPACK_4, _OPERANDS_4, [low, pair], dtype=_FOUR_WORDS, is_pure=True, pack=4
        )
    else:
        a, b, c, d = tl.inline_asm_elementwise(
            _UNPACK_8, _OPERANDS_8, [low, high, pair], dtype=_FOUR_WORDS, is_pure=True, pack=4
        )
    return a, b, c, d


@triton.jit
def _mma(first, second, x, sums):
    """Add products of 32 columns of four lanes each to sums."""
    return tl.inline_asm_elementwise(
        _MMA, _OPERANDS_MMA, [first, second, x, sums], dtype=tl.float32, is_pure=True, pack=4
    )


@triton.jit
def _multiply(so_far, weights, x, BITS: tl.constexpr, NORMED: tl.constexpr):
    """Add a step to products, and squares of tokens."""
    sums, squares = so_far
    first, second = _unpack(weights[0], BITS), _unpack(weights[1], BITS)
    sums = _mma(first[0], second[0], x[0], sums)
    sums = _mma(first[1], second[1], x[1], sums)
    sums = _mma(first[2], second[2], x[2], sums)
    sums = _mma(first[3], second[3], x[3], sums)
    if NORMED:
        squares += x[4]
    return sums, squares


@triton.jit
def first_steps(
    matrix,
    tile,
    COLUMNS: tl.constexpr,
    BITS: tl.constexpr,
    ROWS: tl.constexpr,
    WARPS: tl.constexpr,
    APART: tl.constexpr,
    LIMIT: tl.constexpr,
):
    """Ask for the first steps of weights of ROWS rows: what `fragment_products` begins with.

    `matrix` is (codes, pairs, zero): see `lanes_of`. With APART 8 the rows are neighbours; else half of them
    are, from tile * ROWS / 2 on, and each other one is APART behind one of these. LIMIT of them there are.
    """
    ROW_BLOCKS: tl.constexpr = COLUMNS // 32
    STEPS: tl.constexpr = (ROW_BLOCKS + 4 * WARPS - 1) // (4 * WARPS)
    MOST: tl.constexpr = 4 if ROWS // 8 * (BITS + 1) <= 20 else 2  # what the registers hold
    IN_TURN: tl.constexpr = 16 if APART == 8 else 8
    ALL: tl.constexpr = STEPS * 4 * WARPS == ROW_BLOCKS and LIMIT % (ROWS // 16 * IN_TURN) == 0
    codes, pairs, zero = matrix
    row = (
        tile * (ROWS // 16 * IN_TURN)
        + spread(tl.arange(0, ROWS // 16), ROW, 4) * IN_TURN
        + lanes_of(zero) // 4
    )
    block = spread(tl.arange(0, WARPS), WARP, 4) * 4 + lanes_of(zero) % 4
    # Pointers first: what comes to these by a number known here is part of an instruction.
    at = row * ROW_BLOCKS + block
    words = codes + tl.expand_dims(at, 4) * BITS + spread(tl.arange(0, 4), 4, 5)
    weights = (words, pairs + at, row, block)
    ring = ()
    for i in tl.static_range(min(STEPS, MOST)):
        ring += (_load_step(weights, i, ALL, COLUMNS, BITS, WARPS, APART, LIMIT),)
    return weights, ring


@triton.jit
def fragment_products(
    begun,
    x,
    zero,
    COLUMNS: tl.constexpr,
    BITS: tl.constexpr,
    TOKENS: tl.constexpr,
    ROWS: tl.constexpr,
    WARPS: tl.constexpr,
    APART: tl.constexpr,
    LIMIT: tl.constexpr,
    NORMED: tl.constexpr,
):
    """Fragments rows times rows of a matrix, for `in_order`; with NORMED also squares, for `mean_square`.

    `begun` is what `first_steps` gives. `x` is (words, squares or None, number of the first token, tokens in
    all, which rows they are or None: in order). Zeros for what is not there.
    """
    STEPS: tl.constexpr = (COLUMNS // 32 + 4 * WARPS - 1) // (4 * WARPS)
    weights, ring = begun
    RING: tl.constexpr = len(ring)
    words, squares, first_token, tokens, wanted = x
    warp = spread(tl.arange(0, WARPS), WARP, 4)
    token = first_token + spread(tl.arange(0, TOKENS // 8) * 8, TOKEN, 4) + lanes_of(zero) // 4
    there = token < tokens
    if wanted is not None:
        token = tl.load(wanted + token, mask=there, other=0)
    PADDED: tl.constexpr = (COLUMNS + 127) // 128 * 64  # words of a row
    at = token * PADDED + warp * 64 + lanes_of(zero) % 4 * 4
    words += tl.expand_dims(at, 4) + spread(tl.arange(0, 4), 4, 5)
    if NORMED:
        squares += token * (PADDED // 8) + warp * 8 + lanes_of(zero) % 4 * 2
    x = (words, squares, there | (warp < 0))
    none = token * 0 + warp * 0
    all_rows = spread(tl.arange(0, ROWS // 16), ROW, 4) * 0
    sums = tl.expand_dims((none + all_rows).to(tl.float32), 4) + spread(tl.zeros([4], tl.float32), 4, 5)
    so_far = (sums, none.to(tl.float32))
    # If there are few steps, all activations are asked for at once; else two steps ahead, or when needed.
    AHEAD: tl.constexpr = RING if STEPS <= RING and TOKENS * RING <= 16 else 2 if TOKENS == 8 else 0
    ALL: tl.constexpr = STEPS <= RING and (COLUMNS + 127) // 128 == STEPS * WARPS
    xs = ()
    for i in tl.static_range(AHEAD):
        xs += (_load_x(x, i, ALL, COLUMNS, WARPS, NORMED),)
    if STEPS <= RING:
        for i in tl.static_range(RING):
            its = xs[i] if AHEAD else _load_x(x, i, ALL, COLUMNS, WARPS, NORMED)
            so_far = _multiply(so_far, ring[i], its, BITS, NORMED)
            if AHEAD and i + AHEAD < RING:
                xs += (_load_x(x, i + AHEAD, ALL, COLUMNS, WARPS, NORMED),)
    else:
        # Each step is asked for again in the registers from which it has been multiplied.
        for first in range(0, STEPS, RING):
            later = ()
            for i in tl.static_range(RING):
                its = xs[0] if AHEAD else _load_x(x, first + i, False, COLUMNS, WARPS, NORMED)
                so_far = _multiply(so_far, ring[i], its, BITS, NORMED)
                if AHEAD:
                    its = (_load_x(x, first + i + AHEAD, False, COLUMNS, WARPS, NORMED),)
                    xs = xs[1:] + its
                ahead = first + i + RING
                later += (_load_step(weights, ahead, False, COLUMNS, BITS, WARPS, APART, LIMIT),)
            ring = later
    return so_far


@triton.jit
def in_lanes(x, somewhere, zero):
    """x [N, C], what neighbours in C have in a thread, or in neighbouring ones; carried there once.

    The load of nothing, from any pointer, makes the compiler choose that layout: `zero` is 0, which it must
    not know.
    """
    N: tl.constexpr = x.shape[0]
    C: tl.constexpr = x.shape[1]
    at = tl.arange(0, N)[:, None] * C + tl.arange(0, C)[None, :]
    return tl.load(somewhere.to(tl.pointer_type(tl.float32)) + at, mask=at < zero, other=x)


@triton.jit
def over_warps(x):
    """[N, W, P] to [N, P], neighbours first."""
    N: tl.constexpr = x.shape[0]
    half: tl.constexpr = x.shape[1] // 2
    P: tl.constexpr = x.shape[2]
    if half == 0:  # noqa: SIM108  (Triton's)
        total = tl.reshape(x, [N, P])
    else:
        total = over_warps(tl.sum(tl.reshape(x, [N, half, 2, P]), 2))
    return total


@triton.jit
def in_order(products, somewhere, zero, PAIRS: tl.constexpr):
    """What `fragment_products` gives, added up over warps: [tokens, ROWS].

    With PAIRS [tokens, ROWS / 2, 2], both of a pair in one thread: NEIGHBOURS in the order of the rows;
    PAIRS_OF_TILES, a row and the one APART from it.
    """
    N: tl.constexpr = products.shape[TOKEN]
    R: tl.constexpr = products.shape[ROW]
    W: tl.constexpr = products.shape[WARP]
    # A lane's row is 2 * high + low, of eight; its four sums are of both tiles and two tokens.
    if TOKEN == 0:  # tokens, rows, warps, high, low, four pairs of tokens, tile, token
        x = tl.reshape(products, [N, R, W, 4, 2, 4, 2, 2])
        if PAIRS == PAIRS_OF_TILES:
            x = tl.permute(x, (0, 5, 7, 1, 3, 4, 2, 6))
        elif PAIRS == NEIGHBOURS:
            x = tl.permute(x, (0, 5, 7, 1, 6, 3, 2, 4))
        else:
            x = tl.permute(x, (0, 5, 7, 1, 6, 3, 4, 2))
    else:  # high, low, four pairs of tokens, warps, rows, tokens, tile, token
        x = tl.reshape(products, [4, 2, 4, W, R, N, 2, 2])
        if PAIRS == PAIRS_OF_TILES:
            x = tl.permute(x, (5, 2, 7, 4, 0, 1, 3, 6))
        elif PAIRS == NEIGHBOURS:
            x = tl.permute(x, (5, 2, 7, 4, 6, 0, 3, 1))
        else:
            x = tl.permute(x, (5, 2, 7, 4, 6, 0, 1, 3))
    P: tl.constexpr = 1 if PAIRS == ROWS_ALONE else 2
    x = in_lanes(tl.reshape(x, [N * R * 128 // P, W * P]), somewhere, zero)
    total = over_warps(tl.reshape(x, [N * R * 128 // P, W, P])) * (1 / _SCALE)
    if PAIRS != ROWS_ALONE:
        total = tl.reshape(total, [N * 8, R * 8, 2])
    else:
        total = tl.reshape(total, [N * 8, R * 16])
    return total


@triton.jit
def mean_square(squares, somewhere, zero, LIKE: tl.constexpr, COLUMNS: tl.constexpr):
    """What `fragment_products` gives of squares, as a mean: [tokens, N], in the threads of x, LIKE that."""
    N: tl.constexpr = squares.shape[TOKEN]
    W: tl.constexpr = squares.shape[WARP]
    if TOKEN == 0:
        x = tl.permute(tl.reshape(squares, [N, W, 8, 4]), (0, 2, 1, 3))
    else:
        x = tl.permute(tl.reshape(squares, [8, 4, W, N]), (3, 0, 2, 1))
    x = tl.reshape(sum_pairwise(tl.reshape(x, [N * 8 * W, 4])), [N * 8, 1, W])
    C: tl.constexpr = LIKE[1]
    x = tl.reshape(tl.broadcast_to(x, [N * 8, C, W]), [N * 8 * C, W])
    x = in_lanes(x, somewhere, zero)
    return tl.reshape(sum_pairwise(x), [N * 8, C]) / COLUMNS


@triton.jit
def sum_pairwise(x):
    """[N, C] to [N], neighbours first: the order must not depend on how C lies in threads and lanes."""
    N: tl.constexpr = x.shape[0]
    half: tl.constexpr = x.shape[1] // 2
    if half == 0:  # noqa: SIM108  (Triton's)
        total = tl.reshape(x, [N])
    else:
        total = sum_pairwise(tl.sum(tl.reshape(x, [N, half, 2]), 2))
    return total


@triton.jit
def place_of(column):
    """Where in a row of fragments columns lie: `fragments.places`."""
    inside = column % 32
    pair = inside % 2 * 2 + inside // 16
    return column // 128 * 128 + inside % 16 // 4 * 32 + column % 128 // 32 * 8 + pair * 2 + inside % 4 // 2


@triton.jit
def store_fragments(halves, row, column, x, live, COLUMNS: tl.constexpr):
    """Store x, float32, at columns of rows, where `live`; all of one shape or to be broadcast to it."""
    at = row * ((COLUMNS + 127) // 128 * 128) + place_of(column)
    tl.store(halves + at, (x * _SCALE).to(tl.float16), mask=live)


@triton.jit
def store_squares(squares, row, group, x, live, COLUMNS: tl.constexpr):
    """Store the sums of squares of x [N, 16] as groups `group` [N] of rows `row` [N], where `live` [N]."""
    tl.store(squares + row * ((COLUMNS + 127) // 128 * 8) + group, sum_pairwise(x * x), mask=live)
