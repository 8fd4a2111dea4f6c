"""Workers: results, errors, order, back-pressure, and threads that are free again after every way out.

Real threads and the real clock: a thread is held where a test wants it with an Event, never with a sleep.
"""

import asyncio
import gc
import threading
import weakref
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing, suppress
from functools import partial

import pytest
import pytest_asyncio

from assistant.runtime import Stopped, ThreadWorker, Urgency, Worker, WorkerFull

LIMIT_S = 10.0
AHEAD = 8  # items that wait for their reader


@pytest_asyncio.fixture
async def worker() -> AsyncIterator[ThreadWorker]:
    """A worker that must have finished every job by the end of the test."""
    worker = ThreadWorker("w")
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


async def test_a_result_comes_back_from_the_named_thread(worker: ThreadWorker) -> None:
    assert await worker.run(lambda: 5 - 3) == 2
    assert await worker.run(lambda: threading.current_thread().name) == "w"


async def test_an_exception_is_raised_to_the_caller_and_the_thread_lives_on(worker: ThreadWorker) -> None:
    with pytest.raises(ZeroDivisionError):
        await worker.run(lambda: 1 // 0)
    with pytest.raises(SystemExit):
        await worker.run(lambda: exec("raise SystemExit(3)"))
    assert await worker.run(lambda: "alive") == "alive"


async def test_jobs_run_in_the_order_they_were_asked_for(worker: ThreadWorker) -> None:
    order: list[int] = []
    await asyncio.gather(*(worker.run(partial(order.append, n)) for n in range(50)))
    assert order == list(range(50))


async def test_pending_counts_the_jobs_that_run_or_wait(worker: ThreadWorker) -> None:
    go = threading.Event()
    jobs = [asyncio.create_task(worker.run(lambda: go.wait(LIMIT_S))) for _ in range(3)]
    await asyncio.sleep(0)
    assert worker.pending == 3
    go.set()
    assert await asyncio.gather(*jobs) == [True, True, True]


async def test_a_stream_gives_every_item_in_order(worker: ThreadWorker) -> None:
    assert [n async for n in worker.stream(lambda _: iter(range(100)))] == list(range(100))
    assert [n async for n in worker.stream(lambda _: iter(range(0)))] == []


async def test_what_a_stream_raises_comes_after_its_items(worker: ThreadWorker) -> None:
    def produce(_: Stopped) -> Iterator[int]:
        yield 1
        yield 2
        raise LookupError("at three")

    got = []
    with pytest.raises(LookupError, match="at three"):
        async for item in worker.stream(produce):
            got.append(item)
    assert got == [1, 2]


async def test_a_stream_that_cannot_begin_raises(worker: ThreadWorker) -> None:
    def produce(_: Stopped) -> Iterator[int]:
        raise LookupError("no model")

    with pytest.raises(LookupError, match="no model"):
        async for _ in worker.stream(produce):
            pass


async def test_a_producer_is_never_far_ahead_of_its_reader(worker: ThreadWorker) -> None:
    """It waits for its reader: however slow that is, only so many items exist that nobody has read."""
    taken = 0
    most_ahead: list[int] = []
    reached = threading.Event()

    def produce(_: Stopped) -> Iterator[int]:
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
    assert max(most_ahead) <= AHEAD


async def test_leaving_a_stream_stops_the_job_and_frees_the_thread(worker: ThreadWorker) -> None:
    produced: list[int] = []
    flags: list[Stopped] = []
    waits = threading.Event()  # it has put out all that it may

    def produce(stopped: Stopped) -> Iterator[int]:
        flags.append(stopped)
        for number in range(1_000_000):
            produced.append(number)
            if len(produced) == 4 + AHEAD:
                waits.set()
            yield number

    stream = worker.stream(produce)
    async with aclosing(stream):
        async for number in stream:
            if number == 3:
                assert await asyncio.to_thread(waits.wait, LIMIT_S)
                break
    assert flags[0]()
    await finished(worker)
    assert len(produced) == 4 + AHEAD


async def test_a_job_that_looks_at_its_flag_ends_between_two_steps(worker: ThreadWorker) -> None:
    """As a model does: the step that runs is finished, the next is not begun."""
    steps: list[int] = []
    in_step, go = threading.Event(), threading.Event()

    def produce(stopped: Stopped) -> Iterator[int]:
        while not stopped():
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


async def test_a_stream_left_before_its_turn_never_begins(worker: ThreadWorker) -> None:
    go = threading.Event()
    begun: list[Stopped] = []

    def produce(stopped: Stopped) -> Iterator[int]:
        begun.append(stopped)
        yield 1

    async def read() -> None:
        stream = worker.stream(produce)
        async with aclosing(stream):
            await anext(stream)

    before = asyncio.create_task(worker.run(lambda: go.wait(LIMIT_S)))
    reader = asyncio.create_task(read())
    await asyncio.sleep(0)
    reader.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reader
    go.set()
    await before
    await finished(worker)
    assert begun == []


async def test_a_cancelled_run_finishes_its_step_and_keeps_its_result_to_itself(worker: ThreadWorker) -> None:
    entered, go = threading.Event(), threading.Event()
    left: list[str] = []

    def work() -> None:
        entered.set()
        go.wait(LIMIT_S)
        left.append("finished")

    running = asyncio.create_task(worker.run(work))
    waiting = asyncio.create_task(worker.run(lambda: left.append("never")))
    assert await asyncio.to_thread(entered.wait, LIMIT_S)
    for task in (running, waiting):
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    go.set()
    assert await worker.run(lambda: "free") == "free"
    assert left == ["finished"]


async def test_close_finishes_what_was_asked_for_and_ends_the_thread() -> None:
    worker = ThreadWorker("closing")
    done: list[int] = []
    jobs = [asyncio.create_task(worker.run(partial(done.append, n))) for n in range(10)]
    await asyncio.sleep(0)
    worker.close()
    assert done == list(range(10))
    assert "closing" not in {thread.name for thread in threading.enumerate()}
    await asyncio.gather(*jobs)


def test_a_worker_outlives_a_loop_that_ends_in_the_middle_of_a_job() -> None:
    """Ctrl-C while a model computes: no traceback from the thread, and it serves the next loop."""
    worker = ThreadWorker("survivor")
    entered, go = threading.Event(), threading.Event()

    def work() -> None:
        entered.set()
        go.wait(LIMIT_S)

    def produce(_: Stopped) -> Iterator[int]:
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


async def test_an_idle_thread_keeps_nothing_of_its_last_job(worker: ThreadWorker) -> None:
    class Conversation:
        def answer(self) -> int:
            return 7

    conversation = Conversation()
    kept = weakref.ref(conversation)
    assert await worker.run(conversation.answer) == 7
    del conversation
    async with asyncio.timeout(LIMIT_S):
        while kept():  # the thread waits for its next job a moment after the result
            await asyncio.sleep(0.001)
            gc.collect()


# What is served first


class Held:
    """The only thread of a worker, held in a step until `let_go`."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._entered, self._go = threading.Event(), threading.Event()
        self._job: asyncio.Task[None] | None = None

    async def hold(self) -> None:
        self._job = asyncio.create_task(self._worker.run(self._wait))
        assert await asyncio.to_thread(self._entered.wait, LIMIT_S)

    def _wait(self) -> None:
        self._entered.set()
        assert self._go.wait(LIMIT_S)

    async def let_go(self) -> None:
        assert self._job is not None
        self._go.set()
        await self._job


async def read_all(worker: Worker, produce: Callable[[Stopped], Iterator[object]], **how: object) -> None:
    async for _ in worker.stream(produce, **how):  # type: ignore[arg-type]
        pass


async def test_the_most_urgent_job_is_served_first(worker: ThreadWorker) -> None:
    order: list[str] = []
    held = Held(worker)
    await held.hold()
    urgencies: dict[str, Urgency] = {
        "later": (0, 9),
        "other rank": (1, 0),
        "soon": (0, -5),
        "as later": (0, 9),
    }
    jobs = [
        asyncio.create_task(worker.run(partial(order.append, name), urgency=lambda u=urgency: u))
        for name, urgency in urgencies.items()
    ]
    await asyncio.sleep(0)
    await held.let_go()
    await asyncio.gather(*jobs)
    assert order == ["soon", "later", "as later", "other rank"]


async def test_urgency_is_asked_again_before_each_step(worker: ThreadWorker) -> None:
    """The first stream's third step makes it less urgent than the second's."""
    steps: list[str] = []
    urgency: dict[str, Urgency] = {"x": (0, 1), "y": (0, 2)}

    def produce(name: str, _: Stopped) -> Iterator[int]:
        for number in range(6):
            steps.append(name)
            if (name, number) == ("x", 2):
                urgency["x"] = (0, 3)
            yield number

    held = Held(worker)
    await held.hold()
    jobs = [
        asyncio.create_task(read_all(worker, partial(produce, name), urgency=lambda n=name: urgency[n]))
        for name in "xy"
    ]
    await asyncio.sleep(0)
    await held.let_go()
    await asyncio.gather(*jobs)
    assert "".join(steps) == "xxxyyyyyyxxx"


async def test_a_job_whose_reader_is_slow_does_not_hold_the_thread(worker: ThreadWorker) -> None:
    produced: list[int] = []

    def produce(_: Stopped) -> Iterator[int]:
        for number in range(100):
            produced.append(number)
            yield number

    async with aclosing(worker.stream(produce, urgency=lambda: (-1, 0))) as stream:
        assert await anext(stream) == 0
        async with asyncio.timeout(LIMIT_S):
            for number in range(20):  # less urgent, and served all the same
                assert await worker.run(partial(int, number), urgency=lambda: (9, 0)) == number
        assert len(produced) <= 1 + AHEAD
        assert [number async for number in stream] == list(range(1, 100))  # parked, not lost


async def test_a_parked_job_goes_on_when_its_reader_does(worker: ThreadWorker) -> None:
    """Also when nothing else wakes the thread: whoever takes one item at a time never waits for ever."""
    parked = threading.Event()

    def produce(_: Stopped) -> Iterator[int]:
        for number in range(5 * AHEAD):
            if number == AHEAD:
                parked.set()
            yield number

    got: list[int] = []
    async with asyncio.timeout(LIMIT_S):
        async for number in worker.stream(produce):
            got.append(number)
            if number == 0:
                assert await asyncio.to_thread(parked.wait, LIMIT_S)
    assert got == list(range(5 * AHEAD))


async def test_a_cancelled_job_is_closed_in_the_thread_and_first(worker: ThreadWorker) -> None:
    """What it holds is given back before anything else is done, however urgent."""
    order: list[str] = []

    def produce(_: Stopped) -> Iterator[int]:
        try:
            yield 0
            yield from range(1, 1000)
        finally:
            order.append(f"closed in {threading.current_thread().name}")

    stream = worker.stream(produce, urgency=lambda: (9, 9))
    assert await anext(stream) == 0
    held = Held(worker)
    await held.hold()
    urgent = asyncio.create_task(worker.run(lambda: order.append("urgent"), urgency=lambda: (-9, -9)))
    await asyncio.sleep(0)
    await stream.aclose()
    assert order == []
    await held.let_go()
    await urgent
    assert order == ["closed in w", "urgent"]


async def test_an_error_while_a_cancelled_job_closes_does_not_end_the_thread(worker: ThreadWorker) -> None:
    def produce(_: Stopped) -> Iterator[int]:
        try:
            yield from range(1000)
        finally:
            raise LookupError("in closing")

    stream = worker.stream(produce)
    assert await anext(stream) == 0
    await stream.aclose()
    assert await worker.run(lambda: "alive") == "alive"


async def test_more_jobs_than_the_limit_are_refused_and_counted() -> None:
    worker = ThreadWorker("small", limit=2)
    held = Held(worker)
    await held.hold()
    waiting = asyncio.create_task(worker.run(lambda: "waited"))
    await asyncio.sleep(0)
    assert (worker.pending, worker.refused) == (2, 0)
    for refusals in (1, 2):
        with pytest.raises(WorkerFull, match="'small' has 2 jobs already") as caught:
            await worker.run(lambda: "never")
        assert (caught.value.name, caught.value.limit) == ("small", 2)
        assert (worker.pending, worker.refused) == (2, refusals)
    with pytest.raises(WorkerFull):
        await anext(worker.stream(lambda _: iter("never")))
    await held.let_go()
    assert await waiting == "waited"
    while worker.pending:  # noqa: ASYNC110  # the thread reports it a moment after the result
        await asyncio.sleep(0.001)
    assert await worker.run(lambda: "room again") == "room again"
    assert worker.refused == 3
    await finished(worker)
    worker.close()


async def test_a_job_cancelled_before_it_began_makes_room_at_once() -> None:
    worker = ThreadWorker("small", limit=2)
    held = Held(worker)
    await held.hold()
    waiting = asyncio.create_task(worker.run(lambda: "never"))
    await asyncio.sleep(0)
    waiting.cancel()
    with suppress(asyncio.CancelledError):
        await waiting
    other = asyncio.create_task(worker.run(lambda: "instead"))
    await asyncio.sleep(0)
    await held.let_go()
    assert await other == "instead"
    worker.close()


# Several threads


async def test_several_threads_work_at_once_and_all_end() -> None:
    worker = ThreadWorker("many", threads=3)
    together = threading.Barrier(3, timeout=LIMIT_S)
    await asyncio.gather(*(worker.run(together.wait) for _ in range(3)))
    worker.close()
    assert "many" not in {thread.name for thread in threading.enumerate()}


async def test_jobs_of_one_lane_follow_one_another_also_with_several_threads() -> None:
    """As they share a sequence: one begins only when the one before it has ended. Other lanes go on."""
    worker = ThreadWorker("many", threads=4)
    lanes = ("p", "q", "r")
    inside: dict[str, list[int]] = {lane: [] for lane in lanes}
    begun: dict[str, list[int]] = {lane: [] for lane in lanes}
    together = threading.Barrier(len(lanes), timeout=LIMIT_S)

    def produce(lane: str, number: int, _: Stopped) -> Iterator[int]:
        assert inside[lane] == []
        inside[lane].append(number)
        begun[lane].append(number)
        if number == 0:
            together.wait()  # all lanes are inside at once
        try:
            for item in range(2 * AHEAD):
                assert inside[lane] == [number]
                yield item
        finally:
            inside[lane].remove(number)

    async def read(lane: str, number: int) -> list[int]:
        got = []
        async with aclosing(
            worker.stream(partial(produce, lane, number), urgency=lambda: (0, -number), lane=lane)
        ) as stream:
            async for item in stream:
                got.append(item)
                if number % 3 == 1 and item == 4:
                    break  # leaves in the middle
        return got

    async with asyncio.timeout(LIMIT_S):
        first = [asyncio.create_task(read(lane, 0)) for lane in lanes]
        await asyncio.sleep(0)
        rest = [asyncio.create_task(read(lane, number)) for number in range(1, 12) for lane in lanes]
        results = await asyncio.gather(*first, *rest)
    assert {tuple(got) for got in results} == {tuple(range(2 * AHEAD)), tuple(range(5))}
    await finished(worker)  # who left early does not wait for its job to be closed
    for lane in lanes:
        assert sorted(begun[lane]) == list(range(12)) and inside[lane] == []
    worker.close()


async def test_a_more_urgent_job_waits_for_the_one_that_has_its_lane(worker: ThreadWorker) -> None:
    order: list[str] = []

    def produce(_: Stopped) -> Iterator[int]:
        for number in range(2 * AHEAD):
            order.append("slow")
            yield number

    stream = worker.stream(produce, urgency=lambda: (9, 0), lane="l")
    assert await anext(stream) == 0
    urgent = asyncio.create_task(worker.run(lambda: order.append("urgent"), lane="l"))
    assert await worker.run(lambda: "another lane", lane="k") == "another lane"
    assert "urgent" not in order
    async for _ in stream:
        pass
    await urgent
    assert order == ["slow"] * 2 * AHEAD + ["urgent"]
