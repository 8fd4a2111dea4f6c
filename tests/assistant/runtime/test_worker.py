"""Workers: results, errors, order, back-pressure, and a thread that is free again after every way out.

Real threads and the real clock: a thread is held where a test wants it with an Event, never with a sleep.
"""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing

import pytest
import pytest_asyncio

from assistant.runtime.worker import StopFlag, Worker

LIMIT_S = 10.0
AHEAD = 8  # items that wait for their reader; one more is in the hands of the thread


@pytest_asyncio.fixture
async def worker() -> AsyncIterator[Worker]:
    """A worker that must have finished every job by the end of the test."""
    worker = Worker("w")
    yield worker
    await finished(worker)
    worker.close()
    assert not any(thread.name == "w" for thread in threading.enumerate())


async def finished(worker: Worker) -> None:
    """Wait until the thread is free again and all its jobs are counted as finished."""
    async with asyncio.timeout(LIMIT_S):
        await worker.run(lambda: None)
        while worker.pending:  # noqa: ASYNC110  # the thread reports it a moment after the result
            await asyncio.sleep(0.001)


async def test_a_result_comes_back_from_the_named_thread(worker: Worker) -> None:
    assert await worker.run(lambda a, b: a - b, 5, b=3) == 2
    assert await worker.run(lambda: threading.current_thread().name) == "w"


