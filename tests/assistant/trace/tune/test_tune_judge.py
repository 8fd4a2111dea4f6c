"""The split, the choice and the intervals, against numbers worked out by hand and by scipy."""

from math import sqrt

import numpy as np
import pytest
from scipy.stats import bootstrap

from assistant.trace.errors import TraceError
from assistant.trace.pauses import NO_PAUSE
from assistant.trace.tune import judge
from assistant.trace.tune.judge import Figures
from assistant.trace.tune.outcome import Outcome, said


def waited(text: str, ms: float, *reached: str) -> Outcome:
    return Outcome(text, ms, cut_in=False, reached=(*reached, NO_PAUSE))


def cut(text: str, kind: str, *reached: str) -> Outcome:
    return Outcome(text, None, cut_in=True, kind=kind, reached=(*reached, NO_PAUSE))


def tried(mean_ms: float | None, cut: int, cost_ms: float = 0.0) -> Figures:
    return Figures(10, cut, 0, mean_ms, mean_ms, mean_ms, cost_ms)


def test_a_sentence_is_on_one_side_however_it_is_written() -> None:
    assert said("Stop, please!", "a.flac") == said("stop PLEASE", "b.flac") != said(None, "a.flac")
    texts = [f"sentence {number}" for number in range(2000)]
    here = [judge.is_to_choose_on(text, 0.3, 0) for text in texts]
    assert here == [judge.is_to_choose_on(text, 0.3, 0) for text in texts]
    assert sum(here) == pytest.approx(600, abs=4 * sqrt(2000 * 0.3 * 0.7))
    assert here != [judge.is_to_choose_on(text, 0.3, 1) for text in texts]
    assert not any(judge.is_to_choose_on(text, 0.0, 0) for text in texts)
    assert all(judge.is_to_choose_on(text, 1.0, 0) for text in texts)


def test_figures_of_turns() -> None:
    turns = [waited("a", 200), waited("b", 400), cut("c", "list"), Outcome("d", None, cut_in=False)]
    found = judge.figures(turns, 1000)
    assert (found.turns, found.cut, found.unanswered, found.cut_rate) == (4, 1, 1, 0.25)
    assert (found.mean_ms, found.p50_ms, found.cost_ms) == (300, 300, (200 + 400 + 1000 + 1000) / 4)
    assert found.p95_ms == pytest.approx(390)  # 0.95 of the way between them
    assert judge.figures([cut("c", "list")], 1000).p95_ms is None


def test_wilson_by_its_formula() -> None:
    """Wilson, 1927: (p + z^2 / 2n -+ z sqrt(p (1 - p) / n + z^2 / 4n^2)) / (1 + z^2 / n)."""
    count, of, z = 3, 40, 1.959963985
    middle, share = 1 + z * z / of, count / of
    half = z * sqrt(share * (1 - share) / of + z * z / (4 * of * of))
    found = judge.rate(count, of)
    assert found.value == share
    assert found.low == pytest.approx((share + z * z / (2 * of) - half) / middle)
    assert found.high == pytest.approx((share + z * z / (2 * of) + half) / middle)


def test_the_gain_is_paired_and_its_interval_that_of_scipy() -> None:
    """Waits differ widely, by how much one setting shortens them little: unpaired, nothing would be seen."""
    random = np.random.default_rng(1)
    waits, gains = random.uniform(200, 2000, 60), random.normal(-50, 20, 60)
    before = [waited(str(number), wait) for number, wait in enumerate(waits)]
    after = [
        waited(str(number), wait + by) for number, (wait, by) in enumerate(zip(waits, gains, strict=True))
    ]
    found = judge.gain(before, after, 3000, 0)
    expected = bootstrap((gains,), np.mean, method="percentile", n_resamples=9999, random_state=2)
    low, high = expected.confidence_interval
    assert found.value == pytest.approx(gains.mean())
    assert (found.low, found.high) == (pytest.approx(low, abs=0.7), pytest.approx(high, abs=0.7))


def test_a_sentence_said_often_counts_as_one() -> None:
    """Of two sentences the first, the second or both are drawn: a quarter, a quarter, a half of all times."""
    before = [waited(text, 500) for text in ("a",) * 50 + ("b",) * 50]
    after = [waited(each.text, 400 if each.text == "a" else 600) for each in before]
    found = judge.gain(before, after, 3000, 0)
    assert (found.value, found.low, found.high) == (0, -100, 100)


def test_a_quantile_and_its_interval() -> None:
    turns = [waited(str(ms), ms) for ms in range(101)] + [cut("cut", "list")]
    found = judge.quantile(turns, 50, 0)
    assert found is not None and found.value == 50
    # of 101 even numbers the median's deviation is some 100 / 2 / sqrt(101)
    assert found.low == pytest.approx(50 - 1.96 * 5, abs=2.5)
    assert found.high == pytest.approx(50 + 1.96 * 5, abs=2.5)
    assert judge.quantile([cut("cut", "list")], 50, 0) is None


def test_the_cheapest_that_is_allowed() -> None:
    points = [tried(500, 2, 900), tried(300, 4, 800), tried(700, 0, 950), tried(300, 4, 800)]
    assert judge.best(points, None) == 1
    assert judge.best(points, 0.2) == 0
    assert judge.best(points, 0.1) == 2
    with pytest.raises(TraceError, match=r"--most-cut 0.1: every point cuts into more; the least is 0\.200"):
        judge.best(points[:2], 0.1)


def test_the_front_is_what_brute_force_finds() -> None:
    random = np.random.default_rng(3)
    points = [tried(float(wait), int(cut)) for wait, cut in random.integers(0, 9, (40, 2))]

    def is_worse(one: Figures, other: Figures) -> bool:
        assert one.mean_ms is not None and other.mean_ms is not None
        no_better = other.mean_ms <= one.mean_ms and other.cut <= one.cut
        return no_better and (other.mean_ms, other.cut) != (one.mean_ms, one.cut)

    best = {(p.mean_ms, p.cut) for p in points if not any(is_worse(p, other) for other in points)}
    found = [(points[index].mean_ms, points[index].cut) for index in judge.front([*points, tried(None, 10)])]
    assert found == sorted(best)


def test_kinds_of_pauses_that_were_reached() -> None:
    turns = [cut("a", "list", "list"), waited("b", 300, "list", "filler"), cut("c", NO_PAUSE, "list")]
    assert judge.by_kind(turns) == {"filler": (0, 1), "list": (1, 3), NO_PAUSE: (1, 3)}
