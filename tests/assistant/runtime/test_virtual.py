"""The virtual clock itself: it jumps, jobs take time on it, and it says when nothing can happen any more."""

import asyncio
from collections.abc import Iterator

import pytest

from assistant.runtime import DeadlockError, InlineWorker, VirtualLoop, run_virtual


def test_time_jumps_to_the_timers_in_their_order() -> None:
    loop = VirtualLoop()
    woken: list[tuple[str, int]] = []

    async def sleep(name: str, hours: int) -> None:
        await loop.clock.sleep_until(hours * 3600 * 10**9)
        woken.append((name, loop.clock.now_ns()))

    async def main() -> None:
        await asyncio.gather(sleep("late", 9), sleep("early", 2), sleep("past", -1))

    run_virtual(main(), loop)
    assert woken == [("past", 0), ("early", 7200 * 10**9), ("late", 32400 * 10**9)]


def test_a_job_takes_the_time_that_it_spends_and_no_more() -> None:
    loop = VirtualLoop()
    worker = InlineWorker("w", loop)

    async def main() -> None:
        assert await worker.run(lambda: 7) == 7
        assert loop.time() == 0
        first, second = (asyncio.create_task(worker.run(lambda: loop.spend(250))) for _ in range(2))
        await first
        assert loop.time() == pytest.approx(0.25)
        await second  # there is one thread
        assert loop.time() == pytest.approx(0.5)

    run_virtual(main(), loop)
    assert worker.busy_ms == 500


def test_each_thread_has_a_core_of_its_own() -> None:
    loop = VirtualLoop()
    worker = InlineWorker("w", loop, threads=2)

    async def main() -> None:
        await asyncio.gather(*(worker.run(lambda: loop.spend(100)) for _ in range(3)))
        assert loop.time() == pytest.approx(0.2)

    run_virtual(main(), loop)
    assert worker.busy_ms == 300


def test_an_inline_worker_serves_by_urgency_between_the_steps() -> None:
    """Two streams of three steps, 10 ms each: the second's are due earlier from its arrival at 15 ms on."""
    loop = VirtualLoop()
    worker = InlineWorker("w", loop)
    done: list[tuple[str, float]] = []

    def produce(name: str) -> Iterator[str]:
        for _ in range(3):
            loop.spend(10)
            yield name

    async def read(name: str, deadline: int, lane: str) -> None:
        async for item in worker.stream(lambda _: produce(name), urgency=lambda: (0, deadline), lane=lane):
            done.append((item, round(loop.time() * 1e3)))

    async def main() -> None:
        late = asyncio.create_task(read("late", 2, "l"))
        await asyncio.sleep(0.015)
        await asyncio.gather(late, read("soon", 1, "s"), read("after", 0, "l"))

    run_virtual(main(), loop)
    assert done == [
        ("late", 10),
        ("late", 20),
        ("soon", 30),
        ("soon", 40),
        ("soon", 50),
        ("late", 60),
        ("after", 70),
        ("after", 80),
        ("after", 90),
    ]


def test_a_deadlock_fails_and_names_the_tasks() -> None:
    async def wait() -> None:
        await asyncio.Event().wait()

    async def main() -> None:
        await asyncio.create_task(wait(), name="stuck")

    with pytest.raises(DeadlockError, match="stuck"):
        run_virtual(main())


def test_a_task_left_behind_fails() -> None:
    async def main() -> asyncio.Task[None]:
        return asyncio.create_task(asyncio.sleep(3600), name="forgotten")

    with pytest.raises(AssertionError, match="forgotten"):
        run_virtual(main())
