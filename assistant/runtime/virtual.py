"""Virtual time: an event loop that jumps to the next timer, and workers that run on it.

With nothing ready the loop does not wait: its clock moves. Workers have no threads; a step of a job runs
on the loop at once, and its result is delivered when the time that it `spend`s is over. So a session runs
in as little real time as its code takes, and the same way every time.
"""

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from assistant.runtime.clock import Clock
from assistant.runtime.worker import CallJob, StreamJob, Worker

T = TypeVar("T")

_NOTHING_MS = 1e-6  # what rounding may leave of a step


class DeadlockError(AssertionError):
    """Tasks wait, and nothing is left that could wake them."""


class _Selector(selectors.DefaultSelector):
    loop: "VirtualLoop"

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if (events := super().select(0)) or timeout == 0:
            return events
        if timeout is None:
            raise DeadlockError(self.loop.describe())
        self.loop.advance(timeout)
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop that starts at time 0; `clock` reads its time."""

    def __init__(self) -> None:
        self._seconds = 0.0
        self._spent_ms = 0.0
        self.workers: list[Worker] = []
        self.clock = Clock(lambda: round(self._seconds * 1e9))
        selector = _Selector()
        selector.loop = self
        super().__init__(selector)

    def time(self) -> float:
        """Seconds since the start."""
        return self._seconds

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self._seconds += max(0.0, seconds)

    def spend(self, ms: float) -> None:
        """Called inside a job's step: what it does takes `ms` more of virtual time."""
        self._spent_ms += ms

    def take_spent(self) -> float:
        """The milliseconds spent since this was asked last."""
        spent, self._spent_ms = self._spent_ms, 0.0
        return spent

    def describe(self) -> str:
        """What waits, for the message of a deadlock."""
        tasks = sorted(task.get_name() for task in asyncio.all_tasks(self) if not task.done())
        jobs = {worker.name: worker.pending for worker in self.workers if worker.pending}
        return f"at {self._seconds:.3f} s these tasks wait: {tasks}; jobs: {jobs}"


@dataclass
class _Running:
    left_ms: float
    width: int
    done: Callable[[], None]


class Cores:
    """The cores of a machine, which the steps of all its workers share.

    A step keeps `width` of them busy. While the steps that run want more cores than there are, all are slowed
    in the same proportion, as a fair scheduler would; otherwise each takes the time that it `spend`s.
    """

    def __init__(self, loop: VirtualLoop, count: int) -> None:
        self._loop, self._count = loop, count
        self._running: list[_Running] = []
        self._since_s = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def run(self, ms: float, width: int, done: Callable[[], None]) -> None:
        """Call `done` when a step that takes `ms` with cores to itself is over."""
        self._settle()
        self._running.append(_Running(ms, width, done))
        self._plan()

    @property
    def _rate(self) -> float:
        return min(1.0, self._count / sum(step.width for step in self._running))

    def _settle(self) -> None:
        """Take off what was done since the number of steps changed last."""
        now_s = self._loop.time()
        if self._running:
            done_ms = (now_s - self._since_s) * 1e3 * self._rate
            for step in self._running:
                step.left_ms -= done_ms
        self._since_s = now_s

    def _plan(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None
        if self._running:
            soonest_ms = max(0.0, min(step.left_ms for step in self._running))
            self._timer = self._loop.call_later(soonest_ms / self._rate / 1e3, self._finish)

    def _finish(self) -> None:
        self._timer = None
        self._settle()
        over = [step for step in self._running if step.left_ms < _NOTHING_MS]
        self._running = [step for step in self._running if step.left_ms >= _NOTHING_MS]
        self._plan()
        for step in over:
            step.done()


class InlineWorker(Worker):
    """A worker on virtual time, as if it had `threads`.

    Each has a core of its own, unless there are `cores` to share; a step keeps `width` of those busy.
    """

    def __init__(
        self,
        name: str,
        loop: VirtualLoop,
        *,
        threads: int = 1,
        limit: int = 1024,
        cores: Cores | None = None,
        width: int = 1,
    ) -> None:
        super().__init__(name, limit)
        self._loop, self._free = loop, threads
        self._cores, self._width = cores, width
        self.busy_ms = 0.0
        loop.workers.append(self)

    def _wake(self) -> None:
        self._loop.call_soon(self._dispatch)

    def _dispatch(self) -> None:
        while self._free and (job := self._schedule.take()) is not None:
            assert isinstance(job, StreamJob | CallJob)
            self._free -= 1
            self._loop.take_spent()
            outcome = job.advance()
            spent_ms = self._loop.take_spent()
            self.busy_ms += spent_ms
            if self._cores is not None and spent_ms:
                self._cores.run(spent_ms, self._width, partial(self._finish, job, outcome))
            else:
                self._loop.call_later(spent_ms / 1e3, self._finish, job, outcome)

    def _finish(self, job: StreamJob[Any] | CallJob, outcome: Any) -> None:  # noqa: ANN401  # as `advance` returned it
        if isinstance(job, StreamJob) and not job.cancelled:
            outcome = job.worked_out(outcome)
        self._free += 1
        self._step_over(job, outcome)
        self._dispatch()


def run_virtual(main: Coroutine[Any, Any, T], loop: VirtualLoop | None = None) -> T:
    """Run `main` on virtual time, then every job to its end; AssertionError if a task is left behind."""
    loop = loop or VirtualLoop()
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        return runner.run(_leave_nothing(main, loop))


async def _leave_nothing(main: Coroutine[Any, Any, T], loop: VirtualLoop) -> T:
    result = await main
    await asyncio.sleep(60)  # time enough for every job to notice that it was cancelled
    assert not any(worker.pending for worker in loop.workers), loop.describe()
    left = asyncio.all_tasks() - {asyncio.current_task()}
    assert not left, f"tasks left behind: {sorted(str(task) for task in left)}"
    return result
