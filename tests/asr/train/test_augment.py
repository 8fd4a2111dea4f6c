"""What is done to audio before it is learnt from, measured on sines, clicks and noise."""

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from asr.train.augment import AugmentConfig, augment, change_speed, silences

RATE = 16000
NOTHING = AugmentConfig(
    noise=0, babble=0, echo=0, band=0, clip=0, offset=0, snr_db=(20, 20), gain_db=(0, 0), colour_db=0
)
ALL = AugmentConfig(noise=1, babble=0.5, echo=0.5, band=0.5, clip=0.5, offset=0.5)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def hiss(rows: int, samples: int, seed: int = 0) -> Tensor:
    return 0.05 * torch.randn(rows, samples, generator=seeded(seed))


def clicks(rows: int, samples: int, at: int) -> Tensor:
    audio = torch.zeros(rows, samples)
    audio[:, at] = 0.5
    return audio


def decibels(ratio: Tensor) -> Tensor:
    return 20 * ratio.log10()


def rms(audio: Tensor) -> Tensor:
    return audio.square().mean(1).sqrt()


def spread_within(values: Tensor, low: float, high: float) -> None:
    """All of the range is used, and nothing outside it."""
    assert low - 0.01 <= values.min() <= low + 0.2 * (high - low)
    assert high - 0.2 * (high - low) <= values.max() <= high + 0.01


@pytest.mark.parametrize("speed", [0.8, 0.95, 1.0, 1.1, 1.25])
@pytest.mark.parametrize("hertz", [100, 1000, 4000])
def test_a_sine_at_another_speed_is_a_sine_of_another_pitch(speed: float, hertz: int) -> None:
    length = RATE
    recorded = torch.arange(round(length * speed)).double() / RATE
    played = change_speed(0.3 * (2 * math.pi * hertz * recorded).cos()[None], length)
    seconds = torch.arange(length).double() / RATE
    expected = 0.3 * (2 * math.pi * hertz * speed * seconds).cos()
    assert played.shape == (1, length)
    torch.testing.assert_close(played[0], expected, rtol=0, atol=1e-9)


