"""What the echo canceller does to a recording: fed as in a conversation, only faster."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from asr.audio import RATE
from assistant.microphone.devices.port import Audio
from assistant.microphone.echo.canceller import LATENCY, EchoCanceller
from assistant.microphone.echo.duplex import AGAIN_DB, SEGMENT_S, UNKNOWN, Duplex
from assistant.microphone.echo.levels import dbfs
from assistant.microphone.echo.reference import EARLY, Reference

_FRAME = RATE // 50
_AHEAD = EARLY + RATE // 10  # samples that are sent before they sound
_LEARNED_S = 3.0  # the linear filter knows the room by then
_LOUD_DB = 12.0  # over the room's noise, what is left where somebody spoke,
_CANCELLED_DB = 12.0  # less, as with drift, goes to and fro by itself
_USUAL = 1 / 3  # and no more of the usual cancellation; a filter that still learns has half of it
_HIDDEN_DB = 3.0  # from all that can be seen
_SILENT = 1e-12


@dataclass(frozen=True)
class Cancelled:
    """Echo return loss enhancement over the reply, dB: upper quartiles of half seconds; users may speak."""

    linear_db: float
    """For the recognizer: the linear filter."""
    voice_db: float
    """For the voice detector: AEC3 behind it."""
    most_db: float
    """What the room's noise lets one see."""
    disturbed: bool
    """Something else was heard over the reply."""
    duplex: Duplex
    """The canceller's verdict at the end of the reply."""

    @property
    def hidden(self) -> bool:
        """Whether the room's noise, and no fault of the canceller, is why so little is cancelled."""
        return self.most_db < AGAIN_DB and self.linear_db > self.most_db - _HIDDEN_DB


def cancel(
    canceller: EchoCanceller, recorded: Audio, played: Audio, shift: float, reply: slice, noise_dbfs: float
) -> Cancelled:
    """Let a new `canceller` work on all of `recorded` [n], with `played` at `shift`, both at 16 kHz.

    Sample n of `played` sounded when sample n + `shift` was recorded. `reply` are samples of `recorded`.
    """
    reference, pushed = Reference(), 0
    listen, detect = [np.zeros(0, np.float32)], [np.zeros(0, np.float32)]
    duplex = UNKNOWN
    for start in range(0, len(recorded) + LATENCY, _FRAME):
        sounding = start - shift
        end = max(pushed, min(len(played), round(sounding) + _AHEAD + _FRAME))
        reference.push(played[pushed:end])
        pushed = end
        block = recorded[start : start + _FRAME]
        block = np.pad(block, (0, _FRAME - len(block)))
        cleaned = canceller.push(block, reference.read(sounding, _FRAME, canceller.drift_ppm))
        listen.append(cleaned.listen)
        detect.append(cleaned.detect)
        duplex = canceller.duplex if start < reply.stop else duplex
    microphone, left, voice = (
        _levels(signal[reply]) for signal in (recorded, np.concatenate(listen), np.concatenate(detect))
    )
    return _judged(microphone, left, voice, noise_dbfs, duplex)


def _levels(signal: Audio) -> NDArray[np.float64]:
    """Of each half second, dBFS."""
    size = round(SEGMENT_S * RATE)
    segments = signal[: len(signal) // size * size].reshape(-1, size).astype(np.float64)
    return np.array([dbfs(power + _SILENT) for power in segments.var(axis=1)])


def _judged(
    microphone: NDArray[np.float64],
    left: NDArray[np.float64],
    voice: NDArray[np.float64],
    noise_dbfs: float,
    duplex: Duplex,
) -> Cancelled:
    known = slice(min(round(_LEARNED_S / SEGMENT_S), len(microphone) // 2), None)
    microphone, left, voice = microphone[known], left[known], voice[known]
    linear_db, voice_db, most_db = (
        float(np.percentile(microphone - other, 75))
        for other in (left, voice, np.full_like(left, noise_dbfs))
    )
    other = (left > noise_dbfs + _LOUD_DB) & (microphone - left < linear_db * _USUAL)
    disturbed = linear_db > _CANCELLED_DB and bool(other.any())
    return Cancelled(linear_db, voice_db, most_db, disturbed, duplex)
