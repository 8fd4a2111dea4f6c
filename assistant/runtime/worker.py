"""Threads that run models, so that no model ever runs on the event loop.

What a worker is asked to do is a job: one call, or an iterator whose items are read as they come. Its
threads take the next step of the most urgent job (`schedule`). Cancelling the await cancels the job; the
step that runs then survives the cancellation, its result does not.
"""

import asyncio
import threading
import time
from collections.abc import AsyncGenerator, Callable, Hashable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from assistant.runtime.schedule import AHEAD, Job, Schedule, Urgency

T = TypeVar("T")


_step = threading.local()


def _now() -> Urgency:
    return 0, 0


def asked_ns() -> int | None:
    """When the job whose step this thread runs was asked for, on the monotonic clock; None outside of one."""
    return getattr(_step, "asked_ns", None)


Stopped = Callable[[], bool]
"""Whether nobody wants the rest; a job asks it inside long steps."""


class WorkerFull(RuntimeError):  # noqa: N818  # a condition with a name of its own
    """More jobs at once than a worker takes."""

    def __init__(self, name: str, limit: int) -> None:
        super().__init__(f"the worker {name!r} has {limit} jobs already")
        self.name, self.limit = name, limit


@dataclass(frozen=True)
class _Item(Generic[T]):
    value: T


@dataclass(frozen=True)
class _End:
    error: BaseException | None = None


@dataclass(frozen=True)
class Later(Generic[T]):
    """A step's item on virtual time that is worked out only if it is still wanted when its time is over."""

    work_out: Callable[[], T]


class StreamJob(Job, Generic[T]):
    """A job with its reader: `advance` runs in a thread, the rest on the event loop."""

    def __init__(
        self,
        produce: Callable[[Stopped], Iterator[T]],
        urgency: Callable[[], Urgency],
        lane: Hashable | None,
    ) -> None:
        """Called on the event loop of its reader."""
        super().__init__(urgency, lane)
        self.outcomes: asyncio.Queue[_Item[T] | _End] = asyncio.Queue()  # bounded: see `schedule.AHEAD`
        self.loop = asyncio.get_running_loop()
        self._produce = produce
        self._items: Iterator[T] | None = None
        self._asked_ns = time.monotonic_ns()

    def advance(self) -> _Item[T] | _End:
        """One step: the next item, or the end and what was raised."""
        _step.asked_ns = self._asked_ns
        try:
            if self.cancelled:
                return self._close()
            if self._items is None:
                self._items = iter(self._produce(lambda: self.cancelled))
            return _Item(next(self._items))
        except StopIteration:
            return _End()
        except BaseException as error:  # noqa: BLE001  # carried to the reader, whatever it is
            return _End(error)

    def worked_out(self, outcome: _Item[T] | _End) -> _Item[T] | _End:
        """`outcome`, with what is to be worked out `Later` in its place."""
        if not (isinstance(outcome, _Item) and isinstance(outcome.value, Later)):
            return outcome
        try:
            return _Item(outcome.value.work_out())
        except StopIteration:
            return _End()
        except BaseException as error:  # noqa: BLE001  # carried to the reader, whatever it is
            return _End(error)

    def _close(self) -> _End:
        close = getattr(self._items, "close", None)
        if close is not None:
            close()
        return _End()

    def deliver(self, outcome: _Item[T] | _End) -> None:
        """Hand `outcome` to the reader; called from any thread."""
        with suppress(RuntimeError):  # the loop is closed: nobody waits for this any more
            self.loop.call_soon_threadsafe(self.outcomes.put_nowait, outcome)


class CallJob(Job):
    """A job that nobody waits for: its error is one of the thread."""

    def __init__(self, function: Callable[[], None], lane: Hashable | None) -> None:
        super().__init__(_now, lane)
        self._function = function

    def advance(self) -> _End:
        """Call the function."""
        try:
            self._function()
        except BaseException as error:  # noqa: BLE001  # reported as Python does for a thread
            return _End(error)
        return _End()

    def deliver(self, outcome: _Item[object] | _End) -> None:
        """Report an error."""
        error = outcome.error if isinstance(outcome, _End) else None
        if error is not None:
            told = [type(error), error, error.__traceback__, threading.current_thread()]
            threading.excepthook(threading.ExceptHookArgs(told))


AnyJob = StreamJob[Any] | CallJob


