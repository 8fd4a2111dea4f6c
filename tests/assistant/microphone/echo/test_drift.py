import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr.audio import RATE
from assistant.microphone.echo.drift import DriftFinder

LOOK = RATE // 2


def found(ppm: float, seconds: float, seed: int, wrong: float = 0.0, lost_at: float = 1e9) -> float:
    """The drift of an echo that is found twice a second: off by half a sample, a share by far."""
    random, finder = np.random.default_rng(seed), DriftFinder()
    for sample in range(0, int(seconds * RATE), LOOK):
        lag = 1800 - ppm * 1e-6 * sample + random.normal(0, 0.5)
        lag += 90 if sample >= lost_at * RATE else 0
        finder.note(sample, lag + (random.uniform(-40, 40) if random.random() < wrong else 0))
    return finder.ppm


@given(st.floats(-200, 200), st.integers(0, 1000))
def test_the_drift_between_two_known_clocks(ppm: float, seed: int) -> None:
    assert found(ppm, 15, seed) == pytest.approx(ppm, abs=8)


def test_an_echo_that_was_found_elsewhere_at_times_does_not_count() -> None:
    assert found(50, 30, 1, wrong=0.1) == pytest.approx(50, abs=8)


def test_before_three_seconds_of_sound_nothing_is_said() -> None:
    assert found(100, 2.9, 1) == 0


def test_lost_samples_are_no_drift() -> None:
    assert found(50, 30, 1, lost_at=15) == pytest.approx(50, abs=8)


def test_more_than_crystals_can_do_is_not_believed() -> None:
    assert found(700, 30, 1) == 0
