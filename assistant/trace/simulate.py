"""Simulating a trace: the real session on the virtual clock, with models that answer as recorded.

What is real: session, turn machine, graph, schedule, playback. Time passes in the steps of the models and in
what a session calls on its event loop; all other code takes none.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from assistant.config import Config
from assistant.models.pool import HearingModels, ModelPool, Models, Opened, Workers, on_worker
from assistant.runtime import Clock, Cores, InlineWorker, StepRun, VirtualLoop, Worker, run_virtual
from assistant.session.turn_table import Decide, step
from assistant.trace.answers import Recorded, Times, by_session
from assistant.trace.copies import STAGGER_MS, SessionCopy, copies
from assistant.trace.costs import Cost, width
from assistant.trace.errors import TraceError
from assistant.trace.path import Piece, Steps, critical_path
from assistant.trace.runs import Run, recorded_turns
from assistant.trace.scene import Scene
from assistant.trace.shares import Shares, shares
from assistant.trace.simulated import SimulatedTap
from assistant.trace.trace import Trace
from assistant.trace.turns import ReplayedTurn
from assistant.trace.unrecorded import Unrecorded


@dataclass(frozen=True)
class Explained:
    """A turn's critical path, empty if nothing was heard, and what became of the work for it."""

    path: tuple[Piece, ...]
    shares: Shares


@dataclass(frozen=True)
class Simulation:
    """What came of a trace: its turns as they are now and as they were, in the same order."""

    trace: Trace
    turns: tuple[ReplayedTurn, ...]
    explained: tuple[Explained, ...]
    """Of each turn."""
    recorded: tuple[ReplayedTurn, ...]
    unrecorded: Mapping[str, int]
    """How often each stage was asked for what was not recorded."""
    costs: Mapping[str, Cost]
    failures: int
    dropped_frames: int


@dataclass(frozen=True)
class WhatIf:
    """What is to differ from the recording."""

    cores: int | None = None
    scale: Mapping[str, float] = field(default_factory=dict)
    """Factors of time, by the beginning of a kind of step: "tts", "llm.prefill"."""
    config: Config | None = None
    sessions: int = 1
    """So many copies of each recorded session at once."""
    stagger_ms: float = STAGGER_MS
    """The time over which their beginnings are spread."""


class Simulator:
    """Simulates sessions of a trace, as often as is asked; a real model is asked the same thing only once."""

    def __init__(self, trace: Trace, unrecorded: Unrecorded, what_if: WhatIf | None = None) -> None:
        """Raises TraceError: a kind of step that the trace has not."""
        what_if = what_if or WhatIf()
        self.trace, self.config = trace, what_if.config or trace.config
        self.times = Times(trace, what_if.scale)
        for name in what_if.scale:
            if not any(f"{kind}.".startswith(f"{name}.") for kind in self.times.costs):
                raise TraceError(
                    f"{trace.folder}: has no {name!r:.40}; there are {', '.join(self.times.costs)}"
                )
        self.unrecorded = unrecorded
        self._calls, self._cores = by_session(trace), what_if.cores or trace.cores
        self._places = trace.config.llm.sessions * what_if.sessions

    def run(
        self,
        of: Sequence[SessionCopy],
        config: Config | None = None,
        *,
        decide: Decide = step,
        brief: bool = False,
    ) -> tuple[list[Run], list[StepRun]]:
        """Run sessions side by side; the keywords are those of Run. What ran, and, unless `brief`, its steps.

        Raises TraceError: an input that cannot be simulated, or what is to be refused.
        """
        loop = VirtualLoop(log=not brief)
        try:
            scenes = {copy.name: self._scene(copy, loop) for copy in of}
            tap = SimulatedTap(scenes, self.trace.voice)
            pool = _pool(self.trace, Cores(loop, self._cores), loop, tap, self._places)
            runs = [
                Run(copy, config or self.config, pool, loop.clock, decide=decide, brief=brief) for copy in of
            ]
            run_virtual(_all(runs), loop)
        finally:
            loop.close()
        self.unrecorded.check()
        return runs, loop.steps

    def _scene(self, copy: SessionCopy, loop: VirtualLoop) -> Scene:
        """Each copy is answered all that was recorded of its session."""
        recorded, tells_ends = Recorded(self._calls[copy.recorded.name]), self.config.llm.tells_ends
        return Scene(loop, recorded, self.times, self.unrecorded, tells_ends)


