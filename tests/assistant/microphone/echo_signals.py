"""Signals and rooms for the tests of echo cancellation, made without the code under test."""

import numpy as np
from numpy.typing import NDArray
from scipy.signal import fftconvolve, lfilter

RATE = 16000
Array = NDArray[np.float32]


def white(seconds: float, seed: int = 0, level: float = 0.1) -> Array:
    random = np.random.default_rng(seed)
    return (level * random.standard_normal(int(seconds * RATE))).astype(np.float32)


def murmur(seconds: float, seed: int = 0, level: float = 0.1) -> Array:
    """Noise with the spectrum of speech, loud and quiet four times a second."""
    random = np.random.default_rng(seed)
    noise = lfilter([1, -0.95], [1, -1.5, 0.7], random.standard_normal(int(seconds * RATE)))
    swell = np.sin(np.pi * 4 * np.arange(len(noise)) / RATE) ** 2
    return (level * swell * noise / noise.std()).astype(np.float32)


def room(delay: int = 300, t60_s: float = 0.25, gain: float = 0.7, seed: int = 1) -> Array:
    """An impulse response: nothing for `delay` samples, then an exponential tail of energy gain**2."""
    n = int(t60_s * RATE)
    tail = np.random.default_rng(seed).standard_normal(n) * 10 ** (-3 * np.arange(n) / n)
    return np.concatenate([np.zeros(delay), gain * tail / np.linalg.norm(tail)]).astype(np.float32)


def through(reference: Array, response: Array) -> Array:
    """The exact echo."""
    return fftconvolve(reference, response)[: len(reference)].astype(np.float32)


def level_db(signal: Array) -> float:
    return float(10 * np.log10((signal.astype(np.float64) ** 2).mean() + 1e-20))
