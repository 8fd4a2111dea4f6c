"""The level meter, on signals of which the level is known."""

from math import inf

import numpy as np
import pytest

from assistant.microphone.echo.levels import LevelMeter


@pytest.mark.parametrize(("sample", "dbfs"), [(1.0, 0), (0.1, -20), (0.0, -inf)])
def test_levels_are_against_full_scale(sample: float, dbfs: float) -> None:
    meter, block = LevelMeter(), np.full(320, sample, np.float32)
    for _ in range(200):
        meter.push(block, block, block, sounds=False)
    levels = meter.levels
    assert (levels.microphone, levels.near) == (pytest.approx(dbfs, abs=0.001),) * 2
    assert levels.echo == -inf and levels.erle_db is None


def half_seconds(left: float, detect: float, count: int) -> LevelMeter:
    """Sound of which the microphone hears -20 dBFS, the recognizer `left`, the voice detector `detect`."""
    meter = LevelMeter()
    signals = [np.full(320, 10 ** (level / 20), np.float32) for level in (-20.0, left, detect)]
    for _ in range(25 * count):
        meter.push(*signals, sounds=True)
    return meter


def test_where_a_user_speaks_over_it_all_the_time_nothing_is_said_of_cancelling() -> None:
    assert not half_seconds(-20, -21, 20).sounding


@pytest.mark.parametrize(("left", "detect"), [(-40, -70), (-20, -50), (-65, -66)])
def test_what_is_left_and_no_voice_is_evidence(left: float, detect: float) -> None:
    (segment, *_) = half_seconds(left, detect, 2).sounding
    assert (segment.microphone, segment.left) == (pytest.approx(-20, abs=0.1), pytest.approx(left, abs=0.1))
