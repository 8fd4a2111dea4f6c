"""Values that programs of one kernel hand to each other: a value and a tag in a word of 64 bits.

A word is written and read in one piece, so its reader needs neither a barrier nor a fence: it spins until
the tag is the one it waits for (NCCL's "LL" protocol does so between GPUs). On an H100, 128 programs, each
reading 576 words that all others write: 1.1 us from word to word; a barrier of atomics and a read, 1.9.
"""

# mypy: disable-error-code="no-untyped-def, untyped-decorator"
# ruff: noqa: ANN001, ANN201, ANN202, N803, N806, RUF005  (arguments, constants and syntax are Triton's)

from itertools import chain

import triton
import triton.language as tl
from triton.language.extra import cuda

from kernels.quantized_triton import INTERPRETED

_NEVER = tl.constexpr(-(2**31))
"""A tag that no word has."""

LAST_TAG = tl.constexpr(2**30 - 1)
"""Of those that a kernel may begin with; behind it they begin at 0 again. So no tag grows into that one."""

_PREFETCH = tl.constexpr(
    "{ .reg .pred p; .reg .b32 t; mov.u32 t, %tid.x; setp.eq.u32 p, t, 0;"
    " @p cp.async.bulk.prefetch.L2.global [$1], $2; mov.b32 $0, 0; }"
)


@triton.jit
def send(words, at, value, epoch, live):
    """Write float32 `value` with the tag `epoch` to words[at], where `live`."""
    bits = value.to(tl.float32).to(tl.int32, bitcast=True).to(tl.int64) & 0xFFFFFFFF
    tl.store(words + at, (epoch.to(tl.int64) << 32) | bits, mask=live)


@triton.jit
def receive(words, at, epoch, live):
    """The float32 values of four words each from words[at] on, once all have the tag `epoch`: [N, 4].

    `at` [N] are multiples of 2; zeros where not `live`. Each thread gets four neighbours: with one each, what
    follows spends its time in shuffles.
    """
    if INTERPRETED:  # programs run one after the other: what is awaited is there
        four = tl.arange(0, 4)[None, :]
        values = tl.load(words + at[:, None] + four, mask=live[:, None] & (four >= 0), other=0)
        return values.to(tl.int32).to(tl.float32, bitcast=True)
    RUNS: tl.constexpr = _runs_of_a_thread(at.numel, cuda.num_warps())
    address = tl.where(live, (words + at).to(tl.int64), 0)
    tags = tl.zeros(at.shape, tl.int32) + epoch
    a, b, c, d = tags, tags, tags, tags
    if epoch != _NEVER:  # always: the compiler repeats a wait in each layout, but not one inside a branch
        a, b, c, d = tl.inline_asm_elementwise(
            _spin(RUNS),
            _spin_operands(RUNS),
            [address, tags],
            dtype=(tl.int32, tl.int32, tl.int32, tl.int32),
            is_pure=False,
            pack=RUNS,
        )
    return _side_by_side(a, b, c, d)


@triton.jit
def receive_sum(words, at, epoch, live, stride, PLACES: tl.constexpr):
    """The sum of what `receive` gives from at, at + stride, ... of so many places.

    One wait for all: a wait takes as long as a way through the L2 cache.
    """
    if INTERPRETED:
        total = receive(words, at, epoch, live)
        for place in tl.static_range(1, PLACES):
            total += receive(words, at + place * stride, epoch, live)
        return total
    address = tl.where(live, (words + at).to(tl.int64), 0)
    tags = tl.zeros(at.shape, tl.int32) + epoch
    apart = tl.zeros(at.shape, tl.int64) + stride * 8
    a, b, c, d = tags, tags, tags, tags
    if epoch != _NEVER:
        a, b, c, d = tl.inline_asm_elementwise(
            _spin_sum(PLACES),
            "=&r,=&r,=&r,=&r,l,l,r",
            [address, apart, tags],
            dtype=(tl.int32, tl.int32, tl.int32, tl.int32),
            is_pure=False,
            pack=1,
        )
    return _side_by_side(a, b, c, d)


@triton.jit
def fence(epoch):
    """What this program has written is seen by whoever receives a word that it sends from here on."""
    if not INTERPRETED:
        tl.inline_asm_elementwise(
            "{ fence.acq_rel.gpu; mov.b32 $0, $1; }", "=r,r", [epoch], dtype=tl.int32, is_pure=False, pack=1
        )
        tl.debug_barrier()


