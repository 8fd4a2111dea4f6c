"""Simulating a trace: the real session on the virtual clock, with models that answer as recorded.

What is real: session, turn machine, graph, schedule, playback. Time passes in the steps of the models and in
what a session calls on its event loop; all other code takes none.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from assistant.config import Config
from assistant.models.pool import HearingModels, ModelPool, Models, Opened, Workers, on_worker
from assistant.runtime import Clock, Cores, InlineWorker, VirtualLoop, Worker, run_virtual
from assistant.trace.answers import Times, Unrecorded, by_session
from assistant.trace.costs import Cost, width
from assistant.trace.errors import TraceError
from assistant.trace.runs import Run, recorded_turns
from assistant.trace.scene import Scene
from assistant.trace.simulated import SimulatedTap
from assistant.trace.trace import Trace
from assistant.trace.turns import ReplayedTurn


@dataclass(frozen=True)
class Simulation:
    """What came of a trace: its turns as they are now and as they were, in the same order."""

    trace: Trace
    turns: tuple[ReplayedTurn, ...]
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


def simulate(
    trace: Trace, load: Callable[[], Models], what_if: WhatIf | None = None, *, strict: bool = False
) -> Simulation:
    """Simulate `trace`; `load` gives the real models, should one be needed.

    Raises TraceError: an input that cannot be simulated, a kind of step that the trace has not, or, if
    `strict`, anything that was not recorded.
    """
    loop = VirtualLoop()
    try:
        return _simulate(trace, Unrecorded(trace, load, strict), what_if or WhatIf(), loop)
    finally:
        loop.close()


def _simulate(trace: Trace, unrecorded: Unrecorded, what_if: WhatIf, loop: VirtualLoop) -> Simulation:
    times, config = Times(trace, what_if.scale), what_if.config or trace.config
    for name in what_if.scale:
        if not any(f"{kind}.".startswith(f"{name}.") for kind in times.costs):
            raise TraceError(f"{trace.folder}: has no {name!r:.40}; there are {', '.join(times.costs)}")
    scenes = {name: Scene(loop, calls, times, unrecorded) for name, calls in by_session(trace).items()}
    pool = _pool(trace, Cores(loop, what_if.cores or trace.cores), loop, SimulatedTap(scenes, trace.voice))
    runs = [Run(session, config, pool, loop.clock) for session in trace.sessions]
    run_virtual(_all(runs), loop)
    unrecorded.check()
    return Simulation(
        trace,
        tuple(turn for run in runs for turn in run.turns.all()),
        tuple(turn for session in trace.sessions for turn in recorded_turns(session)),
        dict(sorted(unrecorded.counts.items())),
        times.costs,
        sum(run.turns.failures for run in runs),
        sum(run.dropped_frames for run in runs),
    )


async def _all(runs: Sequence[Run]) -> None:
    async with asyncio.TaskGroup() as group:
        for number, run in enumerate(runs):
            group.create_task(run.run(), name=f"run-{number}")


def _pool(trace: Trace, cores: Cores, loop: VirtualLoop, tap: SimulatedTap) -> ModelPool:
    """A pool with the threads of the recording, on `cores`; the tap has all the models."""
    sessions = trace.config.llm.sessions

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