def simulate(
    trace: Trace, load: Callable[[], Models], what_if: WhatIf | None = None, *, strict: bool = False
) -> Simulation:
    """Simulate `trace`; `load` gives the real models, should one be needed.

    Raises TraceError: an input that cannot be simulated, a kind of step that the trace has not, or, if
    `strict`, anything that was not recorded.
    """
    what_if = what_if or WhatIf()
    unrecorded = Unrecorded(trace.folder, load, sessions=trace.config.llm.sessions, strict=strict)
    simulator = Simulator(trace, unrecorded, what_if)
    of = copies(trace.sessions, what_if.sessions, what_if.stagger_ms)
    try:
        runs, steps = simulator.run(of)
    finally:
        unrecorded.close()
    return Simulation(
        trace,
        tuple(turn for run in runs for turn in run.turns.all()),
        tuple(_explained(runs, steps)),
        tuple(turn for copy in of for turn in recorded_turns(copy.recorded, copy.number)),
        dict(sorted(unrecorded.counts.items())),
        simulator.times.costs,
        sum(run.turns.failures for run in runs),
        sum(run.dropped_frames for run in runs),
    )


async def _all(runs: Sequence[Run]) -> None:
    by_copy = {id(run.copy): run for run in runs}
    async with asyncio.TaskGroup() as group:
        for number, run in enumerate(runs):
            behind = None if run.copy.behind is None else by_copy[id(run.copy.behind)]
            group.create_task(run.run(behind), name=f"run-{number}")


def _explained(runs: Iterable[Run], steps: Sequence[StepRun]) -> Iterator[Explained]:
    index = Steps(steps)
    for run in runs:
        paths = [
            critical_path(index, run.copy.name, run.log, *answered) if answered else ()
            for answered in run.turns.answered()
        ]
        work: list[list[tuple[StepRun, bool]]] = [[] for _ in paths]
        for ran in index.of(run.copy.name) if paths else ():
            work[run.turns.of(ran)].append((ran, run.log.keeps(ran)))
        yield from (Explained(path, shares(of, path)) for path, of in zip(paths, work, strict=True))


def _pool(trace: Trace, cores: Cores, loop: VirtualLoop, tap: SimulatedTap, sessions: int) -> ModelPool:
    """A pool with the threads of the recording, on `cores`; the tap has all the models.

    The language model has a thread for each session. That real ones share their passes is left out: each here
    reads the weights for itself.
    """

    def worker(name: str, threads: int, busy: int = 1) -> Worker:
        return InlineWorker(name, loop, threads=threads, cores=cores, width=busy)

    workers = Workers(
        worker("vad", 1),
        worker("asr", trace.threads["asr"]),
        worker("llm", sessions, width("llm.reply", trace)),
        worker("tts", 1),
    )
    nobody: Any = _Nobody()
    models = Models(nobody, HearingModels(nobody, nobody, lambda: nobody), nobody)
    return ModelPool(models, loop.clock, sessions, tap, workers)


class _Nobody:
    """Stands where a pool has models: a simulation's tap puts others there before anything is asked."""

    kv_bytes = 0
    takes_tools = False

    def open(self, worker: Worker, clock: Clock) -> Opened:
        nobody: Any = self
        return on_worker(nobody, lambda: None, worker, clock)

    def __getattr__(self, name: str) -> object:
        raise AssertionError(f"{name}() of a model that is not there")
