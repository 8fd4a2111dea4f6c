"""What models answer in a simulation: as recorded, and else as the real ones do; and how long that takes."""

from collections import Counter, defaultdict, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from math import prod

from assistant.models.pool import Models
from assistant.trace.costs import NOTHING, Cost, alone_ms, fitted, part
from assistant.trace.errors import TraceError
from assistant.trace.trace import Call, Step, Trace


class Recorded:
    """The calls of one session, answered as often as asked: in their order, then the last again."""

    def __init__(self, calls: list[Call]) -> None:
        self._calls: dict[tuple[str, str], deque[Call]] = defaultdict(deque)
        for call in calls:
            if call.steps:  # one that raised, or was cancelled before it gave anything, tells nothing
                self._calls[call.stage, call.input].append(call)

    def take(self, stage: str, input: str) -> Call | None:  # noqa: A002  # the word for it in a trace
        """The next call of `stage` with this input; None if there was none."""
        calls = self._calls.get((stage, input))
        if calls is None:
            return None
        return calls.popleft() if len(calls) > 1 else calls[0]


class Times:
    """How long steps take: as recorded, corrected by the slope for work that differs, or as costs say."""

    def __init__(self, trace: Trace, scale: Mapping[str, float] | None = None) -> None:
        """`scale` multiplies the times of kinds of steps, by the beginning of their names."""
        self._alone = alone_ms(trace)
        self._scale = scale or {}
        self.costs = fitted(trace.calls, self._alone)

    def recorded_ms(self, call: Call, index: int, work: float | None = None) -> float:
        """What the `index`-th step of `call` takes with cores to itself, if it has this much `work`."""
        step, kind = call.steps[index], part(call, index)
        ms = self._alone.get(step, _elapsed_ms(step))
        if work is not None and work != step.work:
            ms = max(0.0, ms + self._cost(kind).slope_ms * (work - step.work))
        return ms * self._scaled(kind)

    def fitted_ms(self, kind: str, work: float | None = None) -> float:
        """What a step takes that was not recorded, by default with as much work as is usual."""
        return self._cost(kind).ms(work) * self._scaled(kind)

    def _scaled(self, kind: str) -> float:
        return prod(factor for name, factor in self._scale.items() if f"{kind}.".startswith(f"{name}."))

    def _cost(self, kind: str) -> Cost:
        return self.costs.get(kind, NOTHING)


def _elapsed_ms(step: Step) -> float:
    return (step.ended_ns - step.began_ns) / 1e6


@dataclass
class Unrecorded:
    """The real models, loaded when something is asked of them that was not recorded; `strict`: refused."""

    trace: Trace
    load: Callable[[], Models]
    strict: bool
    counts: Counter[str] = field(default_factory=Counter)
    """How often each stage was asked for what was not recorded."""

    def note(self, stage: str) -> None:
        """Count a call; raises TraceError if it is to be refused: to a session, a model's error."""
        self.counts[stage] += 1
        if self.strict:
            self.check()

    def check(self) -> None:
        """Raise TraceError if anything was refused."""
        if self.strict and self.counts:
            stages = ", ".join(f"{stage} ({count})" for stage, count in sorted(self.counts.items()))
            raise TraceError(f"{self.trace.folder}: asked for what was not recorded: {stages}")

    @cached_property
    def models(self) -> Models:
        """The real ones."""
        return self.load()


def by_session(trace: Trace) -> Mapping[str, Recorded]:
    """The recorded calls of each session."""
    calls: dict[str, list[Call]] = {session.name: [] for session in trace.sessions}
    for call in trace.calls:
        calls[call.session].append(call)
    return {name: Recorded(of) for name, of in calls.items()}
