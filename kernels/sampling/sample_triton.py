"""The Triton kernel of `sample.py`: a program per row and part of the vocabulary; the last one decides."""

# mypy: disable-error-code="no-untyped-def, untyped-decorator"
# ruff: noqa: ANN001, ANN201, ANN202, N803  (a kernel's arguments are Triton's, and its constants are capitals)

import triton
import triton.language as tl
from torch import Tensor

from kernels.device import on_device
from kernels.sampling.state import SamplingState


@triton.jit
def penalized(logits, seen, penalty):
    """Divide positive and multiply negative logits of the tokens `seen`; NaN becomes infinity.

    So the largest is finite exactly if a token can be chosen by it.
    """
    worse = tl.where(logits > 0, logits / penalty, logits * penalty)
    logits = tl.where(seen, worse, logits)
    return tl.where(logits == logits, logits, float("inf"))


@triton.jit
def first_of_the_largest(values, tokens):
    """The largest of `values` [..., N] and, of the tokens that have it, the least."""
    top = tl.max(values, len(values.shape) - 1)
    last: tl.constexpr = 2147483647
    return top, tl.min(tl.where(values == tl.expand_dims(top, -1), tokens, last), len(values.shape) - 1)


@triton.jit
def keep_best(sampling, logits, token, there, rows, live, tile, tiles, VOCABULARY: tl.constexpr):
    """Store the largest of a tile of logits [M, TILE] after the penalty, and its token, where `there` [M].

    `sampling` is what `SamplingState.of_head` gives.
    """
    penalties, slots, seen, best, best_tokens = sampling
    slot = tl.load(slots + token, mask=there, other=0).to(tl.int64)
    inside = there[:, None] & live[None, :]
    marked = tl.load(seen + slot[:, None] * VOCABULARY + rows[None, :], mask=inside, other=0) != 0
    penalty = tl.load(penalties + token, mask=there, other=1.0)
    after = tl.where(live[None, :], penalized(logits, marked, penalty[:, None]), float("-inf"))
    top, which = first_of_the_largest(after, rows[None, :])
    at = token * tiles + tile
    tl.store(best + at, top, mask=there)
    tl.store(best_tokens + at, which, mask=there)


@triton.jit
def _exponential(bits):
    """Random uint32 to draws from the exponential distribution of rate 1, as fine as the bits near 0.

    -log(1 - v) by Kahan's correction for the rounding of 1 - v: the least draw decides, so those must not be
    rounded to multiples of 2^-24.
    """
    v = (bits.to(tl.float32) + 0.5) * 2.3283064365386963e-10  # 2^-32
    y = 1.0 - v
    return ((y - 1.0) + v) / y - tl.log(y)


@triton.jit
def _decide(out, seen, steps, row, slot, token, vocabulary, ADVANCE: tl.constexpr):
    tl.store(out + row, token)
    if ADVANCE:
        tl.store(seen + slot * vocabulary + token, tl.full([], 1, tl.uint8), mask=token >= 0)
        tl.store(steps + row, tl.load(steps + row) + 1)


@triton.jit(do_not_specialize=["tiles"])
def _choose(
    out,
    logits,
    penalties,
    temperatures,
    min_ps,
    seeds,
    steps,
    slots,
    seen,
    best,
    best_tokens,
    scores,
    picks,
    arrived,
    vocabulary,
    tiles,
    TILES_PADDED: tl.constexpr,
    PARTS: tl.constexpr,
    PARTS_PADDED: tl.constexpr,
    LANES: tl.constexpr,
    ADVANCE: tl.constexpr,
):
    part, row = tl.program_id(0), tl.program_id(1).to(tl.int64)
    tile = tl.arange(0, TILES_PADDED)
    tops = tl.load(best + row * tiles + tile, mask=tile < tiles, other=float("-inf"))
    top_tokens = tl.load(best_tokens + row * tiles + tile, mask=tile < tiles, other=0)
    peak, likeliest = first_of_the_largest(tops, top_tokens)
    usable = (peak > float("-inf")) & (peak < float("inf"))
    temperature, slot = tl.load(temperatures + row), tl.load(slots + row).to(tl.int64)
    if (temperature == 0.0) | (usable == 0):
        if part == 0:
            _decide(out, seen, steps, row, slot, tl.where(usable, likeliest, -1), vocabulary, ADVANCE)
        return

    penalty, min_p = tl.load(penalties + row), tl.load(min_ps + row)
    least = tl.where(min_p > 0, tl.log(tl.maximum(min_p, 1e-37)), float("-inf"))
    lanes = tl.arange(0, LANES)
    counter, zero = (part * LANES + lanes).to(tl.uint32), tl.zeros([LANES], tl.uint32)
    draws = tl.philox(tl.load(seeds + row), counter, zero + tl.load(steps + row).to(tl.uint32), zero, zero)
    score, pick = float("-inf"), -1
    for i in tl.static_range(4):
        token = (part * 4 + i) * LANES + lanes
        inside = token < vocabulary
        x = tl.load(logits + row * vocabulary + token, mask=inside, other=float("-inf"))
        marked = tl.load(seen + slot * vocabulary + token, mask=inside, other=0) != 0
        below = (penalized(x, marked, penalty) - peak) / temperature
        raced = tl.where(inside & (below >= least), below - tl.log(_exponential(draws[i])), float("-inf"))
        its_score, its_pick = first_of_the_largest(raced, token)
        pick = tl.where(its_score > score, its_pick, pick)
        score = tl.maximum(its_score, score)
    tl.store(scores + row * PARTS + part, score)
    tl.store(picks + row * PARTS + part, pick)
    tl.debug_barrier()  # the program has stored before it is counted
    if tl.atomic_add(arrived + row, 1, sem="acq_rel", scope="gpu") == PARTS - 1:
        tl.store(arrived + row, 0)  # as the next launch wants it
        parts = tl.arange(0, PARTS_PADDED)
        at, there = row * PARTS + parts, parts < PARTS
        # .cg: past the first-level cache, which is not kept in step with what other processors write.
        every = tl.load(scores + at, mask=there, other=float("-inf"), cache_modifier=".cg")
        every_pick = tl.load(picks + at, mask=there, other=-1, cache_modifier=".cg")
        _, winner = first_of_the_largest(every, every_pick)
        _decide(out, seen, steps, row, slot, winner, vocabulary, ADVANCE)


def launch(out: Tensor, logits: Tensor, sampling: SamplingState, lanes: int, advance: bool) -> None:
    """Write a token for each row into `out`; all are as `sample` has checked them."""
    n, vocabulary = logits.shape
    tiles, parts = sampling.best.shape[1], sampling.scores.shape[1]
    with on_device(out):
        _choose[parts, n](
            out,
            logits,
            sampling.penalties,
            sampling.temperatures,
            sampling.min_ps,
            sampling.seeds,
            sampling.steps,
            sampling.slots,
            sampling.seen,
            sampling.best,
            sampling.best_tokens,
            sampling.scores,
            sampling.picks,
            sampling.arrived,
            vocabulary,
            tiles,
            TILES_PADDED=triton.next_power_of_2(tiles),
            PARTS=parts,
            PARTS_PADDED=triton.next_power_of_2(parts),
            LANES=lanes,
            ADVANCE=advance,
            num_warps=8,
        )
