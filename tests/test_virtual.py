"""The virtual clock itself: it jumps, it waits for threads, and it says when nothing can happen any more."""

import asyncio
import threading

import pytest
from virtual import DeadlockError, VirtualLoop, VirtualWorker, run_virtual


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


def test_time_stands_still_while_a_job_runs() -> None:
    loop = VirtualLoop()
    loop.workers.append(worker := VirtualWorker("w"))
    go = threading.Event()

    async def main() -> None:
        alarm = asyncio.create_task(asyncio.sleep(1))
        threading.Timer(0.05, go.set).start()
        assert await worker.run(go.wait)
        assert loop.time() == 0 and not alarm.done()
        await worker.run(loop.work, 250)
        assert loop.time() == pytest.approx(0.25)
        await alarm

    run_virtual(main(), loop)
    worker.close()


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
