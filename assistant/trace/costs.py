"""How long a step takes that was not recorded, or that has more or less to do than when it was.

A step of a recording also took the time that it waited for cores. That is taken out here and put in again,
as it then is, by `assistant.runtime.virtual.Cores`: while more cores are wanted than there are, all that
runs is slowed alike.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import fsum

from assistant.trace.items import STAGES
from assistant.trace.trace import Call, Step, Trace

ON_LOOP = ("llm.prompt", "skill", "skill.call", "skill.act")
"""What a session calls itself, and not on a worker."""


@dataclass(frozen=True)
class Cost:
    """Milliseconds: `constant_ms`, and `slope_ms` for each unit of work. From so many `samples`."""

    constant_ms: float
    slope_ms: float
    samples: int
    work: float
    """Its mean in the samples."""

    def ms(self, work: float | None = None) -> float:
        """What a step with so much work takes, by default with as much as is usual."""
        return max(0.0, self.constant_ms + self.slope_ms * (self.work if work is None else work))


NOTHING = Cost(0.0, 0.0, 0, 0.0)
"""What a step costs of which a trace has none."""


def fit(samples: Sequence[tuple[float, float]]) -> Cost:
    """The line through (work, ms) with the least squares; one that falls is none, and its mean is taken."""
    works, times = [work for work, _ in samples], [ms for _, ms in samples]
    count = len(samples)
    if not count:
        return NOTHING
    work, ms = fsum(works) / count, fsum(times) / count
    spread = fsum((x - work) ** 2 for x in works)
    together = fsum((x - work) * (y - ms) for x, y in samples)
    slope = max(0.0, together / spread) if spread else 0.0
    return Cost(ms - slope * work, slope, count, work)


def part(call: Call, index: int) -> str:
    """Which kind of step the `index`-th of a call is: steps of a kind have one cost and one unit of work."""
    if call.stage == "llm.reply":
        return STAGES[call.steps[index].gave[0]]
    if call.stage == "tts.speak":
        return "tts.next" if index else "tts.first"
    return call.stage


def width(stage: str, trace: Trace) -> int:
    """How many cores a step of `stage` keeps busy."""
    return trace.threads["llm_pass"] if stage.startswith("llm.") else 1


def alone_ms(trace: Trace) -> dict[Step, float]:
    """What each step on a worker takes with cores to itself, by identity of the steps."""
    steps = [(step, width(c.stage, trace)) for c in trace.calls if c.stage not in ON_LOOP for step in c.steps]
    changes: dict[int, int] = defaultdict(int)
    for step, cores in steps:
        changes[step.began_ns] += cores
        changes[step.ended_ns] -= cores
    times, done, wanted, so_far = sorted(changes), [], 0, 0.0
    for index, time in enumerate(times):
        if index:
            so_far += (time - times[index - 1]) * min(1.0, trace.cores / max(1, wanted))
        done.append(so_far)
        wanted += changes[time]
    at = dict(zip(times, done, strict=True))
    return {step: (at[step.ended_ns] - at[step.began_ns]) / 1e6 for step, _ in steps}


def fitted(calls: Iterable[Call], alone: Mapping[Step, float]) -> dict[str, Cost]:
    """The cost of each kind of step. The first token costs what a prompt's end leaves to it."""
    samples: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for call in calls:
        for index, step in enumerate(call.steps):
            ms = alone.get(step, (step.ended_ns - step.began_ns) / 1e6)
            samples[part(call, index)].append((step.work, ms))
    return {name: fit(of) for name, of in sorted(samples.items())}
