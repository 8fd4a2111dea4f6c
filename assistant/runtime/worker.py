"""One thread per model, so that no model ever runs on the event loop.

A job gets a `StopFlag` and looks at it between tokens or chunks. Cancelling the await sets the
flag; the job's current step survives the cancellation, its result does not.
"""

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable, Iterator
from concurrent.futures import Future
from queue import SimpleQueue
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

StopFlag = threading.Event
_AHEAD = 8  # items a streaming job may be ahead of its reader before it waits
_DONE = object()


class Worker:
    """A named thread with a queue of jobs, run in order. `pending` counts those not finished."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.pending = 0
        self._jobs: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._serve, name=name, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while (job := self._jobs.get()) is not None:
            job()

    def close(self) -> None:
        """Finish the queued jobs and end the thread."""
        self._jobs.put(None)
        self._thread.join()

    async def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run `function` in the thread; what it raises is raised here."""
        future: Future[T] = Future()

        def job() -> None:
            if future.set_running_or_notify_cancel():
                _resolve(future, lambda: function(*args, **kwargs))

        self._submit(job)
        return await asyncio.wrap_future(future)

    async def stream(self, produce: Callable[[StopFlag], Iterator[T]]) -> AsyncGenerator[T, None]:
        """Iterate `produce(stop)` in the thread. Leaving the loop early sets `stop`."""
        loop = asyncio.get_running_loop()
        items: asyncio.Queue[object] = asyncio.Queue()  # bounded by `room`
        room = threading.Semaphore(_AHEAD)
        stop = StopFlag()
        finished: Future[None] = Future()

        def job() -> None:
            if not stop.is_set():
                _resolve(finished, lambda: _pump(produce(stop), stop, room, emit))
            emit(_DONE)

        def emit(item: object) -> None:
            loop.call_soon_threadsafe(items.put_nowait, item)

        self._submit(job)
        try:
            while (item := await items.get()) is not _DONE:
                room.release()
                yield item  # type: ignore[misc]  # emit() only carries what produce() yields
            finished.result()
        finally:
            stop.set()
            room.release()

    def _submit(self, job: Callable[[], None]) -> None:
        loop = asyncio.get_running_loop()
        self.pending += 1

        def counted() -> None:
            try:
                job()
                loop.call_soon_threadsafe(self._finished)
            except RuntimeError:  # the loop is closed: nobody waits for this any more
                self._finished()

        self._jobs.put(counted)

    def _finished(self) -> None:
        self.pending -= 1


def _resolve(future: Future[T], function: Callable[[], T]) -> None:
    try:
        future.set_result(function())
    except BaseException as error:  # noqa: BLE001  # carried to the awaiting task, whatever it is
        future.set_exception(error)


def _pump(
    items: Iterator[T], stop: StopFlag, room: threading.Semaphore, emit: Callable[[object], None]
) -> None:
    for item in items:
        room.acquire()
        if stop.is_set():
            return
        emit(item)
