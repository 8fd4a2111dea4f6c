"""The linear filter with what it does not know of: long delays, and rooms that change at once."""

import numpy as np
from numpy.typing import NDArray

from assistant.microphone.echo.kalman import BLOCK, MOST_BEHIND, KalmanConfig, KalmanFilter

Array = NDArray[np.float32]

_KEEP = 0.85  # of the powers from block to block: 0.1 s of memory
_HARM = 1.25  # times the power that came in, 1 dB: what goes out then is worse than nothing
_LOST = 12  # blocks of harm, 0.2 s, after which the room is another one
_MARGIN = 1  # block before the first sound of the echo


class GuardedFilter:
    """Takes the echo out of the microphone's signal, but never adds to it for long."""

    def __init__(self, config: KalmanConfig | None = None) -> None:
        self._filter = KalmanFilter(config)
        self._before = self._after = 0.0  # power, smoothed
        self._share = 1.0  # of the estimated echo that is taken out
        self._harm = 0  # blocks in a row
        self.resets = 0

    def follow(self, lag: int) -> None:
        """The echo begins `lag` samples after the reference: let the filter hold the room, not the wait."""
        behind = min(MOST_BEHIND, max(0, lag // BLOCK - _MARGIN))
        if abs(behind - self._filter.behind) > 1:
            self._filter.move(behind)

    def push(self, microphone: Array, reference: Array) -> Array:
        """A block [256] of the microphone without the echo of the reference [256].

        It is the block itself, to the bit, while there is no sound in the filter.
        """
        echo = self._filter.push(microphone, reference)
        if not echo.any():
            self._harm, self._share = 0, 1.0
            return microphone
        before, after = _power(microphone), _power(microphone - echo)
        self._before = _KEEP * self._before + (1 - _KEEP) * before
        self._after = _KEEP * self._after + (1 - _KEEP) * after
        self._harm = self._harm + 1 if self._after > _HARM * self._before else 0
        share = 1.0 if self._after <= self._before else 0.0
        ramp = np.linspace(self._share, share, BLOCK, dtype=np.float32)
        self._share = share
        if self._harm > _LOST:
            self._filter.reset()
            self._before = self._after = 0.0
            self._harm = 0
            self.resets += 1
        return microphone - ramp * echo


def _power(signal: Array) -> float:
    return float(signal @ signal) / len(signal)
