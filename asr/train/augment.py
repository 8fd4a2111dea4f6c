"""Voices and rooms that were not recorded: speed, colour, echo, noise, band limits, gain, clipping.

The teacher hears the voice as it is, in another speed, colour and level; the student hears the same from a
room with noise. So it learns to hear through these. torchaudio has functions for each, but its wheel needs
CUDA's libraries to be imported at all; these run, and are tested, anywhere.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from asr.audio import RATE

_TAIL = RATE // 2  # of an echo that is kept, samples


@dataclass(frozen=True)
class AugmentConfig:
    """Chances in [0, 1] for each clip; what they mean is said at the functions."""

    noise: float = 0.6
    babble: float = 0.35  # of those with noise
    echo: float = 0.3
    band: float = 0.15
    clip: float = 0.05
    offset: float = 0.05
    snr_db: tuple[float, float] = (3.0, 40.0)
    gain_db: tuple[float, float] = (-24.0, 9.0)
    colour_db: float = 6.0


def change_speed(audio: Tensor, length: int) -> Tensor:
    """`audio` [B, n] played in `length` samples: speed, pitch and formants move together."""
    spectrum = torch.fft.rfft(audio)
    bins = length // 2 + 1
    kept = spectrum[:, :bins]
    if kept.shape[1] < bins:
        kept = torch.nn.functional.pad(kept, (0, bins - kept.shape[1]))
    played: Tensor = torch.fft.irfft(kept, n=length) * (length / audio.shape[1])
    return played


def augment(audio: Tensor, config: AugmentConfig, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """What the teacher and what the student hear of `audio` [B, n], each [B, n]."""
    draw = _Draw(generator, audio.device, len(audio))
    length = audio.shape[1]
    size = _fft_size(length + _TAIL)
    spectrum = torch.fft.rfft(audio, n=size) * _colour(draw, size, config.colour_db)
    near = torch.fft.irfft(spectrum, n=size)[:, :length]
    heard = spectrum * torch.where(draw.chance(config.echo)[:, None], _echo(draw, size), 1.0)
    heard = heard * torch.where(draw.chance(config.band)[:, None], _band(draw, size), 1.0)
    far = torch.fft.irfft(heard, n=size)[:, :length]
    far = torch.where(draw.chance(config.noise)[:, None], _noisy(far, draw, config), far)
    gain = _decibels(draw.between(*config.gain_db))[:, None]
    near, far = near * gain, far * gain
    far = torch.where(draw.chance(config.clip)[:, None], _clipped(far, draw), far)
    offset = draw.between(-0.1, 0.1)[:, None] * far.abs().amax(1, keepdim=True)
    far = far + torch.where(draw.chance(config.offset)[:, None], offset, 0.0)
    return near.clamp(-1, 1), far.clamp(-1, 1)


def silences(count: int, length: int, device: torch.device, generator: torch.Generator) -> Tensor:
    """Audio in which nothing is said, [count, length]: silence, coloured noise, hum, chords."""
    draw = _Draw(generator, device, count)
    noise = _coloured_noise(draw, length)
    seconds = torch.arange(length, device=device) / RATE
    pitches = draw.between(50, 800)[:, None] * 2 ** (draw.uniform(4) * 2)  # [count, 4]
    swell = (2 * torch.pi * draw.between(0.1, 3)[:, None] * seconds).sin().square()
    tones = (2 * torch.pi * pitches[..., None] * seconds).sin().sum(1) * swell / 4
    kind = draw.uniform(1)
    audio = torch.where(kind < 0.65, noise, torch.where(kind < 0.9, tones + 0.1 * noise, 0.0))
    return (audio * _decibels(draw.between(-70, -12))[:, None]).clamp(-1, 1)


class _Draw:
    """Random numbers for a batch of clips."""

    def __init__(self, generator: torch.Generator, device: torch.device, rows: int) -> None:
        self.generator, self.device, self.rows = generator, device, rows

    def uniform(self, columns: int) -> Tensor:
        return torch.rand(self.rows, columns, generator=self.generator, device=self.device)

    def normal(self, columns: int) -> Tensor:
        return torch.randn(self.rows, columns, generator=self.generator, device=self.device)

    def between(self, low: float, high: float) -> Tensor:
        return low + (high - low) * self.uniform(1)[:, 0]

    def chance(self, probability: float) -> Tensor:
        return self.uniform(1)[:, 0] < probability


def _fft_size(least: int) -> int:
    """The next size that is a multiple of 4000: small primes only, and few different plans."""
    return -(-least // 4000) * 4000


def _decibels(db: Tensor) -> Tensor:
    ratio: Tensor = 10 ** (db / 20)
    return ratio


def _frequencies(size: int, device: torch.device) -> Tensor:
    return torch.arange(size // 2 + 1, device=device) * (RATE / size)  # Hz


def _colour(draw: _Draw, size: int, most_db: float) -> Tensor:
    """A smooth curve over frequency, [B, bins]: microphones, distance, the shape of a head."""
    points = (draw.uniform(8) * 2 - 1) * most_db
    curve = torch.nn.functional.interpolate(
        points[:, None], size=size // 2 + 1, mode="linear", align_corners=True
    )
    return _decibels(curve[:, 0])


def _echo(draw: _Draw, size: int) -> Tensor:
    """The response of a room with a reverberation time of 0.1 to 0.7 s, its direct sound first, [B, bins]."""
    times = torch.arange(_TAIL, device=draw.device) / RATE
    decay = torch.exp(-6.9 * times / draw.between(0.1, 0.7)[:, None])
    late = draw.normal(_TAIL) * decay
    late[:, : RATE // 500] = 0
    late = late / late.square().sum(1, keepdim=True).sqrt()
    late = late * _decibels(-draw.between(-3, 15))[:, None]
    late[:, 0] = 1
    response: Tensor = torch.fft.rfft(late, n=size)
    return response


def _band(draw: _Draw, size: int) -> Tensor:
    """A telephone's band: from 50-300 Hz to 3-4 kHz, [B, bins]."""
    hertz = _frequencies(size, draw.device)
    low, high = draw.between(50, 300)[:, None], draw.between(3000, 4000)[:, None]
    return torch.sigmoid((hertz - low) / 20) * torch.sigmoid((high - hertz) / 60)