class Worker:
    """Jobs and the schedule of them; `ThreadWorker` and `virtual.InlineWorker` run them."""

    def __init__(self, name: str, limit: int = 1024) -> None:
        self.name = name
        self._schedule = Schedule(limit)
        self._changed = threading.Condition()  # guards the schedule

    @property
    def pending(self) -> int:
        """Jobs that run or wait."""
        return len(self._schedule)

    @property
    def refused(self) -> int:
        """Jobs that were refused because there were too many."""
        return self._schedule.refused

    async def run(
        self,
        function: Callable[[], T],
        *,
        urgency: Callable[[], Urgency] | None = None,
        lane: Hashable | None = None,
    ) -> T:
        """Call `function` in a thread; what it raises is raised here. Raises WorkerFull."""

        def once(_stopped: Stopped) -> Iterator[T]:
            yield function()

        job = self._submit(once, urgency, lane)
        try:
            return self._open(await job.outcomes.get())
        finally:
            self._cancel(job)

    async def stream(
        self,
        produce: Callable[[Stopped], Iterator[T]],
        *,
        urgency: Callable[[], Urgency] | None = None,
        lane: Hashable | None = None,
    ) -> AsyncGenerator[T, None]:
        """Iterate `produce(stopped)` in a thread. Leaving the loop early cancels it. Raises WorkerFull."""
        job = self._submit(produce, urgency, lane)
        try:
            while isinstance(outcome := await job.outcomes.get(), _Item):
                self._took(job)
                yield outcome.value
            if outcome.error is not None:
                raise outcome.error
        finally:
            self._cancel(job)

    def post(self, function: Callable[[], None], *, lane: Hashable | None = None) -> None:
        """Call `function` in a thread, behind the jobs of its lane that have begun; nobody waits for it.

        Not to be lost, it is taken beyond the limit, too. May be called from any thread.
        """
        with self._changed:
            self._schedule.add(CallJob(function, lane), always=True)
            self._wake()

    def close(self) -> None:
        """Finish the jobs that there are; none may follow."""

    def _submit(
        self,
        produce: Callable[[Stopped], Iterator[T]],
        urgency: Callable[[], Urgency] | None,
        lane: Hashable | None,
    ) -> StreamJob[T]:
        job = StreamJob(produce, urgency or _now, lane)
        with self._changed:
            if not self._schedule.add(job):
                raise WorkerFull(self.name, self._schedule.limit)
            self._wake()
        return job

    def _took(self, job: Job) -> None:
        with self._changed:
            job.unread -= 1
            if job.unread == AHEAD - 1:  # it was parked
                self._wake()

    def _cancel(self, job: Job) -> None:
        with self._changed:
            self._schedule.cancel(job)
            self._wake()

    def _step_over(self, job: AnyJob, outcome: _Item[Any] | _End) -> None:
        """Hand the outcome to the reader, and the job back to the schedule: in this order, so that the next
        step, in whichever thread, cannot be read before this one.
        """
        ended = isinstance(outcome, _End)
        job.deliver(outcome)
        with self._changed:
            job.unread += not ended
            self._schedule.give_back(job, ended=ended)
            if len(self._schedule) > (not ended):
                self._wake()

    @staticmethod
    def _open(outcome: _Item[T] | _End) -> T:
        if isinstance(outcome, _Item):
            return outcome.value
        raise outcome.error or RuntimeError("a call that gave nothing")

    def _wake(self) -> None:
        """A job may have become ready; called with the schedule held."""
        raise NotImplementedError


class ThreadWorker(Worker):
    """A worker with threads of its own."""

    def __init__(self, name: str, *, threads: int = 1, limit: int = 1024) -> None:
        super().__init__(name, limit)
        self._closing = False
        self._threads = [threading.Thread(target=self._serve, name=name, daemon=True) for _ in range(threads)]
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """Finish the jobs that there are and end the threads."""
        with self._changed:
            self._closing = True
            for job in self._schedule.jobs:
                if isinstance(job, StreamJob) and job.loop.is_closed():
                    self._schedule.cancel(job)  # its reader is gone: it would be parked for ever
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def _wake(self) -> None:
        self._changed.notify()

    def _serve(self) -> None:
        while (job := self._next()) is not None:
            self._step_over(job, job.advance())
            del job  # a thread that waits keeps nothing of the session that it served last

    def _next(self) -> AnyJob | None:
        with self._changed:
            while (job := self._schedule.take()) is None:
                if self._closing and not len(self._schedule):
                    self._changed.notify_all()
                    return None
                self._changed.wait()
            assert isinstance(job, StreamJob | CallJob)
            return job
