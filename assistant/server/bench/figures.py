"""Percentiles with their intervals, and what a load comes to."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from asr.eval.score import total, word_errors
from assistant.server.bench.client import Refusal
from assistant.server.bench.load import Load

_RESAMPLES = 2000


@dataclass(frozen=True)
class Interval:
    """An estimate with the interval that holds it in 95 of 100 samples like this one."""

    value: float
    low: float
    high: float


Statistic = Callable[[np.ndarray[Any, Any]], np.ndarray[Any, Any]]


def percentile(values: Sequence[float], percent: float) -> Interval | None:
    """A percentile of independent values, None of nothing."""
    return bootstrap(values, lambda drawn: np.percentile(drawn, percent, axis=-1))


def bootstrap(values: Sequence[float] | np.ndarray[Any, Any], statistic: Statistic) -> Interval | None:
    """A statistic over the last axis of `values` [n] or [k, n], the n resampled with one seed."""
    array = np.asarray(values, np.float64)
    if not array.size:
        return None
    count = array.shape[-1]
    drawn = np.random.default_rng(0).integers(0, count, (_RESAMPLES, count))
    low, high = np.percentile(statistic(array[..., drawn]), [2.5, 97.5])
    return Interval(float(statistic(array)), float(low), float(high))


@dataclass(frozen=True)
class LoadFigures:
    """One line of the table; None is what is not known."""

    clients: int
    turns: int
    answered: int
    ttfa_p50_ms: Interval | None
    ttfa_p95_ms: Interval | None
    gaps: int
    dropped_frames: float | None
    server_cores: float | None
    client_cores: float
    cut_into: float
    """Share of the turns."""
    wer: float | None
    errors: int
    """Turns with an error event, or whose connection broke."""
    refusals: int


def load_figures(load: Load) -> LoadFigures:
    """Sum up a load."""
    turns = load.turns
    waits = [turn.ttfa_ms for turn in turns if turn.ttfa_ms is not None]
    labelled = [turn for turn in turns if turn.reference is not None]
    words = total(word_errors(turn.reference or "", turn.transcript) for turn in labelled)
    return LoadFigures(
        clients=load.clients,
        turns=len(turns),
        answered=sum(bool(turn.reply) for turn in turns),
        ttfa_p50_ms=percentile(waits, 50),
        ttfa_p95_ms=percentile(waits, 95),
        gaps=sum(len(turn.gaps_ms) for turn in turns),
        dropped_frames=load.dropped_frames,
        server_cores=load.server_cores,
        client_cores=load.client_cores,
        cut_into=sum(turn.cut_into for turn in turns) / max(len(turns), 1),
        wer=words.wer if labelled else None,
        errors=sum(bool(turn.errors or turn.broken) for turn in turns),
        refusals=len(load.refusals),
    )


@dataclass(frozen=True)
class RefusalFigures:
    """How refusals were answered."""

    count: int
    p50_ms: float | None
    p99_ms: float | None
    with_retry_after: int


def refusal_figures(refusals: Sequence[Refusal]) -> RefusalFigures:
    """Sum up refusals."""
    ms = [refusal.ms for refusal in refusals]
    p50, p99 = (float(p) for p in np.percentile(ms, [50, 99])) if ms else (None, None)
    return RefusalFigures(len(ms), p50, p99, sum(refusal.retry_after is not None for refusal in refusals))


def ratio(one: Interval | None, other: Interval | None) -> float | None:
    """How many times `other` an estimate is."""
    return None if one is None or other is None or not other.value else one.value / other.value


def doubled_at(figures: Sequence[LoadFigures]) -> int | None:
    """The fewest clients with whom the 95th percentile is twice that of the fewest of all."""
    first = min(figures, key=lambda load: load.clients)
    many = [load.clients for load in figures if (ratio(load.ttfa_p95_ms, first.ttfa_p95_ms) or 0) >= 2]
    return min(many, default=None)


def as_json(load: Load) -> dict[str, Any]:
    """All of a load."""
    return {**asdict(load_figures(load)), "by_turn": [asdict(turn) for turn in load.turns]}
