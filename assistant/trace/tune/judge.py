"""Which settings are best on one part of the turns, and what they are worth on the other."""

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest

from assistant.trace.errors import TraceError
from assistant.trace.tune.outcome import Outcome

_RESAMPLES = 2000
_LEVEL = 0.95

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Interval:
    """An estimate and its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Figures:
    """`cut` and `unanswered` of `turns`; waits in ms of the others, None without any; `cost_ms` of all."""

    turns: int
    cut: int
    unanswered: int
    mean_ms: float | None
    p50_ms: float | None
    p95_ms: float | None
    cost_ms: float

    @property
    def cut_rate(self) -> float:
        """The share of turns cut into."""
        return self.cut / self.turns


def is_to_choose_on(text: str, share: float, seed: int) -> bool:
    """Whether a sentence is in the part on which settings are chosen, some `share` of all sentences."""
    number = int.from_bytes(blake2b(f"{seed} {text}".encode(), digest_size=8).digest(), "big")
    return number < share * 2**64


def figures(outcomes: Sequence[Outcome], cut_ms: float) -> Figures:
    """What came of turns, at least one, in numbers."""
    waits = [each.wait_ms for each in outcomes if each.wait_ms is not None]
    cut = sum(each.cut_in for each in outcomes)
    p50, p95 = np.percentile(waits, [50, 95]).tolist() if waits else (None, None)
    return Figures(
        len(outcomes),
        cut,
        len(outcomes) - cut - len(waits),
        float(np.mean(waits)) if waits else None,
        p50,
        p95,
        float(np.mean([each.cost_ms(cut_ms) for each in outcomes])),
    )


def best(tried: Sequence[Figures], most_cut: float | None) -> int:
    """The one that costs least, the first of equals, of those that cut into no more than a share `most_cut`.

    Raises TraceError: there is none.
    """
    allowed = [index for index, of in enumerate(tried) if most_cut is None or of.cut_rate <= most_cut]
    if not allowed:
        least = min(of.cut_rate for of in tried)
        raise TraceError(f"--most-cut {most_cut}: every point cuts into more; the least is {least:.3f}")
    return min(allowed, key=lambda index: tried[index].cost_ms)


def front(tried: Sequence[Figures]) -> list[int]:
    """Those of which no other has a shorter mean wait and no more turns cut into, from the shortest."""
    found: list[int] = []
    least: int | None = None
    waiting = [index for index, of in enumerate(tried) if of.mean_ms is not None]
    for index in sorted(waiting, key=lambda index: (tried[index].mean_ms, tried[index].cut)):
        if least is None or tried[index].cut < least:
            found.append(index)
            least = tried[index].cut
    return found


def rate(count: int, of: int) -> Interval:
    """A share with Wilson's interval."""
    interval = binomtest(count, of).proportion_ci(_LEVEL, "wilson")
    return Interval(count / of, float(interval.low), float(interval.high))


def quantile(outcomes: Sequence[Outcome], percent: float, seed: int) -> Interval | None:
    """A percentile of the waits, by bootstrap over sentences; None without a wait."""
    waits = [each for each in outcomes if each.wait_ms is not None]
    values = [each.wait_ms or 0.0 for each in waits]

    def percentile(of: Values) -> float:
        return float(np.percentile(of, percent))

    return _bootstrap([each.text for each in waits], values, percentile, seed) if waits else None


def gain(before: Sequence[Outcome], after: Sequence[Outcome], cut_ms: float, seed: int) -> Interval:
    """What a turn costs more `after` than `before`, in ms: a paired bootstrap over sentences."""
    assert [each.text for each in before] == [each.text for each in after], "the same turns"
    pairs = zip(before, after, strict=True)
    differences = [now.cost_ms(cut_ms) - was.cost_ms(cut_ms) for was, now in pairs]
    return _bootstrap([each.text for each in before], differences, lambda of: float(of.mean()), seed)


def _bootstrap(
    texts: Sequence[str], values: Sequence[float], statistic: Callable[[Values], float], seed: int
) -> Interval:
    """Whole sentences are drawn, as turns in which the same is said are alike."""
    sentences: dict[str, list[float]] = defaultdict(list)
    for text, value in zip(texts, values, strict=True):
        sentences[text].append(value)
    groups: list[Any] = [np.array(of) for of in sentences.values()]
    draws = np.random.default_rng(seed).integers(0, len(groups), (_RESAMPLES, len(groups)))
    found = [statistic(np.concatenate([groups[index] for index in draw])) for draw in draws]
    low, high = np.percentile(found, [50 * (1 - _LEVEL), 50 * (1 + _LEVEL)]).tolist()
    return Interval(statistic(np.array(values)), low, high)


def by_kind(outcomes: Sequence[Outcome]) -> dict[str, tuple[int, int]]:
    """Of each kind of pause: how many were cut into, and how many were reached; NO_PAUSE counts turns."""
    cut = Counter(each.kind for each in outcomes)
    reached = Counter(kind for each in outcomes for kind in each.reached)
    return {kind: (cut[kind], reached[kind]) for kind in sorted(reached)}