@triton.jit
def prefetch(pointer, size):
    """Bring about `size` bytes into the L2 cache: whole 16s from the one in which they begin."""
    if not INTERPRETED:
        size = size // 16 * 16
        tl.inline_asm_elementwise(
            _PREFETCH,
            "=r,l,r",
            [pointer.to(tl.int64) & -16, tl.zeros([], tl.int32) + size],
            dtype=tl.int32,
            is_pure=False,
            pack=1,
        )


@triton.jit
def _side_by_side(a, b, c, d):
    """Bits of four float32 each, [N, 4], that lie in one thread as a, b, c, d do."""
    values = tl.reshape(tl.join(tl.join(a, c), tl.join(b, d)), a.shape + [4])
    return values.to(tl.float32, bitcast=True)


@triton.constexpr_function
def _runs_of_a_thread(runs, warps):
    """How many a thread waits for at once: all it has, up to four; more would be addresses that are none."""
    return max(1, min(4, runs // (32 * warps)))


@triton.constexpr_function
def _spin(runs):
    """PTX that reads four words from each of `runs` addresses until all tags are right.

    An address of 0 is no word, and gives 0. All are in flight at once, two words a load. The label is local
    to the braces. Results are ordered by their place in the run, as Triton wants them of several outputs.
    """
    value = [[f"${place * runs + i}" for place in range(4)] for i in range(runs)]
    address = [f"${4 * runs + i}" for i in range(runs)]
    epoch = [f"${5 * runs + i}" for i in range(runs)]
    tag = [[f"t{i}_{place}" for place in range(4)] for i in range(runs)]
    lines = [f".reg .pred p, {', '.join(f'q{i}' for i in range(runs))};"]
    lines += [f".reg .b32 {', '.join(chain(*tag))};"]
    for i in range(runs):
        lines += [f"setp.ne.u64 q{i}, {address[i]}, 0;"]
        for place in range(4):
            lines += [f"mov.b32 {tag[i][place]}, {epoch[i]};", f"mov.b32 {value[i][place]}, 0;"]
    lines += ["again:"]
    for i in range(runs):
        lines += _two_loads(f"q{i}", value[i], tag[i], address[i])
    lines += [f"setp.ne.b32 p, {tag[0][0]}, {epoch[0]};"]
    for i in range(runs):
        lines += [f"setp.ne.or.b32 p, {t}, {epoch[i]}, p;" for t in tag[i]]
    return "{ " + " ".join([*lines, "@p bra again;"]) + " }"


@triton.constexpr_function
def _spin_operands(runs):
    return ",".join(["=&r"] * (4 * runs) + ["l"] * runs + ["r"] * runs)


@triton.constexpr_function
def _spin_sum(places):
    """PTX that reads four words from each of `places`, a stride apart, and adds up the places."""
    tag, value = ([[f"{name}{g}_{i}" for i in range(4)] for g in range(places)] for name in "tv")
    lines = [".reg .pred p, q;", f".reg .b64 {', '.join(f'a{g}' for g in range(places))};"]
    lines += [f".reg .b32 {', '.join(chain(*tag, *value))};", "setp.ne.u64 q, $4, 0;", "mov.b64 a0, $4;"]
    lines += [f"add.s64 a{g}, a{g - 1}, $5;" for g in range(1, places)]
    for g in range(places):
        for i in range(4):
            lines += [f"mov.b32 {tag[g][i]}, $6;", f"mov.b32 {value[g][i]}, 0;"]
    lines += ["again:"]
    for g in range(places):
        lines += _two_loads("q", value[g], tag[g], f"a{g}")
    lines += [f"setp.ne.b32 p, {tag[0][0]}, $6;"]
    lines += [f"setp.ne.or.b32 p, {t}, $6, p;" for t in chain(*tag)]
    lines += ["@p bra again;"]
    for i in range(4):
        lines += [f"mov.b32 ${i}, {value[0][i]};"]
        lines += [f"add.f32 ${i}, ${i}, {value[g][i]};" for g in range(1, places)]
    return "{ " + " ".join(lines) + " }"


@triton.constexpr_function
def _two_loads(live, value, tag, address):
    """Four words from one address, if `live`."""
    pairs = [f"{{{value[i]}, {tag[i]}, {value[i + 1]}, {tag[i + 1]}}}, [{address}+{8 * i}]" for i in (0, 2)]
    return [f"@{live} ld.relaxed.gpu.global.v4.b32 {pair};" for pair in pairs]
