"""Rooms with known answers for the loopback measurement, made without the code under test."""

from dataclasses import dataclass

import numpy as np
import soxr
from echo_signals import Array
from scipy.interpolate import CubicSpline
from scipy.signal import fftconvolve

from assistant.microphone.loopback.signals import programme, shaped_noise
from assistant.microphone.loopback.take import Take

REPLY_S = 9.0
LEAD_S = 0.5
"""Silence that was played before the programme."""


@dataclass(frozen=True)
class Way:
    """From the loudspeaker's converter to the microphone's."""

    delay_ms: float = 80.0
    gain_db: float = -10.0
    t60_s: float = 0.3
    drift_ppm: float = 0.0
    """The microphone's clock is so much slower."""
    noise_dbfs: float = -70.0
    user: tuple[float, float] | None = None
    """When somebody speaks, seconds of the take; at -25 dBFS."""
    lost_s: float = 0.0
    """So much is cut out of the echo in the middle of the reply."""
    played_rate: int = 48000
    recorded_rate: int = 48000


def response(way: Way) -> Array:
    """What came straight, and from 2.5 ms on noise that decays; of unit energy."""
    rate = way.played_rate
    time_s = np.arange(int(way.t60_s * rate)) / rate
    tail = np.random.default_rng(0).standard_normal(len(time_s)) * 10 ** (-3 * time_s / max(way.t60_s, 0.01))
    tail[: rate // 400] = 0
    straight = np.zeros(max(1, len(tail)))
    straight[0] = 1
    if len(tail):
        straight += 0.7 * tail / np.linalg.norm(tail)
    return np.asarray(straight / np.linalg.norm(straight), np.float32)


def late(signal: Array, seconds: float, rate: int) -> Array:
    return np.concatenate([np.zeros(round(seconds * rate)), signal]).astype(np.float32)


def slower(signal: Array, ppm: float) -> Array:
    """As a clock records it that is slower by `ppm`: fewer samples of the same sound."""
    times = np.arange(int(len(signal) / (1 + ppm * 1e-6))) * (1 + ppm * 1e-6)
    return np.asarray(CubicSpline(np.arange(len(signal)), signal)(times), np.float32)


def take(way: Way, offset_ms: float = 7.3) -> Take:
    """A take of the programme in this room; the recording began `offset_ms` before the playing."""
    rate = way.played_rate
    sound = programme(shaped_noise(REPLY_S, 24000), 24000)
    played = np.asarray(soxr.resample(sound, 24000, rate), np.float32)
    played = np.concatenate([np.zeros(int(LEAD_S * rate)), played, np.zeros(rate)]).astype(np.float32)
    echo = 10 ** (way.gain_db / 20) * fftconvolve(played, response(way))[: len(played)]
    echo = late(echo, (offset_ms + way.delay_ms) / 1000, rate)
    cut = int(9 * rate)
    echo = np.concatenate([echo[:cut], echo[cut + round(way.lost_s * rate) :]])
    echo = slower(echo, way.drift_ppm) if way.drift_ppm else echo
    echo = np.asarray(soxr.resample(echo, rate, way.recorded_rate), np.float32)
    random = np.random.default_rng(3)
    recorded = echo + 10 ** (way.noise_dbfs / 20) * random.standard_normal(len(echo))
    if way.user is not None:
        start, end = (int(at * way.recorded_rate) for at in way.user)
        voice = shaped_noise((end - start) / way.recorded_rate, way.recorded_rate, seed=5)
        recorded[start : start + len(voice)] += 10 ** (-5 / 20) * voice
    began_ns = 5e9
    return Take(
        played,
        rate,
        began_ns,
        recorded.clip(-1, 1).astype(np.float32),
        way.recorded_rate,
        began_ns - offset_ms * 1e6,
        output_ms=70.0,
        input_ms=20.0,
    )
