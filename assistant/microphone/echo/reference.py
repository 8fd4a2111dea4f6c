"""What was really played, where the microphone's samples need it."""

import numpy as np
from numpy.typing import NDArray

from asr.audio import RATE

Array = NDArray[np.float32]

EARLY = RATE * 16 // 1000
"""Samples by which the reference comes early, 16 ms: the stated times are wrong by a few, and no filter
takes out an echo that comes before its sound."""
_JUMP = RATE * 40 // 1000  # from where it should be: the times that PulseAudio states wander by 25 ms in 10 s
_KEPT = 4 * RATE
_TAPS, _PHASES = 32, 256
_PIECE = 80  # samples read at one fraction: at 50 ppm the first and last are off by 0.002


def _interpolators() -> Array:
    """Windowed-sinc filters [phases + 1, taps], for each fraction of a sample."""
    fraction = np.arange(_PHASES + 1)[:, None] / _PHASES
    offset = np.arange(_TAPS) - (_TAPS // 2 - 1) - fraction
    window = np.i0(8 * np.sqrt(np.clip(1 - (offset / (_TAPS / 2)) ** 2, 0, 1))) / np.i0(8)
    kernel = np.sinc(offset) * window
    normal: Array = (kernel / kernel.sum(axis=1, keepdims=True)).astype(np.float32)
    return normal


class Reference:
    """The last seconds of what was played, at 16 kHz, and the place in it that the microphone has reached.

    The place moves on with the microphone's samples, faster or slower by the drift, without steps: small
    errors of the stated times would look like a room that moves. Where a stream is known to have slipped it
    is moved by just that, and the filter goes on. Each jump makes the filter learn again: it jumps only when
    it is 40 ms off.
    """

    def __init__(self) -> None:
        self._kernels = _interpolators()
        self._audio = np.zeros(_KEPT, np.float32)
        self._end = 0  # the number of the sample after the last one kept
        self._place: float | None = None
        self.jumps = 0

    def push(self, audio: Array) -> None:
        """Take what was given to the loudspeaker next [n], silence and cuts too."""
        kept = np.concatenate([self._audio, audio])[-_KEPT:]
        self._audio, self._end = kept, self._end + len(audio)

    def move(self, samples: float) -> None:
        """Read so many samples later: one of the streams has slipped by them."""
        if self._place is not None:
            self._place += samples

    def read(self, played_sample: float, count: int, drift_ppm: float = 0.0) -> Array:
        """The reference [count] of a block of the microphone.

        `played_sample` is the number of the sample that was at the loudspeaker when the block's first was
        at the microphone. What was not given, or is too old, is silence.
        """
        wanted = played_sample + EARLY
        if self._place is None or abs(self._place - wanted) > _JUMP:
            self.jumps += self._place is not None
            self._place = wanted
        step = 1 + drift_ppm * 1e-6
        pieces = []
        for start in range(0, count, _PIECE):
            size = min(_PIECE, count - start)
            pieces.append(self._interpolated(self._place + step * (start + size / 2) - size / 2, size))
        self._place += step * count
        return np.concatenate(pieces)

    def _interpolated(self, place: float, count: int) -> Array:
        """[count] samples from `place` on, one apart."""
        whole = int(np.floor(place))
        kernel = self._kernels[round((place - whole) * _PHASES)]
        first = whole - (_TAPS // 2 - 1) - (self._end - _KEPT)
        last = first + count + _TAPS - 1
        known = self._audio[max(0, first) : max(0, last)]
        missing = count + _TAPS - 1 - len(known)
        if missing:
            early = min(missing, max(0, -first))
            known = np.pad(known, (early, missing - early))
        mixed: Array = np.correlate(known, kernel, "valid")
        return mixed
