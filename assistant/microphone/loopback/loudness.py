"""Levels in a take: of the room, of the echo of chirps, and what is at full scale."""

import numpy as np
from numpy.typing import NDArray
from scipy.signal import butter, sosfilt

from asr.audio import RATE
from assistant.microphone.devices.port import Audio
from assistant.microphone.echo.duplex import SEGMENT_S
from assistant.microphone.echo.levels import dbfs
from assistant.microphone.loopback.chirps import Heard
from assistant.microphone.loopback.signals import CHIRP_S, LEVEL

_CLIPPED, _RUN = 0.99, 3  # a run of so many samples this close to full scale is no wave
_WINDOW = RATE // 20
_BEFORE = RATE // 200  # samples by which the echo's place may be wrong
_ECHO = round(2 * CHIRP_S * RATE)  # samples until the room is silent again
_LOUDER_DB = 6.0  # than a room makes one half second of a reply, against another
_HUM_HZ = 200.0
_PLAYED = LEVEL**2 * CHIRP_S * RATE  # energy of a chirp
_SILENT = 1e-12  # -120 dBFS


def windows_dbfs(signal: Audio, size: int = _WINDOW) -> NDArray[np.float64]:
    """The level of each `size` samples, 50 ms, without its offset; of nothing one, -120 dBFS."""
    whole = signal[: len(signal) // size * size].reshape(-1, size).astype(np.float64)
    powers = whole.var(axis=1) if len(whole) else np.zeros(1)
    return np.array([dbfs(power + _SILENT) for power in powers])


def level_dbfs(signal: Audio) -> float:
    """The level of all of `signal`, without its offset."""
    return dbfs(float(signal.astype(np.float64).var()) + _SILENT) if len(signal) else dbfs(_SILENT)


def is_louder(recorded: Audio, played: Audio, gain_db: float, noise_dbfs: float) -> bool:
    """Whether any half second of `recorded` is louder than the room's noise and the echo of `played` are."""
    size = round(SEGMENT_S * RATE)
    echo = windows_dbfs(played, size) + gain_db
    echo = np.maximum(echo, np.roll(echo, 1))  # of the last one the room still sounds
    expected = np.maximum(echo, noise_dbfs + _LOUDER_DB)
    levels = windows_dbfs(recorded, size)
    count = min(len(levels), len(expected))
    return bool((levels[:count] > expected[:count] + _LOUDER_DB).any())


def clipped(signal: Audio) -> int:
    """Samples of `signal` [n] that stay at full scale."""
    full = np.concatenate([[0], (np.abs(signal) >= _CLIPPED).astype(np.int8), [0]])
    edges = np.flatnonzero(np.diff(full))
    lengths = edges[1::2] - edges[::2]
    return int(lengths[lengths >= _RUN].sum())


def quartile_dbfs(signal: Audio) -> float:
    """The level of the room: the lower quartile of 50 ms each, for somebody may speak."""
    return float(np.percentile(windows_dbfs(signal), 25))


def echo_gains(recorded: Audio, lead: slice, heard: Heard) -> NDArray[np.float64]:
    """The level of each chirp's echo in `recorded` [n] against what was played, dB, all reflections included.

    The room's noise, of which `lead` is an example, is taken off.
    """
    recorded = _without_hum(recorded)
    # The median: a quartile is 0.3 dB too low, which counts where the noise is louder than the echo.
    noise = 10 ** (float(np.median(windows_dbfs(recorded[lead]))) / 10) * _ECHO
    starts = [max(0, at - heard.straight - _BEFORE) for at in heard.recorded]
    energies = np.array([(recorded[at : at + _ECHO].astype(np.float64) ** 2).sum() for at in starts])
    gains: NDArray[np.float64] = 10 * np.log10((energies - noise).clip(_SILENT) / _PLAYED)
    return gains


def _without_hum(signal: Audio) -> Audio:
    """`signal` [n] at 16 kHz without hum and offsets, which are below the chirps."""
    filtered: Audio = sosfilt(butter(4, _HUM_HZ, "highpass", fs=RATE, output="sos"), signal)
    return filtered
