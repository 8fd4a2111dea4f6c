"""Another speed at the same pitch, against signals whose pitch and length are known."""

import numpy as np
import pytest
from numpy.typing import NDArray

from tts.tempo import Tempo

RATE = 24000
SPEEDS = [0.25, 0.5, 0.8, 1.1, 1.25, 1.5]


def stretched(audio: NDArray[np.float32], speed: float, piece: int = 2400) -> NDArray[np.float32]:
    tempo = Tempo(speed)
    pieces = [tempo.push(audio[start : start + piece]) for start in range(0, len(audio), piece)]
    return np.concatenate([*pieces, tempo.finish()])


def vowel(hertz: float, seconds: float) -> NDArray[np.float32]:
    """Ten harmonics that fall off, as a voice has them."""
    phase = 2 * np.pi * hertz * np.arange(round(seconds * RATE)) / RATE
    return np.asarray(sum(np.cos(n * phase) / n for n in range(1, 11)) / 10, np.float32)


@pytest.mark.parametrize("speed", SPEEDS)
@pytest.mark.parametrize("samples", [0, 1, 100, 359, 24000])
def test_the_length_is_divided_to_the_sample(speed: float, samples: int) -> None:
    assert len(stretched(vowel(120, samples / RATE), speed)) == round(samples / speed)


@pytest.mark.parametrize("speed", SPEEDS)
@pytest.mark.parametrize("hertz", [80, 121.3, 240])
def test_the_pitch_and_the_level_stay(speed: float, hertz: float) -> None:
    audio = vowel(hertz, 2.0)
    other = stretched(audio, speed)[RATE // 10 : -RATE // 10]
    spectrum = np.abs(np.fft.rfft(other * np.hanning(len(other)), 16 * RATE))
    assert np.argmax(spectrum) / 16 == pytest.approx(hertz, rel=0.01)
    assert other.std() == pytest.approx(audio.std(), rel=0.05)


@pytest.mark.parametrize("speed", SPEEDS)
def test_joints_are_no_steeper_than_the_signal(speed: float) -> None:
    audio = vowel(121.3, 2.0)
    assert np.abs(np.diff(stretched(audio, speed)[: -RATE // 10])).max() <= 1.1 * np.abs(np.diff(audio)).max()


@pytest.mark.parametrize("speed", SPEEDS)
def test_what_sounds_at_a_time_sounds_at_that_time_divided(speed: float) -> None:
    audio = np.zeros(2 * RATE, np.float32)
    for start_s in (0.3, 0.9, 1.6):
        audio[round(start_s * RATE) :][: RATE // 5] = vowel(150, 0.2)
    loud = np.flatnonzero(np.abs(stretched(audio, speed)) > 0.05) / RATE
    starts = loud[np.flatnonzero(np.diff(loud, prepend=-1) > 0.1)]
    assert starts == pytest.approx(
        [start_s / speed for start_s in (0.3, 0.9, 1.6)], abs=0.03 + 0.0075 / speed
    )


@pytest.mark.parametrize("piece", [1, 333, 7000, 48000])
def test_how_the_audio_is_cut_does_not_matter(piece: int) -> None:
    audio = vowel(121.3, 0.5)
    np.testing.assert_array_equal(stretched(audio, 1.25, piece), stretched(audio, 1.25))


def test_no_more_than_40_ms_of_the_input_are_held_back() -> None:
    audio, tempo = vowel(121.3, 1.0), Tempo(1.25)
    made = sum(len(tempo.push(audio[start : start + 240])) for start in range(0, RATE, 240))
    assert made * 1.25 >= RATE - 0.04 * RATE
