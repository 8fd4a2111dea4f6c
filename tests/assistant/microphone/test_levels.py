"""The level meter, on signals of which the level is known."""

from math import inf

import numpy as np
import pytest

from assistant.microphone.levels import LevelMeter


@pytest.mark.parametrize(("sample", "dbfs"), [(1.0, 0), (0.1, -20), (0.0, -inf)])
def test_levels_are_against_full_scale(sample: float, dbfs: float) -> None:
    meter, block = LevelMeter(), np.full(320, sample, np.float32)
    for _ in range(200):
        meter.push(block, block, sounds=False)
    levels = meter.levels
    assert (levels.microphone, levels.near) == (pytest.approx(dbfs, abs=0.001),) * 2
    assert levels.echo == -inf and levels.erle_db is None
