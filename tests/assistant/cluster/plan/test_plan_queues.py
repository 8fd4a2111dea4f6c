"""The simulations against closed forms: Erlang B and C, worked out here."""

import asyncio
import random
from math import factorial

import pytest

from assistant.cluster.plan.calls import flat, simulate
from assistant.runtime import Cores, InlineWorker, VirtualLoop, run_virtual

JOBS = 20_000


def erlang_b(erlangs: float, servers: int) -> float:
    """The share of calls that find all servers taken, and are lost."""
    terms = [erlangs**n / factorial(n) for n in range(servers + 1)]
    return terms[-1] / sum(terms)


def erlang_c(erlangs: float, servers: int) -> float:
    """The share of jobs that wait."""
    lost = erlang_b(erlangs, servers)
    return lost / (1 - erlangs / servers * (1 - lost))


def mean_wait(erlangs: float, servers: int) -> float:
    """In mean service times, of M/M/c."""
    return erlang_c(erlangs, servers) / (servers - erlangs)


@pytest.mark.parametrize(("callers", "replicas", "room"), [(10.0, 1, 12), (18.0, 5, 4), (60.0, 8, 8)])
def test_refusals_are_those_of_erlang_b(callers: float, replicas: int, room: int) -> None:
    """A call goes wherever there is room, so replicas are one group of servers."""
    calls = simulate(flat(callers), callers, room, replicas, hours=200.0, call_s=60.0)
    assert calls.offered == pytest.approx(callers * 200 * 60, rel=0.01)
    assert calls.refused_share == pytest.approx(erlang_b(callers, replicas * room), rel=0.08)


def test_the_carried_calls_are_what_the_replicas_hold() -> None:
    """Little: conversations at once are the calls that were taken times their length."""
    calls = simulate(flat(10.0), 10.0, 12, 1, hours=200.0, call_s=60.0)
    held = sum(count * seconds for count, seconds in calls.seconds.items()) / (200 * 3600)
    assert held == pytest.approx(10.0 * (1 - erlang_b(10.0, 12)), rel=0.02)
    assert calls.replica_hours == pytest.approx(200.0)


def test_the_same_seed_gives_the_same_calls() -> None:
    first, again, other = (simulate(flat(20.0), 20.0, 6, 4, seed=seed) for seed in (1, 1, 2))
    assert first == again
    assert first.seconds != other.seconds


def waits(servers: int, erlangs: float) -> list[float]:
    """What jobs of a mean of 100 ms wait for one of so many threads with a core each."""
    loop, chance, found = VirtualLoop(), random.Random(5), list[float]()
    worker = InlineWorker("models", loop, threads=servers)

    async def job() -> None:
        asked_s, begun_s = loop.time(), list[float]()

        def step() -> None:
            begun_s.append(loop.time())
            loop.spend(chance.expovariate(1 / 100.0))

        asked = 0, loop.clock.now_ns()
        await worker.run(step, urgency=lambda: asked)
        found.append((begun_s[0] - asked_s) / 0.1)

    async def main() -> None:
        async with asyncio.TaskGroup() as group:
            for _ in range(JOBS):
                group.create_task(job())
                await asyncio.sleep(chance.expovariate(erlangs / 0.1))

    run_virtual(main(), loop)
    loop.close()
    return found


@pytest.mark.parametrize(("erlangs", "servers"), [(0.7, 1), (1.4, 2), (2.6, 4)])
def test_jobs_wait_for_threads_as_erlang_c_says(erlangs: float, servers: int) -> None:
    found = waits(servers, erlangs)
    assert sum(wait > 1e-9 for wait in found) / JOBS == pytest.approx(erlang_c(erlangs, servers), rel=0.05)
    assert sum(found) / JOBS == pytest.approx(mean_wait(erlangs, servers), rel=0.1)


def test_jobs_that_share_cores_take_as_long_as_those_that_wait_for_them() -> None:
    """With exponential work, M/M/2 holds as many jobs whether they queue or share: it takes as long."""
    loop, chance, found = VirtualLoop(), random.Random(7), list[float]()
    cores = Cores(loop, 2)

    async def job() -> None:
        begun_s, done = loop.time(), asyncio.Event()
        cores.run(chance.expovariate(1 / 100.0), 1, done.set)
        await done.wait()
        found.append((loop.time() - begun_s) / 0.1)

    async def main() -> None:
        async with asyncio.TaskGroup() as group:
            for _ in range(JOBS):
                group.create_task(job())
                await asyncio.sleep(chance.expovariate(1.4 / 0.1))

    run_virtual(main(), loop)
    loop.close()
    assert sum(found) / JOBS == pytest.approx(1 + mean_wait(1.4, 2), rel=0.05)
