"""A sweep over settings: chosen on one part of the turns, judged on the other."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from assistant.trace.errors import TraceError
from assistant.trace.tune import judge
from assistant.trace.tune.judge import Figures, Interval
from assistant.trace.tune.outcome import Outcome
from assistant.trace.tune.settings import Range, Settings, points
from assistant.trace.tune.sweep import Sweep


@dataclass(frozen=True)
class Plan:
    """What is tried, and by what it is judged; the keywords of `assistant trace tune`."""

    ranges: Sequence[Range]
    points: int = 60
    fit_share: float = 0.5
    cut_ms: float = 3000.0
    most_cut: float | None = None
    seed: int = 0


@dataclass(frozen=True)
class Judged:
    """Settings on the turns that they were not chosen on."""

    figures: Figures
    cut_rate: Interval
    p50_ms: Interval | None
    p95_ms: Interval | None
    by_kind: Mapping[str, tuple[int, int]]


@dataclass(frozen=True)
class Tuned:
    """What was tried and chosen on one part of the turns, and what it is worth on the other."""

    plan: Plan
    tried: Sequence[Settings]
    """The present ones first."""
    fit: Sequence[Figures]
    chosen: int
    present: Judged
    after: Judged
    gain: Interval
    """What a turn costs more, in ms, on the part judged on."""

    @property
    def is_better(self) -> bool:
        """Whether the whole interval of the gain lies on one side."""
        return self.gain.high < 0


def tune(sweep: Sweep, plan: Plan, told: Callable[[int], None] = lambda _: None) -> Tuned:
    """Choose and judge; `told` how many points are done. Raises TraceError: a part without turns."""

    def chosen_on(text: str) -> bool:
        return judge.is_to_choose_on(text, plan.fit_share, plan.seed)

    _check_parts(sweep.texts, chosen_on)
    tried, fit = points(plan.ranges, plan.points, plan.seed, sweep.present), []
    for number, settings in enumerate(tried):
        fit.append(judge.figures(sweep.outcomes(settings, chosen_on), plan.cut_ms))
        told(number)
    chosen = judge.best(fit, plan.most_cut)
    before, after = (sweep.outcomes(tried[index], lambda text: not chosen_on(text)) for index in (0, chosen))
    gain = judge.gain(before, after, plan.cut_ms, plan.seed)
    return Tuned(plan, tried, fit, chosen, _judged(before, plan), _judged(after, plan), gain)


def _check_parts(texts: Sequence[str], chosen_on: Callable[[str], bool]) -> None:
    if not texts:
        raise TraceError("no clip in these traces says when its speaker was done (speech_end_sample)")
    fit = sum(map(chosen_on, texts))
    if fit in (0, len(texts)):
        missing = "judge" if fit else "choose"
        raise TraceError(
            f"{len(texts)} turns with {len(set(texts))} sentences leave none to {missing} on;"
            " record more, or change --fit-share or --seed"
        )


def _judged(outcomes: Sequence[Outcome], plan: Plan) -> Judged:
    of = judge.figures(outcomes, plan.cut_ms)
    p50, p95 = (judge.quantile(outcomes, percent, plan.seed) for percent in (50, 95))
    return Judged(of, judge.rate(of.cut, of.turns), p50, p95, judge.by_kind(outcomes))


def as_json(tuned: Tuned, sweep: Sweep) -> dict[str, Any]:
    """All of it; what is under "fit" is of the turns on which the settings were chosen."""
    fit = [{"turn": dict(of), **asdict(found)} for of, found in zip(tuned.tried, tuned.fit, strict=True)]
    return {
        "plan": asdict(tuned.plan),
        "fit": {"points": fit, "present": 0, "chosen": tuned.chosen, "front": judge.front(tuned.fit)},
        "judged": {"present": asdict(tuned.present), "chosen": asdict(tuned.after)},
        "gain_ms": asdict(tuned.gain),
        "is_better": tuned.is_better,
        "simulations": sweep.simulations,
        "spared": sweep.spared,
        "asked_of_real_models": dict(sorted(sweep.asked.items())),
        "failures": sweep.failures,
        "unlabelled_clips": sweep.unlabelled,
    }