def _coloured_noise(draw: _Draw, length: int) -> Tensor:
    """Noise of RMS 1 whose power falls with frequency to the power 0 (white) to 2 (brown), [B, length]."""
    size = _fft_size(length)
    bins = torch.fft.rfft(draw.normal(size))
    slope = draw.between(0, 1)[:, None]
    shaped = bins * _frequencies(size, draw.device).clamp(min=20) ** -slope
    noise: Tensor = torch.fft.irfft(shaped, n=size)[:, :length]
    return noise / _rms(noise)


def _babble(audio: Tensor) -> Tensor:
    """Four other clips of the batch at once."""
    others = sum(audio.roll(shift, 0).roll(shift * 7919, 1) for shift in (1, 2, 3, 5))
    assert isinstance(others, Tensor)
    return others / _rms(others)


def _noisy(audio: Tensor, draw: _Draw, config: AugmentConfig) -> Tensor:
    babble = draw.chance(config.babble)[:, None]
    noise = torch.where(babble, _babble(audio), _coloured_noise(draw, audio.shape[1]))
    return audio + noise * _rms(audio) * _decibels(-draw.between(*config.snr_db))[:, None]


def _clipped(audio: Tensor, draw: _Draw) -> Tensor:
    limit = audio.abs().amax(1, keepdim=True) * draw.between(0.2, 0.8)[:, None]
    return audio.clamp(-limit, limit)


def _rms(audio: Tensor) -> Tensor:
    return audio.square().mean(1, keepdim=True).sqrt().clamp(min=1e-5)
