"""What is played to measure with: chirps, and between them what sounds like a reply."""

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

Audio = NDArray[np.float32]

CHIRP_S = 0.3
SLOT_S = 1.0
"""From chirp to chirp: echoes up to 0.65 s late end before the next."""
GROUP = 3
"""Chirps before the reply, and as many behind it."""
LEAD_S = 1.0
"""Silence before all of it, in which the room's own noise is measured."""
LEVEL = 0.1
"""RMS of chirps and reply, -20 dBFS: that of the assistant's voice."""
_LOW_HZ, _HIGH_HZ = 300.0, 6000.0  # what small loudspeakers play, and wideband headsets record
_FADE_S = 0.01


def chirp(rate: int) -> Audio:
    """A sweep whose frequency grows exponentially, as loud in every octave, [0.3 s] at `rate` Hz."""
    time_s = np.arange(round(CHIRP_S * rate)) / rate
    octaves = np.log(_HIGH_HZ / _LOW_HZ) / CHIRP_S
    wave = np.sin(2 * np.pi * _LOW_HZ * np.expm1(octaves * time_s) / octaves)
    edge = np.minimum(time_s, CHIRP_S - time_s).clip(0, _FADE_S) / _FADE_S
    wave *= np.sin(np.pi / 2 * edge) ** 2
    sweep: Audio = (LEVEL * wave / np.sqrt((wave**2).mean())).astype(np.float32)
    return sweep


def programme(reply: Audio, rate: int) -> Audio:
    """Silence, chirps, `reply` [n] at `rate` Hz, chirps."""
    slot = np.zeros(round(SLOT_S * rate), np.float32)
    slot[: round(CHIRP_S * rate)] = chirp(rate)
    lead, pause = (np.zeros(round(seconds * rate), np.float32) for seconds in (LEAD_S, CHIRP_S))
    return np.concatenate([lead, *[slot] * GROUP, reply, pause, *[slot] * GROUP])


def shaped_noise(seconds: float, rate: int, seed: int = 0) -> Audio:
    """Noise with about the spectrum and the syllables of speech, at the level of a reply."""
    white = np.random.default_rng(seed).standard_normal(round(seconds * rate))
    pole = np.exp(-2 * np.pi * 500 / rate)  # falls from 500 Hz on by 6 dB an octave
    syllables = np.sin(np.pi * 4 * np.arange(len(white)) / rate) ** 2
    noise = syllables * lfilter([1, -1], [1, -0.99], lfilter([1], [1, -pole], white))
    shaped: Audio = (LEVEL * noise / np.sqrt((noise**2).mean())).astype(np.float32)
    return shaped
