import sys

import numpy as np
import pytest
from echo_signals import RATE, level_db, murmur, room, through

from assistant.microphone.echo import aec


def process(near: np.ndarray, far: np.ndarray) -> np.ndarray:
    canceller = aec.open_aec()
    frames = range(0, len(near), aec.FRAME)
    return np.concatenate(
        [canceller.process(near[at : at + aec.FRAME], far[at : at + aec.FRAME]) for at in frames]
    )


def test_it_is_behind_by_the_stated_delay() -> None:
    near = murmur(2, seed=1)
    out = process(near, np.zeros_like(near))
    products = {lag: float(out[RATE:] @ near[RATE - lag : 2 * RATE - lag]) for lag in range(400)}
    assert max(products, key=products.__getitem__) == aec.DELAY


def test_it_takes_out_an_echo() -> None:
    far = murmur(6)
    near = through(far, room())
    assert level_db(process(near, far)[-RATE:]) < level_db(near[-RATE:]) - 15


def test_without_the_package_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pywebrtc_audio", None)
    assert aec.unsupported_reason() == aec.MISSING
    assert "pip install" in aec.MISSING
    with pytest.raises(ImportError):
        aec.open_aec()


def test_with_it_there_is_no_reason() -> None:
    assert aec.unsupported_reason() is None
