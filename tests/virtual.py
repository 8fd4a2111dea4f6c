"""An event loop on virtual time: when nothing is ready it jumps to the next timer instead of waiting.

Worker threads are real. While one of them has a job in flight, time stands still and the loop waits
for it, unless the job itself waits for the loop: inside `VirtualLoop.work`, or for a reader to take
what it streamed (`VirtualWorker`).
"""

import asyncio
import selectors
import threading
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator
from contextlib import aclosing
from typing import Any, TypeVar

from assistant.runtime.clock import Clock
from assistant.runtime.worker import _AHEAD, StopFlag, Worker

T = TypeVar("T")
_STUCK_S = 30.0  # of real time that a worker's job may take


class DeadlockError(AssertionError):
    """Tasks wait, and nothing is left that could wake them."""


class _Selector(selectors.DefaultSelector):
    loop: "VirtualLoop"

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        in_flight = self.loop.in_flight()  # asked first: what a job posts after this is seen by the poll
        if (events := super().select(0)) or timeout == 0:
            return events
        if in_flight:
            if events := super().select(_STUCK_S):
                return events
            raise DeadlockError(f"a worker has been busy for {_STUCK_S} s: {self.loop.describe()}")
        if timeout is None:
            raise DeadlockError(self.loop.describe())
        self.loop.advance(timeout)
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """Starts at time 0. `clock` reads its time, and `workers` are the threads that it waits for."""

    def __init__(self) -> None:
        self._seconds = 0.0
        self._parked: set[int] = set()  # threads inside `work`
        self.workers: list[Worker] = []
        self.clock = Clock(lambda: round(self._seconds * 1e9))
        selector = _Selector()
        selector.loop = self
        super().__init__(selector)

    def time(self) -> float:
        return self._seconds

    def advance(self, seconds: float) -> None:
        self._seconds += max(0.0, seconds)

    def in_flight(self) -> bool:
        """Whether a job may still post something without the loop's help."""
        return any(worker.pending and not self._waits(worker) for worker in self.workers)

    def _waits(self, worker: Worker) -> bool:
        starved = isinstance(worker, VirtualWorker) and worker.starved
        return starved or worker._thread.ident in self._parked

    def work(self, ms: float) -> None:
        """Called from a worker thread: what the job does now takes `ms` of virtual time."""
        if ms > 0:
            done = threading.Event()
            self.call_soon_threadsafe(self._park, threading.get_ident(), ms, done)
            while not done.wait(0.1):
                if self.is_closed():
                    raise DeadlockError("the loop ended while a job was at work")

    def _park(self, thread: int, ms: float, done: threading.Event) -> None:
        self._parked.add(thread)
        self.call_later(ms / 1e3, self._unpark, thread, done)

    def _unpark(self, thread: int, done: threading.Event) -> None:
        self._parked.remove(thread)
        done.set()

    def describe(self) -> str:
        tasks = sorted(task.get_name() for task in asyncio.all_tasks(self) if not task.done())
        jobs = {worker.name: worker.pending for worker in self.workers if worker.pending}
        return f"at {self._seconds:.3f} s these tasks wait: {tasks}; jobs: {jobs}"


class VirtualWorker(Worker):
    """A Worker that can say whether its job waits for a reader, which may take virtual time."""

    def __init__(self, name: str) -> None:
        self._flow: _Flow | None = None
        super().__init__(name)

    @property
    def starved(self) -> bool:
        """Whether the job has put out all it may until its reader takes some."""
        return self._flow is not None and self._flow.starved

    async def stream(self, produce: Callable[[StopFlag], Iterator[T]]) -> AsyncGenerator[T, None]:
        flow, loop = _Flow(), asyncio.get_running_loop()

        def counted(stop: StopFlag) -> Iterator[T]:
            self._flow = flow
            for item in produce(stop):
                flow.produced += 1
                if flow.starved:
                    loop.call_soon_threadsafe(len, ())  # nothing, but the loop looks again who is in flight
                yield item

        try:
            async with aclosing(super().stream(counted)) as items:
                async for item in items:
                    flow.taken += 1
                    yield item
        finally:
            flow.taken += 1 << 30  # whoever leaves lets the job go on


class _Flow:
    """Items of one streaming job: `produced` is written by the thread, `taken` by the loop."""

    def __init__(self) -> None:
        self.produced = self.taken = 0

    @property
    def starved(self) -> bool:
        return self.produced - self.taken > _AHEAD


def run_virtual(main: Coroutine[Any, Any, T], loop: VirtualLoop | None = None) -> T:
    """Run `main` on virtual time, then every job to its end; fails if a task is left behind."""
    loop = loop or VirtualLoop()
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        return runner.run(_leave_nothing(main, loop))


async def _leave_nothing(main: Coroutine[Any, Any, T], loop: VirtualLoop) -> T:
    result = await main
    await asyncio.sleep(60)  # time enough for every job to notice that it was stopped
    assert not any(worker.pending for worker in loop.workers), loop.describe()
    left = asyncio.all_tasks() - {asyncio.current_task()}
    assert not left, f"tasks left behind: {sorted(str(task) for task in left)}"
    return result
