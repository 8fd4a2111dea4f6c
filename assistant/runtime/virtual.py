"""Virtual time: an event loop that jumps to the next timer, and workers that run on it.

With nothing ready the loop does not wait: its clock moves. Workers have no threads; a step of a job runs
on the loop at once, and its result is delivered when the time that it `spend`s is over. So a session runs
in as little real time as its code takes, and the same way every time.
"""

import asyncio
import selectors
from collections.abc import Callable, Coroutine, Hashable, Iterator
from contextvars import Context
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar, TypeVarTuple

from assistant.runtime.clock import Clock
from assistant.runtime.schedule import Job, Urgency
from assistant.runtime.steps import SESSION, StepRun, task_name
from assistant.runtime.worker import CallJob, Stopped, StreamJob, Worker

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

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

    def __init__(self, *, log: bool = False) -> None:
        """`log` keeps what is run in `steps`."""
        self._seconds = 0.0
        self._spent_ms, self._spent_on = 0.0, ""
        self.workers: list[Worker] = []
        self.logs = log
        self.steps: list[StepRun] = []
        """Those of all jobs that somebody waited for, in the order in which they ended."""
        self.clock = Clock(lambda: round(self._seconds * 1e9))
        selector = _Selector()
        selector.loop = self
        super().__init__(selector)

    def time(self) -> float:
        """Seconds since the start."""
        return self._seconds

    def call_soon_threadsafe(
        self,
        callback: Callable[[*Ts], object],
        *args: *Ts,
        context: Context | None = None,
    ) -> asyncio.Handle:
        """See asyncio; on the loop itself there is nobody to wake, which takes two calls of the system."""
        if asyncio._get_running_loop() is self:
            return self.call_soon(callback, *args, context=context)
        return super().call_soon_threadsafe(callback, *args, context=context)

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self._seconds += max(0.0, seconds)

    def spend(self, ms: float, kind: str = "") -> None:
        """Called inside a job's step: it is of this `kind`, and takes `ms` more of virtual time."""
        self._spent_ms += ms
        self._spent_on = kind

    def take_spent(self) -> tuple[float, str]:
        """The milliseconds spent since this was asked last, and on what kind of step."""
        spent, self._spent_ms, self._spent_on = (self._spent_ms, self._spent_on), 0.0, ""
        return spent

    def block(self, ms: float, kind: str) -> None:
        """Called on the loop itself, which does nothing else for `ms`: a step of this `kind`."""
        began_ns = self.clock.now_ns()
        self.advance(ms / 1e3)
        if not self.logs:
            return
        session, task, alone_ns = SESSION.get(), task_name(), round(ms * 1e6)
        times_ns = (began_ns, began_ns, self.clock.now_ns(), alone_ns)
        self.steps.append(StepRun("loop", session, task, kind, len(self.steps), *times_ns))

    def describe(self) -> str:
        """What waits, for the message of a deadlock."""
        tasks = sorted(task.get_name() for task in asyncio.all_tasks(self) if not task.done())
        jobs = {worker.name: worker.pending for worker in self.workers if worker.pending}
        return f"at {self._seconds:.3f} s these tasks wait: {tasks}; jobs: {jobs}"


@dataclass
class _Running:
    left_ms: float
    width: float
    done: Callable[[], None]


class Cores:
    """The cores of a machine, which the steps of all its workers share.

    A step keeps `width` of them busy. While the steps that run want more cores than there are, all are slowed
    in the same proportion, as a fair scheduler would; otherwise each takes the time that it `spend`s.
    """

    def __init__(self, loop: VirtualLoop, count: float) -> None:
        self._loop, self._count = loop, count
        self._running: list[_Running] = []
        self._since_s = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def run(self, ms: float, width: float, done: Callable[[], None]) -> None:
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


@dataclass
class _Order:
    session: str
    task: str
    ready_ns: int  # since when its next step could be made


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
        self._orders: dict[Job, _Order] = {}
        loop.workers.append(self)

    def _wake(self) -> None:
        self._loop.call_soon(self._dispatch)

    def _submit(
        self,
        produce: Callable[[Stopped], Iterator[T]],
        urgency: Callable[[], Urgency] | None,
        lane: Hashable | None,
    ) -> StreamJob[T]:
        job = super()._submit(produce, urgency, lane)
        if self._loop.logs:
            self._orders[job] = _Order(SESSION.get(), task_name(), self._loop.clock.now_ns())
        return job

    def _cancel(self, job: Job) -> None:
        self._orders.pop(job, None)
        super()._cancel(job)

    def _dispatch(self) -> None:
        while self._free and (job := self._schedule.take()) is not None:
            assert isinstance(job, StreamJob | CallJob)
            self._free -= 1
            self._loop.take_spent()
            outcome = job.advance()
            spent_ms, kind = self._loop.take_spent()
            self.busy_ms += spent_ms
            log = self._log(job, spent_ms, kind)
            if self._cores is not None and spent_ms:
                self._cores.run(spent_ms, self._width, partial(self._over, log, job, outcome))
            else:
                self._loop.call_later(spent_ms / 1e3, self._over, log, job, outcome)

    def _log(self, job: Job, spent_ms: float, kind: str) -> Callable[[], None]:
        """What writes the step that begins now into the loop's list when it is over."""
        order, began_ns = self._orders.get(job), self._loop.clock.now_ns()

        def log() -> None:
            if order is None:
                return  # nothing is kept, or nobody waits: it gives back what it holds
            ended_ns, wanted = self._loop.clock.now_ns(), not job.cancelled
            times_ns = (order.ready_ns, began_ns, ended_ns, round(spent_ms * 1e6))
            who = (self.name, order.session, order.task, kind or self.name, job.order)
            self._loop.steps.append(StepRun(*who, *times_ns, self._width, wanted))
            order.ready_ns = ended_ns

        return log

    def _over(self, log: Callable[[], None], job: StreamJob[Any] | CallJob, outcome: Any) -> None:  # noqa: ANN401
        log()
        self._finish(job, outcome)

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
