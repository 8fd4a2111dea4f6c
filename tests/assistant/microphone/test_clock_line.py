import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assistant.microphone.align import ClockLine

RATE = 48000


@given(st.floats(-150, 150), st.floats(0, 1e5), st.integers(0, 1000))
@settings(max_examples=20, deadline=None)
def test_it_tells_the_time_of_samples_within_its_scatter(ppm: float, start_s: float, seed: int) -> None:
    random = np.random.default_rng(seed)
    line = ClockLine(RATE)
    for sample in range(0, 6 * RATE, 480):
        late = random.uniform(0.01, 0.2) if random.random() < 0.1 else 0
        line.note(sample, start_s + sample * (1 + ppm * 1e-6) / RATE + random.normal(0, 0.0009) + late)
    now = 6 * RATE
    truth = start_s + now * (1 + ppm * 1e-6) / RATE
    assert line.time_of(now) == pytest.approx(truth, abs=0.0005)
    assert line.sample_at(truth) == pytest.approx(now, abs=0.0005 * RATE)
    assert line.sample_at(line.time_of(1234.5)) == pytest.approx(1234.5, abs=1e-3)


def test_one_pair_is_enough_for_the_nominal_rate() -> None:
    line = ClockLine(RATE)
    assert not line.known
    line.note(480, 7.0)
    assert line.known
    assert line.time_of(480 + RATE) == pytest.approx(8.0)


def test_after_a_restart_only_the_new_times_count() -> None:
    line = ClockLine(RATE)
    for sample in range(0, RATE, 480):
        line.note(sample, sample / RATE)
    line.restart()
    line.note(RATE, 5.0)
    assert line.time_of(RATE) == pytest.approx(5.0)
