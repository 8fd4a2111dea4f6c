"""A constant offset in a microphone's signal."""

import numpy as np
import pytest
from echo_signals import RATE, Array, level_db

from assistant.microphone.echo.aec import unsupported_reason
from assistant.microphone.echo.canceller import open_canceller
from assistant.microphone.echo.offset import Offset


def pushed(audio: Array) -> Array:
    offset = Offset()
    return np.concatenate([offset.push(audio[start : start + 320]) for start in range(0, len(audio), 320)])


def voice() -> Array:
    """Two seconds of a voice's pitch and its harmonics at -28 dBFS."""
    at = np.arange(2 * RATE) / RATE
    mixed = sum(np.sin(2 * np.pi * 110 * k * at) / k for k in range(1, 20))
    return (mixed / np.std(mixed) * 10 ** (-28 / 20)).astype(np.float32)


@pytest.mark.parametrize("dc", [0.3, -0.3, 0.9])
def test_a_voice_beside_an_offset_is_the_voice(dc: float) -> None:
    left = (pushed(voice() + np.float32(dc)) - voice())[RATE // 5 :]  # it takes so long to see it
    assert level_db(left) < level_db(voice()) - 20


def test_one_that_comes_later_is_gone_within_three_seconds() -> None:
    audio = np.zeros(8 * RATE, np.float32)
    audio[4 * RATE :] = 0.3
    assert np.abs(pushed(audio)[7 * RATE :]).max() < 0.02


def test_without_one_every_sample_stays_as_it_is() -> None:
    clipped = np.sign(voice()).astype(np.float32)
    for audio in (voice(), clipped, voice() + np.float32(0.01)):
        assert (pushed(audio) == audio).all()


@pytest.mark.skipif(unsupported_reason() is not None, reason="AEC3 is not installed")
def test_an_offset_is_no_echo_that_cannot_be_cancelled() -> None:
    """Headphones: nothing of what is played comes back."""
    random = np.random.default_rng(0)
    played = (0.1 * random.standard_normal(7 * RATE)).astype(np.float32)
    microphone = (3e-4 * random.standard_normal(7 * RATE) + 0.3).astype(np.float32)
    canceller = open_canceller()
    for start in range(0, len(played), 320):
        canceller.push(microphone[start : start + 320], played[start : start + 320])
    assert canceller.duplex.mode == "no echo"
