"""The degradations, measured: the noise's level, the echoes' decay, the band's edge; the same each time."""

import hashlib

import numpy as np
import pytest
from scipy.signal import welch

from asr.audio import RATE
from asr.eval.degrade import (
    CONDITIONS,
    DIRECT_TO_REVERBERANT_DB,
    RT60_S,
    active_power,
    degrade,
    room_response,
)
from asr.eval.nonspeech import babble, nonspeech, pink_noise, white_noise

RNG = np.random.default_rng(4)
# Tones in place of speech: half a second of silence, a second and a half of tones, two seconds of silence.
TONES = sum(np.sin(2 * np.pi * hertz * np.arange(RATE * 3 // 2) / RATE) for hertz in (200, 1500, 5500)) * 0.1
CLIP = np.concatenate([np.zeros(RATE // 2), TONES, np.zeros(2 * RATE)]).astype(np.float32)


def decibels(ratio: float) -> float:
    return float(10 * np.log10(ratio))


def band_power(audio: np.ndarray, low: float, high: float) -> float:
    frequency, density = welch(audio, RATE, nperseg=1024)
    return float(density[(frequency >= low) & (frequency < high)].sum())


def decay_s(response: np.ndarray) -> float:
    """RT60 by Schroeder's backward integration, from the slope between -5 and -25 dB of the echoes."""
    left = np.cumsum(response[::-1] ** 2)[::-1]
    level = 10 * np.log10(left[left > 0] / left[0])
    inside = np.flatnonzero((level <= -5) & (level >= -25))
    slope = np.polyfit(inside / RATE, level[inside], 1)[0]  # dB a second
    return float(-60 / slope)


@pytest.mark.parametrize("name", ["a.wav", "b.wav", "c.wav"])
def test_noise_is_10_db_below_the_speech_whatever_silence_is_around_it(name: str) -> None:
    noise = degrade(CLIP, "noisy", name) - CLIP
    speech = np.mean(np.square(TONES))
    assert decibels(speech / np.mean(np.square(noise))) == pytest.approx(10, abs=0.1)


def test_the_power_of_speech_leaves_pauses_out() -> None:
    assert active_power(CLIP) == pytest.approx(np.mean(TONES**2), rel=0.02)
    assert active_power(np.zeros(1000, np.float32)) == 0
    assert active_power(np.full(7, 0.5, np.float32)) == 0.25


@pytest.mark.parametrize("seed", range(4))
def test_the_room_decays_by_60_db_in_half_a_second(seed: int) -> None:
    response = room_response(np.random.default_rng(seed))
    assert decay_s(response[1:]) == pytest.approx(RT60_S, rel=0.15)
    direct = decibels(response[0] ** 2 / np.sum(response[1:] ** 2))
    assert direct == pytest.approx(DIRECT_TO_REVERBERANT_DB, abs=0.01)


def test_far_speech_rings_on_and_is_as_loud_as_before() -> None:
    far = degrade(CLIP, "far", "a.wav")
    end = 2 * RATE  # of the tones
    before, after = far[end - 1600 : end], far[end + 4800 : end + 6400]  # 350 ms after on average
    # All of the reverberant power is there before; it falls by 60 dB in half a second.
    reverberant = decibels(1 / (1 + 10 ** (DIRECT_TO_REVERBERANT_DB / 10)))
    fall = decibels(np.mean(after**2) / np.mean(before**2))
    assert fall == pytest.approx(reverberant - 0.35 / RT60_S * 60, abs=4)
    assert active_power(far) == pytest.approx(active_power(CLIP), rel=1e-3)
    assert np.argmax(np.abs(far) > 1e-3) == pytest.approx(RATE // 2, abs=16)  # the direct sound comes at once


def test_a_telephone_has_nothing_above_4_khz_and_all_below_its_edge() -> None:
    noise = white_noise(4 * RATE, np.random.default_rng(1)) * np.float32(0.1)
    narrow = degrade(noise, "telephone", "a.wav")
    assert decibels(band_power(narrow, 4200, 8000) / band_power(noise, 4200, 8000)) < -60
    assert decibels(band_power(narrow, 100, 3400) / band_power(noise, 100, 3400)) == pytest.approx(0, abs=0.1)
    # Nothing moves in time.
    assert np.correlate(narrow[100:8100], noise[:8200], "valid").argmax() == 100


def test_clean_is_what_was_recorded() -> None:
    assert np.array_equal(degrade(CLIP, "clean", "a.wav"), CLIP)


@pytest.mark.parametrize("condition", CONDITIONS)
def test_the_name_of_a_clip_decides_and_its_length_stays(condition: str) -> None:
    first, again = degrade(CLIP, condition, "a.wav"), degrade(CLIP.copy(), condition, "a.wav")
    assert first.dtype == np.float32
    assert first.shape == CLIP.shape
    assert np.array_equal(first, again)
    other = degrade(CLIP, condition, "b.wav")
    assert np.array_equal(first, other) == (condition in ("clean", "telephone"))


@pytest.mark.parametrize("condition", CONDITIONS)
@pytest.mark.parametrize("samples", [1, 80, 321])
def test_a_short_clip_and_silence(condition: str, samples: int) -> None:
    silence = degrade(np.zeros(samples, np.float32), condition, "a.wav")
    assert silence.shape == (samples,)
    assert not silence.any()
    assert np.isfinite(degrade(np.full(samples, 0.1, np.float32), condition, "a.wav")).all()


def test_pink_noise_falls_by_3_db_an_octave() -> None:
    noise = pink_noise(20 * RATE, np.random.default_rng(2))
    octaves = [band_power(noise, low, 2 * low) for low in (250, 500, 1000, 2000)]
    assert [decibels(power / octaves[0]) for power in octaves] == pytest.approx([0, 0, 0, 0], abs=0.5)
    assert np.mean(noise**2) == pytest.approx(1, rel=1e-4)


def test_babble_is_loud_where_voices_are_and_never_stops() -> None:
    voices = babble(10 * RATE, np.random.default_rng(3))
    assert band_power(voices, 100, 4000) > 0.8 * band_power(voices, 0, 8000)
    frames = np.sqrt(np.mean(voices.reshape(-1, 1600) ** 2, axis=1))
    assert frames.min() > 0.1  # no hole in any tenth of a second, from the first on
    assert np.std(20 * np.log10(frames)) > 0.7  # yet it moves, which noise of this bandwidth does not


def test_sounds_in_which_nothing_is_said() -> None:
    sounds = nonspeech()
    assert len(sounds) == 24
    assert {len(sound) for sound in sounds.values()} == {2 * RATE, 8 * RATE}
    assert all(sound.dtype == np.float32 and np.abs(sound).max() <= 1 for sound in sounds.values())
    assert not sounds["silence, 2 s"].any()
    for level in (-60, -40, -20):
        for colour in ("white", "pink"):
            power = np.mean(sounds[f"{colour} noise at {level} dB, 8 s"] ** 2)
            assert decibels(power) == pytest.approx(level, abs=0.01)
    hum = sounds["hum of 50 Hz, 8 s"]
    assert band_power(hum, 0, 400) > 0.99 * band_power(hum, 0, 8000)
    digests = {hashlib.sha256(sound.tobytes()).digest() for sound in sounds.values()}
    assert len(digests) == 24
    again = nonspeech()
    assert all(np.array_equal(sound, again[name]) for name, sound in sounds.items())
