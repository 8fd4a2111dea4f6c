import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assistant.microphone.drift import Slope, drift_ppm

RATE = 48000


def slope(
    ppm: float, seconds: float, scatter_s: float, seed: int, late: float = 0.0, restart_at: float = 1e9
) -> Slope:
    """A clock whose second is longer by `ppm`, told every 10 ms with scatter; a share of blocks is late."""
    random = np.random.default_rng(seed)
    found, lost = Slope(RATE), 0
    for sample in range(0, int(seconds * RATE), RATE // 100):
        if sample >= restart_at * RATE and not lost:
            lost = RATE // 3
            found.restart()
        at = (sample + lost) * (1 + ppm * 1e-6) / RATE + random.normal(0, scatter_s)
        found.note(sample, at + (random.uniform(0, 0.2) if random.random() < late else 0))
    return found


@given(st.floats(-200, 200), st.integers(0, 1000))
@settings(max_examples=10, deadline=None)
def test_the_drift_between_two_known_clocks(ppm: float, seed: int) -> None:
    played, recorded = slope(20, 90, 0.0001, seed), slope(20 + ppm, 90, 0.0009, seed + 1)
    assert drift_ppm(played, recorded) == pytest.approx(ppm, abs=5)


def test_blocks_that_came_late_do_not_count() -> None:
    assert slope(50, 90, 0.0005, 1, late=0.2).ppm == pytest.approx(50, abs=6)


def test_before_a_minute_nothing_is_trusted() -> None:
    assert slope(50, 45, 0.0001, 1).ppm is None
    assert drift_ppm(slope(0, 90, 0.0001, 1), slope(50, 45, 0.0001, 2)) is None


def test_lost_samples_are_no_drift() -> None:
    assert slope(50, 200, 0.0001, 1, restart_at=100).ppm == pytest.approx(50, abs=3)


def test_more_than_crystals_can_do_is_not_believed() -> None:
    assert drift_ppm(slope(0, 90, 0.0001, 1), slope(700, 90, 0.0001, 2)) is None
