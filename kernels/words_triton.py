"""Values that programs of one kernel hand to each other: a value and a tag in a word of 64 bits.

A word is written and read in one piece, so its reader needs neither a barrier nor a fence: it spins until
the tag is the one it waits for (NCCL's "LL" protocol does so between GPUs). On an H100, 128 programs, each
reading 576 words that all others write: 1.1 us from word to word; a barrier of atomics and a read, 1.9.
"""

# ruff: noqa: ANN001, ANN201, ANN202, N803, RUF005  (arguments, constants and syntax are Triton's)

from itertools import chain

import triton
import triton.language as tl


def _spin(pack: int, run: int) -> str:
    """PTX that reads `run` words from each of `pack` addresses until all tags are right.

    An address of 0 is no word, and gives 0. All are in flight at once, two words a load. The label is local
    to the braces. Results are ordered by their place in the run, as Triton wants them of several outputs.
    """
    value = [[f"${place * pack + i}" for place in range(run)] for i in range(pack)]
    address = [f"${run * pack + i}" for i in range(pack)]
    epoch = [f"${run * pack + pack + i}" for i in range(pack)]
    tag = [[f"t{i}_{place}" for place in range(run)] for i in range(pack)]
    lines = [f".reg .pred p, {', '.join(f'q{i}' for i in range(pack))};"]
    lines += [f".reg .b32 {', '.join(chain(*tag))};"]
    for i in range(pack):
        lines += [f"setp.ne.u64 q{i}, {address[i]}, 0;"]
        for place in range(run):
            lines += [f"mov.b32 {tag[i][place]}, {epoch[i]};", f"mov.b32 {value[i][place]}, 0;"]
    lines += ["again:"]
    for i in range(pack):
        for place in range(0, run, 2):
            two = [value[i][place], tag[i][place], value[i][place + 1], tag[i][place + 1]]
            lines += [f"@q{i} ld.relaxed.gpu.global.v4.b32 {{{', '.join(two)}}}, [{address[i]}+{8 * place}];"]
    lines += [f"setp.ne.b32 p, {tag[0][0]}, {epoch[0]};"]
    for i in range(pack):
        lines += [f"setp.ne.or.b32 p, {t}, {epoch[i]}, p;" for t in tag[i]]
    return "{ " + " ".join([*lines, "@p bra again;"]) + " }"


def spin_sum(groups: int) -> str:
    """PTX that reads four words from each of `groups` places, a stride apart, and adds up the places."""
    tag, value = ([[f"{name}{g}_{i}" for i in range(4)] for g in range(groups)] for name in "tv")
    lines = [".reg .pred p, q;", f".reg .b64 {', '.join(f'a{g}' for g in range(groups))};"]
    lines += [f".reg .b32 {', '.join(chain(*tag, *value))};", "setp.ne.u64 q, $4, 0;", "mov.b64 a0, $4;"]
    lines += [f"add.s64 a{g}, a{g - 1}, $5;" for g in range(1, groups)]
    for g in range(groups):
        for i in range(4):
            lines += [f"mov.b32 {tag[g][i]}, $6;", f"mov.b32 {value[g][i]}, 0;"]
    lines += ["again:"]
    for g in range(groups):
        for i in (0, 2):
            two = [value[g][i], tag[g][i], value[g][i + 1], tag[g][i + 1]]
            lines += [f"@q ld.relaxed.gpu.global.v4.b32 {{{', '.join(two)}}}, [a{g}+{8 * i}];"]
    lines += [f"setp.ne.b32 p, {tag[0][0]}, $6;"]
    lines += [f"setp.ne.or.b32 p, {t}, $6, p;" for t in chain(*tag)]
    lines += ["@p bra again;"]
    for i in range(4):
        lines += [f"mov.b32 ${i}, {value[0][i]};"]
        lines += [f"add.f32 ${i}, ${i}, {value[g][i]};" for g in range(1, groups)]
    return "{ " + " ".join(lines) + " }"


def _operands(pack: int, run: int) -> str:
    return ",".join(["=&r"] * (pack * run) + ["l"] * pack + ["r"] * pack)


NEVER = tl.constexpr(-(2**31))
"""A tag that no word has."""

_SPIN_1, _OPERANDS_1 = tl.constexpr(_spin(1, 4)), tl.constexpr(_operands(1, 4))
_SPIN_2, _OPERANDS_2 = tl.constexpr(_spin(2, 4)), tl.constexpr(_operands(2, 4))
_SPIN_4, _OPERANDS_4 = tl.constexpr(_spin(4, 4)), tl.constexpr(_operands(4, 4))
_PREFETCH = tl.constexpr(
    "{ .reg .pred p; .reg .b32 t; mov.u32 t, %tid.x; setp.eq.u32 p, t, 0;"
    " @p cp.async.bulk.prefetch.L2.global [$1], $2; mov.b32 $0, 0; }"
)


@triton.jit
def send(words, at, value, epoch, live):  # type: ignore[no-untyped-def]
    """Write float32 `value` with the tag `epoch` to words[at], where `live`."""
    bits = value.to(tl.float32).to(tl.int32, bitcast=True).to(tl.int64) & 0xFFFFFFFF
    tl.store(words + at, (epoch.to(tl.int64) << 32) | bits, mask=live)


