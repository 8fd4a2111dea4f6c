"""How well ends are told from pauses, and what waiting longer spares."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import chain

import numpy as np
from scipy.stats import rankdata

from assistant.endpointing.fit import Array, Fits, are_ends, counted, log_loss
from assistant.endpointing.points import Turn
from assistant.endpointing.policy import Scores, outcome_of
from assistant.session.turn import TurnConfig
from assistant.trace.tune.judge import Interval
from assistant.trace.tune.worth import Worth, by_pauses

PATIENCE = (0.0, 0.25, 0.5, 0.75, 1.0)
SILENCES_MS = (500, 800)
"""What ends a turn where silence alone does; the first is the default of the Realtime API."""
_RESAMPLES = 1000
_SEED = 0


@dataclass(frozen=True)
class Telling:
    """How well log-odds tell ends from pauses: area under the ROC curve, and nats a point."""

    auc: Interval
    log_loss: float


@dataclass(frozen=True)
class Judged:
    """What the fits are worth on some turns."""

    turns: int
    ends: int
    pauses: int
    telling: dict[str, Telling]
    trade_off: dict[str, dict[str, Worth]]
    """What becomes of the turns under each policy, by the kind of pause."""


def judge(turns: Sequence[Turn], fits: Fits, config: TurnConfig) -> Judged:
    """Hold `fits` against `turns`, some of which have ends and some pauses."""
    points = [counted(turn.points) for turn in turns]
    ends = [are_ends(of) for of in points]
    flat = list(chain.from_iterable(points))
    at = np.cumsum([len(of) for of in points])[:-1]
    telling = {
        name: Telling(_by_clip(auc, np.split(scores, at), ends), log_loss(scores, np.concatenate(ends)))
        for name, scores in fits.log_odds(flat).items()
    }
    found = int(sum(of.sum() for of in ends))
    scored = [_log_odds(turn, fits) for turn in turns]
    trade_off = {
        name: by_pauses([outcome_of(*each, policy) for each in zip(turns, scored, strict=True)], _SEED)
        for name, policy in _policies(config).items()
    }
    return Judged(len(turns), found, len(flat) - found, telling, trade_off)


def auc(log_odds: Array, ends: Array) -> float:
    """The share of pairs of an end and a pause in which the end has larger log-odds; NaN without a pair."""
    count = int(ends.sum())
    pairs = count * (len(ends) - count)
    above = rankdata(log_odds)[ends == 1].sum() - count * (count + 1) / 2
    return float(above / pairs) if pairs else float("nan")


def _by_clip(of: Callable[[Array, Array], float], scores: Sequence[Array], ends: Sequence[Array]) -> Interval:
    """`of` all points, with its 95 % interval by a bootstrap over clips."""
    draws = np.random.default_rng(_SEED).integers(0, len(ends), (_RESAMPLES, len(ends)))
    found = [
        of(np.concatenate([scores[i] for i in draw]), np.concatenate([ends[i] for i in draw]))
        for draw in draws
    ]
    low, high = np.nanpercentile(found, [2.5, 97.5]).tolist()
    return Interval(of(np.concatenate(scores), np.concatenate(ends)), low, high)


def _policies(config: TurnConfig) -> dict[str, TurnConfig]:
    by_patience = {f"patience {each:g}": replace(config, patience=each) for each in PATIENCE}
    by_silence = {
        f"silence, {ms} ms": replace(config, detection="silence", silence_ms=ms) for ms in SILENCES_MS
    }
    return by_patience | by_silence


def _log_odds(turn: Turn, fits: Fits) -> list[Scores]:
    if not turn.points:
        return []
    found = fits.log_odds(turn.points)
    stages = (found[name].tolist() for name in ("words", "words and reading", "all three"))
    return list(zip(*stages, strict=True))
