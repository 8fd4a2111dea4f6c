"""The cost model and the cores that steps share, against values worked out by hand."""

from pathlib import Path

import pytest

from assistant.config import Config
from assistant.runtime import Cores, VirtualLoop, run_virtual
from assistant.trace.costs import alone_ms, fit
from assistant.trace.trace import Call, Step, Trace


def test_a_line_through_two_points() -> None:
    cost = fit([(1, 10), (3, 20)])
    assert (cost.constant_ms, cost.slope_ms, cost.samples) == (5, 5, 2)
    assert cost.ms(5) == 30
    assert cost.ms() == 15  # as much work as is usual


def test_least_squares_of_four_points() -> None:
    # Around the means 1.5 and 3.5 the products sum to 3.75 - 0.25 + 0.25 + 2.25 = 6, the squares to 5.
    cost = fit([(0, 1), (1, 4), (2, 4), (3, 5)])
    assert cost.slope_ms == pytest.approx(1.2)
    assert cost.constant_ms == pytest.approx(1.7)


def test_a_cost_that_falls_with_the_work_is_its_mean() -> None:
    assert (fit([(1, 10), (2, 4)]).slope_ms, fit([(1, 10), (2, 4)]).constant_ms) == (0, 7)
    assert fit([]).ms(3) == 0


def trace(cores: int, *calls: Call) -> Trace:
    return Trace(Path("t"), Config(), cores, {"asr": 1, "llm_pass": 2}, (), calls, (), {})


def test_waiting_for_cores_is_taken_out_and_put_in_again() -> None:
    """A from 0 to 10 ms and B from 5 to 15 on one core: each had it for 5 ms, and half of it for 5."""
    a, b = Step(0, 10_000_000, 1, None), Step(5_000_000, 15_000_000, 1, None)
    calls = [Call("s", "score", "", (a,)), Call("s", "vad", "", (b,))]
    alone = alone_ms(trace(1, *calls))
    assert (alone[a], alone[b]) == (7.5, 7.5)

    loop, over = VirtualLoop(), {}

    async def main() -> None:
        cores = Cores(loop, 1)
        loop.call_at(0, cores.run, alone[a], 1, lambda: over.update(a=loop.time()))
        loop.call_at(0.005, cores.run, alone[b], 1, lambda: over.update(b=loop.time()))

    run_virtual(main(), loop)
    assert over == {"a": pytest.approx(0.010), "b": pytest.approx(0.015)}


def test_a_pass_of_two_threads_wants_two_cores() -> None:
    """Beside a step of one thread it has two thirds of the speed, on two cores."""
    reply, other = Step(0, 30_000_000, 1, ["token", 1, ""]), Step(0, 30_000_000, 1, None)
    calls = [Call("s", "llm.reply", "", (reply,)), Call("s", "score", "", (other,))]
    alone = alone_ms(trace(2, *calls))
    assert (alone[reply], alone[other]) == (pytest.approx(20), pytest.approx(20))
    assert alone_ms(trace(3, *calls))[reply] == 30
