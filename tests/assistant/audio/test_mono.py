"""One voice out of recordings whose channels, level or offset hide it, against the voice that was put in."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray
from recordings import recordings

from assistant.audio import read_audio

RATE = 16000
VOICE = recordings()["000"].audio  # [n] at 16 kHz
OTHER = VOICE[::-1].copy()
HUM = np.float32(1e-3) * np.random.default_rng(1).standard_normal(len(VOICE)).astype(np.float32)
NOTHING = np.zeros_like(VOICE)


def heard(tmp_path: Path, *channels: NDArray[np.float32], subtype: str = "FLOAT") -> NDArray[np.float32]:
    path = tmp_path / "a.wav"
    soundfile.write(path, np.stack(channels, axis=1), RATE, subtype=subtype)
    audio, rate = read_audio(path)
    assert (rate, audio.dtype, audio.shape) == (RATE, np.float32, VOICE.shape)
    return audio


def likeness(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    return float(np.corrcoef(a, b)[0, 1])


def test_channels_are_averaged(tmp_path: Path) -> None:
    np.testing.assert_allclose(heard(tmp_path, VOICE, VOICE / 2), 0.75 * VOICE, atol=1e-6)


@pytest.mark.parametrize("gain", [-1.0, -0.7, -1.5])
def test_channels_that_cancel_are_not_added(gain: float, tmp_path: Path) -> None:
    loudest = VOICE / 2 if abs(gain) <= 1 else gain * VOICE / 2
    np.testing.assert_allclose(heard(tmp_path, VOICE / 2, gain * VOICE / 2), loudest, atol=1e-6)


def test_an_inverted_channel_with_noise_of_its_own(tmp_path: Path) -> None:
    assert likeness(heard(tmp_path, VOICE + HUM, np.roll(HUM, 7) - VOICE), VOICE) > 0.99


@pytest.mark.parametrize(
    "dead", [NOTHING, HUM / 100, NOTHING + np.float32(0.25)], ids=["zeros", "hum", "offset"]
)
@pytest.mark.parametrize("order", [slice(None), slice(None, None, -1)])
def test_a_dead_channel_counts_for_nothing(dead: NDArray[np.float32], order: slice, tmp_path: Path) -> None:
    np.testing.assert_allclose(heard(tmp_path, *(VOICE, dead)[order]), VOICE, atol=1e-6)


def test_two_speakers_on_two_channels_are_both_heard(tmp_path: Path) -> None:
    np.testing.assert_allclose(heard(tmp_path, VOICE, OTHER / 4), (VOICE + OTHER / 4) / 2, atol=1e-6)


def test_one_voice_of_six_channels(tmp_path: Path) -> None:
    np.testing.assert_allclose(heard(tmp_path, *[NOTHING] * 2, VOICE, *[NOTHING] * 3), VOICE, atol=1e-6)


def test_silence_in_all_channels_is_silence(tmp_path: Path) -> None:
    np.testing.assert_array_equal(heard(tmp_path, NOTHING, NOTHING), NOTHING)


@pytest.mark.parametrize("scale", [1.3, 8.0, 32768.0])
def test_samples_beyond_full_scale_are_scaled(scale: float, tmp_path: Path) -> None:
    loud = VOICE / np.abs(VOICE).max() * np.float32(scale)
    np.testing.assert_allclose(heard(tmp_path, loud), loud / scale, atol=1e-6)


def test_samples_within_full_scale_stay_as_they_are(tmp_path: Path) -> None:
    np.testing.assert_array_equal(heard(tmp_path, VOICE), VOICE)
    np.testing.assert_array_equal(heard(tmp_path, VOICE / 100), VOICE / 100)


@pytest.mark.parametrize("offset", [0.3, -0.4, 0.06, 2.5])
def test_a_constant_offset_is_taken_out(offset: float, tmp_path: Path) -> None:
    audio = heard(tmp_path, VOICE / 2 + np.float32(offset))
    assert abs(audio[1600:].mean()) < 0.005
    assert likeness(audio, VOICE) > 0.99
    assert np.abs(audio[:160]).max() < 0.05, "no step where it begins"


def test_a_drifting_offset_is_taken_out(tmp_path: Path) -> None:
    drift = np.linspace(-0.4, 0.4, len(VOICE), dtype=np.float32)  # its mean is 0
    audio = heard(tmp_path, VOICE / 2 + drift)
    assert likeness(audio, VOICE) > 0.99
    assert max(abs(audio[at : at + RATE // 2].mean()) for at in range(0, len(audio), RATE // 2)) < 0.02
