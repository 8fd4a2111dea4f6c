"""Two sides of recordings, turn by turn: slower, faster, the same or undecided, and because of which part."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import ceil
from typing import Literal

import numpy as np

from assistant.trace.intervals import LEAST, Array, simultaneous, trimmed
from assistant.trace.paired import DECISION, MOST_LATE, QUANTITIES, WORKING, Measured, notes, paired
from assistant.trace.told import TTFA

Verdict = Literal["slower", "faster", "same", "undecided"]

MARGIN_MS = 5.0
_LEAST_MS = 0.1  # of work that a factor is told of
_WORTH_A_NOTE = 0.1


@dataclass(frozen=True)
class Difference:
    """B - A of a quantity over the turns: the trimmed mean, and the interval that holds it."""

    quantity: str
    a_ms: float
    """The median of the turns."""
    b_ms: float
    ms: float
    low_ms: float
    high_ms: float
    repeat_ms: float
    """The largest difference between two recordings of one side, 0 with one recording each."""
    verdict: Verdict
    more_turns: int | None
    """About how many more turns would decide it; None if it is decided, or nobody can tell."""


@dataclass(frozen=True)
class Comparison:
    """All that is told of two sides."""

    turns: tuple[str, ...]
    rounds: tuple[int, int]
    """Recordings of A and B that were compared."""
    margin_ms: float
    differences: tuple[Difference, ...]
    reason: str | None
    """Why nothing is decided, whatever the numbers."""
    notes: tuple[str, ...]

    @property
    def verdict(self) -> Verdict:
        """Slower if anything is, else faster if anything is, the same if all is."""
        found = {each.verdict for each in self.differences}
        order: tuple[Verdict, ...] = ("slower", "faster", "undecided", "same")
        return next(verdict for verdict in order if verdict in found)

    def named(self, verdict: Verdict) -> list[str]:
        """The quantities of which `verdict` is true."""
        return [each.quantity for each in self.differences if each.verdict == verdict]


def compare(a: Sequence[Measured], b: Sequence[Measured], margin_ms: float = MARGIN_MS) -> Comparison:
    """Compare the recordings `b` with `a`; raises TraceError if they are not of the same clips."""
    used_a, used_b = _quiet(a) or a, _quiet(b) or b
    pairs = paired(used_a, used_b)
    reason = _reason(len(pairs.turns), (*used_a, *used_b))
    used = {each.name for each in (*used_a, *used_b)}
    told = [f"left out: {_noise(each)}" for each in (*a, *b) if each.name not in used]
    found = tuple(differences(pairs.a, pairs.b, margin_ms, decide=reason is None))
    factor = _factor(*np.array([[each.a_ms, each.ms] for each in found]).T)
    if abs(factor) > _WORTH_A_NOTE:
        told.append(f"the work of all parts is {factor:+.0%}: the machine, or all of the code")
    return Comparison(
        pairs.turns,
        (len(pairs.a), len(pairs.b)),
        margin_ms,
        found,
        reason,
        (*told, *notes(used_a, used_b, pairs.turns)),
    )


def _quiet(side: Sequence[Measured]) -> list[Measured]:
    return [each for each in side if each.late <= MOST_LATE]


def _reason(turns: int, used: Sequence[Measured]) -> str | None:
    if turns < LEAST:
        return f"{turns} paired {'turn' if turns == 1 else 'turns'}, and {LEAST} are the least"
    busy = [_noise(each) for each in used if each.late > MOST_LATE]
    return f"a busy machine: {busy[0]}" if busy else None


def _noise(recording: Measured) -> str:
    most = f"{MOST_LATE:.0%}"
    return f"{recording.name}: {recording.late:.1%} of its frames came a frame late, and {most} is the most"


def differences(a: Array, b: Array, margin_ms: float, *, decide: bool = True) -> Iterator[Difference]:
    """Compare `b` with `a`, ms [recordings, turns, QUANTITIES]; nothing is decided unless `decide`."""
    each_a, each_b = np.nanmean(a, axis=0), np.nanmean(b, axis=0)
    usual_a, usual_b = np.median(each_a, axis=0), np.median(each_b, axis=0)
    centre, half = simultaneous(each_b - each_a)
    repeat = np.maximum(_repeat(a), _repeat(b))
    drift = abs(_factor(usual_a, centre)) * _explained(usual_a)
    if min(len(a), len(b)) > 1:
        drift = np.minimum(drift, repeat)
    columns = (usual_a, usual_b, centre, half, drift, repeat)
    for quantity, *numbers in zip(QUANTITIES, *(column.tolist() for column in columns), strict=True):
        a_ms, b_ms, ms, width, slow, again = numbers
        verdict = _verdict(ms, width + slow, again, margin_ms) if decide else "undecided"
        more = _more_turns(len(each_a), ms, width, slow, margin_ms) if verdict == "undecided" else None
        low, high = ms - width - slow, ms + width + slow
        yield Difference(quantity, a_ms, b_ms, ms, low, high, again, verdict, more)


def _factor(usual: Array, centre: Array) -> float:
    """By what share of itself the work of a part changed, in the middle one of all parts.

    A machine that was slower all through one side changes them all by one factor; a part that was changed is
    not in the middle.
    """
    work = slice(-len(WORKING), None)
    return float(np.median(centre[work] / np.maximum(usual[work], _LEAST_MS)))


def _explained(usual: Array) -> Array:
    """The work [q] that a quantity changes with: its part's, and for when the turn is decided that of all."""
    work = dict(zip(WORKING, usual[-len(WORKING) :].tolist(), strict=True))
    work |= dict.fromkeys((TTFA, DECISION), sum(work.values()))
    return np.array([work.get(quantity.removesuffix(" (work)"), 0.0) for quantity in QUANTITIES])


def _repeat(side: Array) -> Array:
    """The largest difference [q] between two recordings of one side: what the same code differs by."""
    largest = np.zeros(side.shape[-1])
    for one, other in combinations(side, 2):
        both = ~np.isnan(one[:, 0] + other[:, 0])
        if both.any():
            largest = np.maximum(largest, np.abs(trimmed((other - one)[both].T)[0]))
    return largest


def _verdict(ms: float, half: float, repeat: float, margin: float) -> Verdict:
    """An interval within the margin is the same. One beside 0 is a difference, if that is beyond the margin
    and beyond what recordings of the same code differ by: a slow spell of the machine is as long as those.
    """
    if abs(ms) + half <= margin:
        return "same"
    if abs(ms) > max(half, margin, repeat):
        return "slower" if ms > 0 else "faster"
    return "undecided"


def _more_turns(turns: int, ms: float, half: float, drift: float, margin: float) -> int | None:
    """How many more turns bring the half width to where it decides: it falls with the root of their number.

    That is |ms| for a difference beyond the margin, and what is left of the margin for one below. What the
    machine's drift adds to the half width does not fall.
    """
    target = (abs(ms) if abs(ms) > margin else margin - abs(ms)) - drift
    if not np.isfinite(half) or target <= 0 or half < target:
        return None
    return max(1, ceil(turns * (half / target) ** 2) - turns)