async def test_an_exception_is_raised_to_the_caller_and_the_thread_lives_on(worker: Worker) -> None:
    with pytest.raises(ZeroDivisionError):
        await worker.run(lambda: 1 // 0)
    with pytest.raises(SystemExit):
        await worker.run(lambda: exec("raise SystemExit(3)"))
    assert await worker.run(lambda: "alive") == "alive"


async def test_jobs_run_in_the_order_they_were_asked_for(worker: Worker) -> None:
    order: list[int] = []
    await asyncio.gather(*(worker.run(order.append, n) for n in range(50)))
    assert order == list(range(50))


async def test_pending_counts_the_jobs_that_run_or_wait(worker: Worker) -> None:
    go = threading.Event()
    jobs = [asyncio.create_task(worker.run(go.wait, LIMIT_S)) for _ in range(3)]
    await asyncio.sleep(0)
    assert worker.pending == 3
    go.set()
    assert await asyncio.gather(*jobs) == [True, True, True]


async def test_a_stream_gives_every_item_in_order(worker: Worker) -> None:
    assert [n async for n in worker.stream(lambda _: iter(range(100)))] == list(range(100))
    assert [n async for n in worker.stream(lambda _: iter(range(0)))] == []


async def test_what_a_stream_raises_comes_after_its_items(worker: Worker) -> None:
    def produce(_: StopFlag) -> Iterator[int]:
        yield 1
        yield 2
        raise LookupError("at three")

    got = []
    with pytest.raises(LookupError, match="at three"):
        async for item in worker.stream(produce):
            got.append(item)
    assert got == [1, 2]


async def test_a_stream_that_cannot_begin_raises(worker: Worker) -> None:
    def produce(_: StopFlag) -> Iterator[int]:
        raise LookupError("no model")

    with pytest.raises(LookupError, match="no model"):
        async for _ in worker.stream(produce):
            pass


async def test_a_producer_is_never_far_ahead_of_its_reader(worker: Worker) -> None:
    """It waits for its reader: however slow that is, only so many items exist that nobody has read."""
    taken = 0
    most_ahead: list[int] = []
    reached = threading.Event()

    def produce(_: StopFlag) -> Iterator[int]:
        for number in range(200):
            most_ahead.append(number - taken)
            if number == AHEAD:
                reached.set()
            yield number

    stream = worker.stream(produce)
    async with aclosing(stream):
        assert await anext(stream) == 0
        taken = 1
        assert await asyncio.to_thread(reached.wait, LIMIT_S)  # it does work ahead
        async for number in stream:
            taken = number + 1
    assert taken == 200
    assert max(most_ahead) <= AHEAD + 1


async def test_leaving_a_stream_stops_the_job_and_frees_the_thread(worker: Worker) -> None:
    produced: list[int] = []
    flags: list[StopFlag] = []
    waits = threading.Event()  # it has put out all that it may, and one more is in its hands

    def produce(stop: StopFlag) -> Iterator[int]:
        flags.append(stop)
        for number in range(1_000_000):
            produced.append(number)
            if len(produced) == 4 + AHEAD + 1:
                waits.set()
            yield number

    stream = worker.stream(produce)
    async with aclosing(stream):
        async for number in stream:
            if number == 3:
                assert await asyncio.to_thread(waits.wait, LIMIT_S)
                break
    assert flags[0].is_set()
    await finished(worker)
    assert len(produced) == 4 + AHEAD + 1


async def test_a_job_that_looks_at_its_flag_ends_between_two_steps(worker: Worker) -> None:
    """As a model does: the step that runs is finished, the next is not begun."""
    steps: list[int] = []
    in_step, go = threading.Event(), threading.Event()

    def produce(stop: StopFlag) -> Iterator[int]:
        while not stop.is_set():
            steps.append(len(steps))
            in_step.set()
            go.wait(LIMIT_S)
            yield steps[-1]

    async def read() -> None:
        stream = worker.stream(produce)
        async with aclosing(stream):
            async for _ in stream:
                pass

    reader = asyncio.create_task(read())
    assert await asyncio.to_thread(in_step.wait, LIMIT_S)
    reader.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reader
    go.set()
    await finished(worker)
    assert steps == [0]


async def test_a_stream_left_before_its_turn_never_begins(worker: Worker) -> None:
    go = threading.Event()
    begun: list[StopFlag] = []

    def produce(stop: StopFlag) -> Iterator[int]:
        begun.append(stop)
        yield 1

    async def read() -> None:
        stream = worker.stream(produce)
        async with aclosing(stream):
            await anext(stream)

    before = asyncio.create_task(worker.run(go.wait, LIMIT_S))
    reader = asyncio.create_task(read())
    await asyncio.sleep(0)
    reader.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reader
    go.set()
    await before
    await finished(worker)
    assert begun == []


async def test_a_cancelled_run_finishes_its_step_and_keeps_its_result_to_itself(worker: Worker) -> None:
    entered, go = threading.Event(), threading.Event()
    left: list[str] = []

    def work() -> None:
        entered.set()
        go.wait(LIMIT_S)
        left.append("finished")

    running = asyncio.create_task(worker.run(work))
    waiting = asyncio.create_task(worker.run(left.append, "never"))
    assert await asyncio.to_thread(entered.wait, LIMIT_S)
    for task in (running, waiting):
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    go.set()
    assert await worker.run(lambda: "free") == "free"
    assert left == ["finished"]


async def test_close_finishes_what_was_asked_for_and_ends_the_thread() -> None:
    worker = Worker("closing")
    done: list[int] = []
    jobs = [asyncio.create_task(worker.run(done.append, n)) for n in range(10)]
    await asyncio.sleep(0)
    worker.close()
    assert done == list(range(10))
    assert "closing" not in {thread.name for thread in threading.enumerate()}
    await asyncio.gather(*jobs)


def test_a_worker_outlives_a_loop_that_ends_in_the_middle_of_a_job() -> None:
    """Ctrl-C while a model computes: no traceback from the thread, and it serves the next loop."""
    worker = Worker("survivor")
    entered, go = threading.Event(), threading.Event()

    def work() -> None:
        entered.set()
        go.wait(LIMIT_S)

    def produce(_: StopFlag) -> Iterator[int]:
        work()
        yield 1

    async def interrupted_run() -> None:
        task = asyncio.create_task(worker.run(work))
        await asyncio.to_thread(entered.wait, LIMIT_S)
        assert not task.done()

    async def interrupted_stream() -> None:
        stream = worker.stream(produce)
        async with aclosing(stream):
            task = asyncio.ensure_future(anext(stream))
            await asyncio.to_thread(entered.wait, LIMIT_S)
            task.cancel()
            await asyncio.wait([task])

    for interrupted in (interrupted_run, interrupted_stream):
        entered.clear()
        go.clear()
        asyncio.run(interrupted())
        go.set()
        assert asyncio.run(asyncio.wait_for(worker.run(lambda: "alive"), LIMIT_S)) == "alive"
    asyncio.run(finished(worker))
    worker.close()
