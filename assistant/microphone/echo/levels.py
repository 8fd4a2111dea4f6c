"""Levels while the assistant speaks: echo, what is left of it, and the user."""

from collections import deque
from dataclasses import dataclass
from math import inf, log10

import numpy as np
from numpy.typing import NDArray

from asr.audio import RATE
from assistant.microphone.echo.duplex import JUDGED, QUIET_DBFS, SEGMENT_S, Segment

Array = NDArray[np.float32]

_SMOOTH_S = 0.3
_VOICE_DB = 6.0  # over the room's own noise
_TAKEN_DB = 6.0
_FLOOR = -120.0  # dBFS, below which all is silence


def dbfs(power: float) -> float:
    """The level of a mean square, dB below full scale."""
    return 10 * log10(power) if power > 0 else -inf


@dataclass(frozen=True)
class Levels:
    """What the level meter shows, dBFS over the last 0.3 s."""

    microphone: float = -inf
    echo: float = -inf
    """What the linear filter took out."""
    near: float = -inf
    """What is left: the user, the room and the rest of the echo."""
    erle_db: float | None = None
    """Echo return loss enhancement of the linear filter over the last 5 s of sound."""


class LevelMeter:
    """Measures block by block."""

    def __init__(self) -> None:
        self._power = np.zeros(3)  # microphone, echo, near
        self.sounding: deque[Segment] = deque(maxlen=JUDGED)
        self._silent: deque[float] = deque(maxlen=JUDGED)
        self._sums = np.zeros(3)  # microphone, listen, detect: of the present segment
        self._samples = self._with_sound = 0

    @property
    def levels(self) -> Levels:
        """The present levels."""
        microphone, echo, near = (dbfs(power) for power in self._power)
        taken = [segment.microphone - segment.left for segment in self.sounding]
        erle = float(np.percentile(taken, 75)) if taken else None
        return Levels(microphone, echo, near, erle)

    @property
    def silence_dbfs(self) -> float:
        """Of the microphone while nothing plays, -inf at first: lower quartile, for the user may speak."""
        return float(np.percentile(self._silent, 25)) if self._silent else -inf

    def push(self, microphone: Array, listen: Array, detect: Array, sounds: bool) -> bool:
        """Take what belongs together, [n] each; returns whether a segment has ended.

        `detect`, [m], may be a few samples behind the others; it is empty where there is no AEC3.
        """
        now = np.array([_mean_square(signal) for signal in (microphone, microphone - listen, listen)])
        share = min(1.0, len(microphone) / (_SMOOTH_S * RATE))
        self._power += share * (now - self._power)
        self._sums[:2] += len(microphone) * now[[0, 2]]
        self._sums[2] += float((detect.astype(np.float64) ** 2).sum())
        self._samples += len(microphone)
        self._with_sound += len(microphone) * sounds
        if self._samples < SEGMENT_S * RATE:
            return False
        self._end_segment()
        return True

    def _end_segment(self) -> None:
        microphone, left, detect = (max(_FLOOR, dbfs(total / self._samples)) for total in self._sums)
        if self._with_sound == self._samples and not self._is_user(left, detect):
            self.sounding.append(Segment(microphone, left))
        elif not self._with_sound:
            self._silent.append(microphone)
        self._sums[:] = 0
        self._samples = self._with_sound = 0

    def _is_user(self, left: float, detect: float) -> bool:
        """Whether what is left is a voice, and no evidence: AEC3 would have taken most of an echo."""
        return left > max(QUIET_DBFS, self.silence_dbfs + _VOICE_DB) and detect > left - _TAKEN_DB


def _mean_square(signal: Array) -> float:
    return float((signal.astype(np.float64) ** 2).mean())