def test_what_becomes_too_high_at_another_speed_is_gone() -> None:
    recorded = torch.arange(RATE * 5 // 4).double() / RATE
    for hertz, left in ((6000, 0.5), (7000, 0.0)):  # played at 7.5 kHz and, if it were possible, at 8.75
        played = change_speed((2 * math.pi * hertz * recorded).sin()[None], RATE)
        assert rms(played)[0] ** 2 == pytest.approx(left, abs=1e-6)


def test_without_any_change_both_hear_what_was_recorded() -> None:
    audio = hiss(3, 16123)
    for heard in augment(audio, NOTHING, seeded()):
        torch.testing.assert_close(heard, audio, rtol=0, atol=1e-6)


@pytest.mark.parametrize("babble", [0.0, 1.0])
def test_the_noise_is_as_loud_as_it_should_be(babble: float) -> None:
    audio = hiss(100, 4000) * torch.linspace(0.1, 3, 100)[:, None]
    config = replace(NOTHING, noise=1, babble=babble, snr_db=(3, 20))
    near, far = augment(audio, config, seeded())
    torch.testing.assert_close(near, audio, rtol=0, atol=1e-6)
    spread_within(decibels(rms(near) / rms(far - near)), 3, 20)


def test_babble_is_other_clips_and_noise_is_none() -> None:
    """Each of 7 clips, which are sines of different pitches, hears some others."""
    pitches = torch.arange(400, 1100, 100)
    audio = 0.05 * (2 * math.pi * pitches[:, None] * torch.arange(RATE) / RATE).sin()
    near, far = augment(audio, replace(NOTHING, noise=1, babble=1, snr_db=(10, 10)), seeded())
    heard = torch.fft.rfft(far - near).abs()[:, pitches]  # [clip, pitch]
    heard = heard / heard.amax(1, keepdim=True)
    assert (heard.diagonal() < 0.01).all()
    assert ((heard > 0.3).sum(1) == 4).all()
    assert ((heard > 0.01).sum(1) == 4).all()


def test_who_is_alone_in_a_batch_does_not_babble_in_unison() -> None:
    near, far = augment(hiss(1, RATE), replace(NOTHING, noise=1, babble=1), seeded())
    assert abs(float(torch.corrcoef(torch.cat([near, far - near]))[0, 1])) < 0.1


def test_an_echo_comes_after_the_voice_and_dies_away() -> None:
    at, rows = 1000, 60
    near, far = augment(0.2 * clicks(rows, 2 * RATE, at), replace(NOTHING, echo=1), seeded())
    torch.testing.assert_close(near, 0.2 * clicks(rows, 2 * RATE, at), rtol=0, atol=1e-6)
    response = far / 0.1
    assert response[:, :at].abs().max() < 1e-4  # nothing before the voice
    torch.testing.assert_close(response[:, at], torch.ones(rows), rtol=0, atol=1e-4)
    assert response[:, at + 1 : at + 32].abs().max() < 1e-4  # nothing for 2 ms
    late = response[:, at + 32 :]
    spread_within(-10 * late.square().sum(1).log10(), -3, 15)  # direct to late, dB
    # The level falls along a line: 60 dB in the reverberation time.
    levels = decibels(late[:, :1600].reshape(rows, 10, 160).square().mean(2).sqrt())  # each 10 ms
    slopes = (levels[:, 5:].mean(1) - levels[:, :5].mean(1)) / 0.05  # dB a second
    times = -60 / slopes
    assert 0.07 < times.min() < 0.2
    assert 0.5 < times.max() < 1.2  # the slower it falls, the less exact
    assert late[:, RATE // 2 :].abs().max() < 1e-4  # cut off


def test_a_telephone_keeps_a_band() -> None:
    near, far = augment(clicks(40, RATE, 8000), replace(NOTHING, band=1), seeded())
    passed = torch.fft.rfft(far).abs() / torch.fft.rfft(near).abs()  # [B, Hz]
    assert (passed[:, 500:2500] - 1).abs().max() < 0.01
    assert passed[:, :20].max() < 0.3
    assert passed[:, 4500:].max() < 0.01
    lowest, highest = (passed > 0.5).int().argmax(1), RATE // 2 - (passed.flip(1) > 0.5).int().argmax(1)
    spread_within(lowest.float(), 50, 300)
    spread_within(highest.float(), 3000, 4000)


def test_the_gain_is_the_same_for_both() -> None:
    audio = 0.02 * hiss(200, 2000)
    near, far = augment(audio, replace(NOTHING, gain_db=(-24, 9)), seeded())
    torch.testing.assert_close(near, far)
    spread_within(decibels(rms(near) / rms(audio)), -24, 9)


def test_the_colour_is_the_same_for_both_smooth_and_bounded() -> None:
    click = clicks(50, RATE, 8000)
    near, far = augment(click, replace(NOTHING, colour_db=6), seeded())
    torch.testing.assert_close(near, far)
    curves = decibels(torch.fft.rfft(near).abs() / torch.fft.rfft(click).abs())
    assert curves.abs().max() < 6.2
    assert curves.abs().amax(1).min() > 1
    assert (
        curves.diff().abs().max() < 12 / (RATE / 2 / 7) * 1.5
    )  # dB a hertz, from one of 8 points to the next


def test_clipping_flattens_the_loudest() -> None:
    audio = hiss(50, 4000)
    near, far = augment(audio, replace(NOTHING, clip=1), seeded())
    torch.testing.assert_close(near, audio, rtol=0, atol=1e-6)
    limits = far.abs().amax(1)
    spread_within(limits / audio.abs().amax(1), 0.2, 0.8)
    torch.testing.assert_close(far, audio.clamp(-limits[:, None], limits[:, None]), rtol=0, atol=1e-6)


def test_an_offset_is_a_tenth_of_the_peak_at_most() -> None:
    audio = hiss(100, 4000)
    near, far = augment(audio, replace(NOTHING, offset=1), seeded())
    moved = far - near
    torch.testing.assert_close(moved, moved[:, :1].expand_as(moved), rtol=0, atol=1e-6)
    spread_within(moved[:, 0] / near.abs().amax(1), -0.1, 0.1)


def test_each_happens_as_often_as_it_should() -> None:
    audio = hiss(300, 800)
    for name in ("noise", "echo", "band", "clip", "offset"):
        near, far = augment(audio, replace(NOTHING, **{name: 0.3}), seeded())
        assert ((far - near).abs().amax(1) > 1e-5).float().mean() == pytest.approx(0.3, abs=0.07)


def test_teacher_and_student_hear_the_same_at_the_same_time() -> None:
    near, far = augment(hiss(24, RATE), replace(ALL, snr_db=(3, 40)), seeded())
    size = 2 * RATE
    lags = torch.fft.irfft(torch.fft.rfft(far, n=size) * torch.fft.rfft(near, n=size).conj(), n=size)
    assert lags.argmax(1).tolist() == [0] * 24
    assert (near - far).abs().amax(1).min() > 1e-3


def test_a_seed_says_all() -> None:
    audio = hiss(8, 4000)
    one, again, other = (augment(audio, ALL, seeded(seed)) for seed in (1, 1, 2))
    assert all(torch.equal(*pair) for pair in zip(one, again, strict=True))
    assert not any(torch.equal(*pair) for pair in zip(one, other, strict=True))


@pytest.mark.parametrize("loudness", [0.0, 1e-6, 100.0])
def test_any_loudness_stays_finite_and_within_bounds(loudness: float) -> None:
    audio = hiss(16, 4000) * loudness
    for seed in range(3):
        for heard in augment(audio, ALL, seeded(seed)):
            assert heard.isfinite().all()
            assert heard.abs().max() <= 1


def test_of_digital_silence_the_teacher_hears_silence() -> None:
    near, far = augment(torch.zeros(8, 4000), ALL, seeded())
    assert (near == 0).all()
    assert far.abs().max() < 1e-3


def test_silences_are_of_several_kinds_and_not_loud() -> None:
    sounds = silences(300, 8000, torch.device("cpu"), seeded())
    assert sounds.shape == (300, 8000)
    assert sounds.isfinite().all()
    assert sounds.abs().max() <= 1
    digital = (sounds == 0).all(1)
    assert digital.float().mean() == pytest.approx(0.1, abs=0.05)
    levels = decibels(rms(sounds[~digital]))
    assert levels.min() > -90
    assert -20 < levels.max() < -11.9
    spectrum = torch.fft.rfft(sounds[~digital]).abs().square()[:, 75:]  # from 150 Hz
    tonal = spectrum.amax(1) / spectrum.sum(1)  # of a hiss no bin has much
    assert (tonal > 0.06).float().mean() == pytest.approx(0.25 / 0.9, abs=0.08)
    assert torch.equal(sounds, silences(300, 8000, torch.device("cpu"), seeded()))
