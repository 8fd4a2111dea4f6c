"""Simulated rooms: what a microphone hears of a loudspeaker."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import signal

from asr.audio import RATE

Array = NDArray[np.float32]

USER_DBFS = -28.0
NOISE_DBFS = -70.0


@dataclass(frozen=True)
class Room:
    """A loudspeaker, the air and a microphone."""

    gain_db: float
    """Level of the echo against that of the user, at the microphone."""
    delay_ms: float
    """From the stated time of a sample to its arrival: buffers that no device tells of, and the air."""
    t60_s: float
    drive: float = 0.0
    """A loudspeaker that clips softly, tanh(drive * x); 0 is linear."""
    drift_ppm: float = 50.0
    """By how much the microphone's clock is slower."""
    seed: int = 0


def impulse_response(room: Room) -> NDArray[np.float64]:
    """Direct sound, six early reflections and an exponential tail of noise, through a small loudspeaker."""
    random = np.random.default_rng(room.seed)
    count = int(room.t60_s * RATE)
    tail = random.standard_normal(count) * 10 ** (-3 * np.arange(count) / RATE / room.t60_s)
    tail[: RATE // 200] = 0
    tail *= 0.6 / np.linalg.norm(tail)
    tail[random.integers(RATE // 400, RATE // 60, 6)] += random.uniform(-0.4, 0.4, 6)
    tail[0] = 1
    loudspeaker = signal.butter(2, (150, 7000), "bandpass", fs=RATE, output="sos")
    response = signal.sosfilt(loudspeaker, np.concatenate([np.zeros(int(room.delay_ms * RATE / 1000)), tail]))
    return np.asarray(response)


def echo(played: Array, room: Room) -> Array:
    """What of `played` [n] arrives at the microphone, [n] of its samples, at the room's level."""
    heard = played.astype(np.float64)
    if room.drive:
        heard = np.tanh(room.drive * heard) / room.drive
    heard = signal.fftconvolve(heard, impulse_response(room))[: len(played)]
    heard *= 10 ** ((USER_DBFS + room.gain_db) / 20) / active_rms(heard)
    return delayed(heard, 1 + room.drift_ppm * 1e-6).astype(np.float32)


def delayed(audio: NDArray[np.float64], step: float) -> NDArray[np.float64]:
    """`audio` [n] read at every `step`-th sample, [n]; four times oversampled, then interpolated linearly."""
    fine = signal.resample_poly(audio, 8, 1)
    at = np.arange(len(audio)) * step * 8
    return np.asarray(np.interp(at, np.arange(len(fine)), fine))


def noise(count: int, seed: int) -> Array:
    """The room's own noise, [count]."""
    random = np.random.default_rng(seed)
    return (random.standard_normal(count) * 10 ** (NOISE_DBFS / 20)).astype(np.float32)


def active_rms(audio: NDArray[np.floating]) -> float:
    """Root mean square of the blocks of 20 ms within 30 dB of the loudest."""
    blocks = audio[: len(audio) // 320 * 320].reshape(-1, 320).astype(np.float64)
    power = (blocks**2).mean(axis=1)
    return float(np.sqrt(power[power > power.max() / 1000].mean()))
