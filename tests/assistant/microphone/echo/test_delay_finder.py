import numpy as np
import pytest
from echo_signals import RATE, Array, murmur, room, through, white

from assistant.microphone.echo.delay import DelayFinder


def found(microphone: Array, reference: Array) -> DelayFinder:
    finder = DelayFinder()
    for at in range(0, len(microphone), 256):
        finder.push(microphone[at : at + 256], reference[at : at + 256])
    return finder


@pytest.mark.parametrize("delay", [0, 1, 300, 3200, 8000])
def test_it_finds_a_reference_between_a_user_and_noise(delay: int) -> None:
    reference = murmur(4)
    response = room(delay)
    response[delay] = 1.0  # the direct sound
    microphone = through(reference, response) + murmur(4, seed=8, level=0.05) + white(4, 5, 1e-3)
    where = found(microphone, reference).found
    assert where is not None and abs(where.lag - delay) <= 1


def test_it_finds_nothing_in_another_signal() -> None:
    assert found(murmur(6, seed=1), murmur(6, seed=2)).found is None


def test_a_silent_reference_is_not_looked_for() -> None:
    silence = np.zeros(2 * RATE, np.float32)
    assert found(murmur(2), silence).found is None
    assert found(silence, murmur(2)).found is None


@pytest.mark.parametrize(("gain", "copy"), [(1.0, True), (0.5, False), (1.6, False)])
def test_a_copy_has_the_same_level(gain: float, copy: bool) -> None:
    reference = murmur(3)
    where = found(np.float32(gain) * reference, reference).found
    assert where is not None and where.lag == 0
    assert where.gain == pytest.approx(gain, rel=1e-3)
    assert where.is_copy == copy


def test_one_look_that_finds_it_elsewhere_moves_nothing() -> None:
    reference = murmur(8)
    microphone = through(reference, np.eye(1, 400, 399, dtype=np.float32)[0])
    odd = slice(4 * RATE, 4 * RATE + 16384)
    microphone[odd] = 8 * reference[odd.start - 7000 : odd.stop - 7000]
    finder, lags = DelayFinder(), []
    for at in range(0, len(microphone), 256):
        if finder.push(microphone[at : at + 256], reference[at : at + 256]) and finder.found:
            lags.append(finder.found.lag)
    assert len(lags) > 8 and set(lags) == {399}
