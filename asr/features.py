"""Log-mel features as Whisper defines them (Radford et al. 2022), for the models that read them."""

from functools import cache

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from asr.audio import RATE

_N_FFT, _HOP, _MELS = 400, 160, 80


def _mel(hertz: NDArray[np.float64]) -> NDArray[np.float64]:
    """Slaney's mel scale: linear below 1 kHz, logarithmic above (Auditory Toolbox, 1998)."""
    log = 15.0 + 27.0 * np.log(np.maximum(hertz, 1000.0) / 1000.0) / np.log(6.4)
    return np.where(hertz < 1000.0, hertz * 3.0 / 200.0, log)


def _hertz(mel: NDArray[np.float64]) -> NDArray[np.float64]:
    log = 1000.0 * np.exp((mel - 15.0) * np.log(6.4) / 27.0)
    return np.where(mel < 15.0, mel * 200.0 / 3.0, log)


@cache
def mel_filters() -> NDArray[np.float32]:
    """Triangles of equal area over the FFT bins, [mels, bins]."""
    bins = np.linspace(0.0, RATE / 2, _N_FFT // 2 + 1)
    edges = _hertz(np.linspace(0.0, _mel(np.array(RATE / 2.0)), _MELS + 2))
    low, centre, high = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    rising = (bins - low) / (centre - low)
    falling = (high - bins) / (high - centre)
    triangles = np.maximum(0.0, np.minimum(rising, falling))
    return (triangles * 2.0 / (high - low)).astype(np.float32)


@cache
def _window() -> NDArray[np.float32]:
    phase = 2 * np.pi * np.arange(_N_FFT) / _N_FFT
    return (0.5 - 0.5 * np.cos(phase)).astype(np.float32)


def log_mel(audio: NDArray[np.float32]) -> NDArray[np.float32]:
    """Features [80, n / 160] of `audio` ([n] at 16 kHz, n a multiple of 160), about -1 to 1.

    The waveform is brought to zero mean and unit variance first, as transformers'
    WhisperFeatureExtractor does with do_normalize.
    """
    audio = (audio - audio.mean()) / np.sqrt(audio.var() + 1e-7)
    padded = np.pad(audio, _N_FFT // 2, mode="reflect")
    frames = np.lib.stride_tricks.sliding_window_view(padded, _N_FFT)[::_HOP][:-1]
    spectrum = scipy.fft.rfft(frames * _window(), axis=1)
    power = spectrum.real**2 + spectrum.imag**2  # [frames, bins]
    logs = np.log10(np.maximum(mel_filters() @ power.T, 1e-10))
    scaled: NDArray[np.float32] = (np.maximum(logs, logs.max() - 8.0) + 4.0) / 4.0
    return scaled.astype(np.float32)
