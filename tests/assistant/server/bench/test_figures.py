"""Percentiles, intervals and tables of made-up turns."""

from dataclasses import replace

import numpy as np
import pytest
from heard import turn
from rich.console import Console

from assistant.server.bench.beside import Beside, paired
from assistant.server.bench.client import Refusal
from assistant.server.bench.figures import (
    doubled_at,
    load_figures,
    percentile,
    ratio,
    refusal_figures,
)
from assistant.server.bench.load import Load
from assistant.server.bench.table import load_table, refusal_line


def load(*waits: float | None, clients: int = 1) -> Load:
    return Load(clients, tuple(turn(wait) for wait in waits), (), 0, 0.5, 0.1)


def test_percentiles_lie_in_their_intervals() -> None:
    values = [float(value) for value in range(1, 102)]
    median, high = percentile(values, 50), percentile(values, 95)
    assert median is not None and high is not None
    assert (median.value, high.value) == (51, 96)
    assert median.low < 51 < median.high
    assert high.low < 96 < high.high
    assert percentile([], 50) is None


def test_an_interval_of_a_median_is_as_wide_as_theory_says() -> None:
    """For n values of a normal distribution the median's standard error is 1.2533 / sqrt(n)."""
    values = np.random.default_rng(3).normal(0, 1, 2000)
    found = percentile(list(values), 50)
    assert found is not None
    assert (found.high - found.low) / 2 == pytest.approx(1.96 * 1.2533 / np.sqrt(2000), rel=0.25)


def test_a_load_is_summed_up() -> None:
    turns = (
        turn(300.0, reference="Set a timer.", transcript="set a timer"),
        turn(500.0, reference="What is it now?", transcript="What was it now", gaps_ms=(3.0, 4.0)),
        turn(None, reply="", cut_into=True, errors=("rate_limited",), broken="gone"),
        turn(None, broken="gone"),
    )
    found = load_figures(Load(2, turns, (Refusal(5.0, "5"),), 3, 1.5, 0.2))
    assert found.ttfa_p50_ms is not None and found.ttfa_p50_ms.value == 400
    assert found.ttfa_p95_ms is not None and found.ttfa_p95_ms.value == pytest.approx(490)
    assert (found.turns, found.answered, found.gaps, found.errors, found.refusals) == (4, 3, 2, 2, 1)
    assert found.wer == pytest.approx(1 / 7)
    assert found.cut_into == 0.25


def test_the_table_has_ratios_to_the_first_load() -> None:
    one, four = load_figures(load(100.0, 200.0)), load_figures(load(150.0, 300.0, None, clients=4))
    console = Console(width=200)
    with console.capture() as capture:
        console.print(load_table([one, replace(four, dropped_frames=None)]))
    _, first, second = capture.get().splitlines()
    assert first.split()[:6] == ["1", "2", "150", "(100-200)", "195", "(100-200)"]
    assert second.split()[:9] == ["4", "3", "225", "(150-300)", "292", "(150-300)", "1.50", "1.50", "0"]
    assert second.split()[9] == "-"


def test_where_the_95th_percentile_has_doubled() -> None:
    waits = {1: 100.0, 2: 199.0, 4: 200.0, 8: 900.0}
    loads = [load_figures(load(wait, clients=clients)) for clients, wait in waits.items()]
    assert doubled_at(loads) == 4
    assert doubled_at(loads[:2]) is None
    assert ratio(loads[3].ttfa_p50_ms, loads[0].ttfa_p50_ms) == 9
    assert ratio(None, loads[0].ttfa_p50_ms) is None


def test_refusals() -> None:
    found = refusal_figures([Refusal(float(ms), "5" if ms else None) for ms in range(101)])
    assert (found.count, found.p50_ms, found.p99_ms, found.with_retry_after) == (101, 50, 99, 100)
    assert refusal_line(found) == "101 refused with 503: p50 50.0 ms, p99 99.0 ms, 100 with Retry-After"
    assert refusal_line(refusal_figures([])) == "nobody was refused"


def test_a_server_beside_a_replay_counts_clips_that_both_answered() -> None:
    both = paired(load(310.0, None, 520.0, 400.0), [300.0, 400.0, 500.0, None])
    assert both == [(310, 300), (520, 500)]
    beside = Beside((310.0, 520.0, 700.0), (300.0, 500.0, 900.0))
    difference, each = beside.difference, beside.median_difference
    assert difference is not None and difference.value == 20
    assert each is not None and each.value == 10
    assert difference.low <= 10 and difference.high >= 20