@triton.jit
def _side_by_side(a, b, c, d):  # type: ignore[no-untyped-def]
    """Bits of four float32 each, [*a.shape, 4], that lie in one thread as a, b, c, d do."""
    values = tl.reshape(tl.join(tl.join(a, c), tl.join(b, d)), a.shape + [4])
    return values.to(tl.float32, bitcast=True)


@triton.jit  # type: ignore[untyped-decorator]
def receive(  # type: ignore[no-untyped-def]
    words,
    at,
    epoch,
    live,
    PACK: tl.constexpr,
    INTERPRET: tl.constexpr,
):
    """The float32 values of four words each from words[at] on, once all have the tag `epoch`: [*at.shape, 4].

    `at` are multiples of 2; zeros where not `live`. PACK, 1, 2 or 4: how many elements of `at` a thread has,
    or a part of that; with more, it would spin on addresses that are none. Each thread gets four neighbours:
    with one each, what follows spends its time in shuffles.
    """
    if INTERPRET:  # programs run one after the other: what is awaited is there
        four = tl.arange(0, 4)
        where = tl.expand_dims(at, len(at.shape)) + four
        values = tl.load(words + where, mask=tl.expand_dims(live, len(at.shape)) & (four >= 0), other=0)
        return values.to(tl.int32).to(tl.float32, bitcast=True)
    address = tl.where(live, (words + at).to(tl.int64), 0)
    tags = tl.zeros(at.shape, tl.int32) + epoch
    a, b, c, d = tags, tags, tags, tags
    if epoch != NEVER:  # always: the compiler repeats a wait in each layout, but not one inside a branch
        if PACK == 4:
            a, b, c, d = tl.inline_asm_elementwise(
                _SPIN_4,
                _OPERANDS_4,
                [address, tags],
                dtype=(tl.int32, tl.int32, tl.int32, tl.int32),
                is_pure=False,
                pack=4,
            )
        elif PACK == 2:
            a, b, c, d = tl.inline_asm_elementwise(
                _SPIN_2,
                _OPERANDS_2,
                [address, tags],
                dtype=(tl.int32, tl.int32, tl.int32, tl.int32),
                is_pure=False,
                pack=2,
            )
        else:
            a, b, c, d = tl.inline_asm_elementwise(
                _SPIN_1,
                _OPERANDS_1,
                [address, tags],
                dtype=(tl.int32, tl.int32, tl.int32, tl.int32),
                is_pure=False,
                pack=1,
            )
    return _side_by_side(a, b, c, d)


@triton.jit  # type: ignore[untyped-decorator]
def receive_sum(  # type: ignore[no-untyped-def]
    words,
    at,
    epoch,
    live,
    stride,
    GROUPS: tl.constexpr,
    SPIN: tl.constexpr,
    INTERPRET: tl.constexpr,
):
    """The sum of what `receive` gives from at, at + stride, ... of GROUPS places; a thread has one element.

    SPIN is `spin_sum(GROUPS)`. One wait for all: a wait takes as long as a way through the L2 cache.
    """
    if INTERPRET:
        total = receive(words, at, epoch, live, 1, INTERPRET)
        for group in tl.static_range(1, GROUPS):
            total += receive(words, at + group * stride, epoch, live, 1, INTERPRET)
        return total
    address = tl.where(live, (words + at).to(tl.int64), 0)
    tags = tl.zeros(at.shape, tl.int32) + epoch
    apart = tl.zeros(at.shape, tl.int64) + stride * 8
    a, b, c, d = tags, tags, tags, tags
    if epoch != NEVER:
        a, b, c, d = tl.inline_asm_elementwise(
            SPIN,
            "=&r,=&r,=&r,=&r,l,l,r",
            [address, apart, tags],
            dtype=(tl.int32, tl.int32, tl.int32, tl.int32),
            is_pure=False,
            pack=1,
        )
    return _side_by_side(a, b, c, d)


@triton.jit  # type: ignore[untyped-decorator]
def fence(epoch, INTERPRET: tl.constexpr):  # type: ignore[no-untyped-def]
    """What this program has written is seen by whoever receives a word that it sends from here on."""
    if not INTERPRET:
        tl.inline_asm_elementwise(
            "{ fence.acq_rel.gpu; mov.b32 $0, $1; }", "=r,r", [epoch], dtype=tl.int32, is_pure=False, pack=1
        )
        tl.debug_barrier()


@triton.jit  # type: ignore[untyped-decorator]
def prefetch(pointer, size, INTERPRET: tl.constexpr):  # type: ignore[no-untyped-def]
    """Bring about `size` bytes into the L2 cache: whole 16s from the one in which they begin."""
    if not INTERPRET:
        size = size // 16 * 16
        tl.inline_asm_elementwise(
            _PREFETCH,
            "=r,l,r",
            [pointer.to(tl.int64) & -16, tl.zeros([], tl.int32) + size],
            dtype=tl.int32,
            is_pure=False,
            pack=1,
        )
