"""The virtual clock itself: it jumps, jobs take time on it, and it says when nothing can happen any more."""

import asyncio

import pytest

from assistant.runtime.virtual import DeadlockError, InlineWorker, VirtualLoop, run_virtual


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
