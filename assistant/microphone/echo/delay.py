"""Where a reference is found in the microphone's signal: how much later, how loud, and whether at all."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]

WINDOW = 8192
"""Samples, 512 ms: how often it looks, and the longest delay that it finds."""
_KEEP = 0.7  # of the cross spectrum from window to window: two seconds of memory
_CLEAR = 8.0  # times the rest, from which a peak is no accident
_SILENT = 1e-4  # RMS of a reference in which nothing can be found
_SAME = 32  # samples, 2 ms
_NEAR = 4  # samples from the lag, in which it is looked for in the last window alone
_COPY = 0.98  # correlation of a signal with its copy; reflections keep a room far below


@dataclass(frozen=True)
class Found:
    """The reference in the microphone's signal."""

    lag: int
    """Samples by which it comes later."""
    exact: float | None
    """The same in the last half second alone, with its fraction; None where that does not show it."""
    gain: float
    """Amplitude there, against the reference."""
    correlation: float
    """Of the two at this lag, in [-1, 1]."""

    @property
    def is_copy(self) -> bool:
        """Whether it is the same signal at the same level, as from a monitor of the loudspeaker."""
        return self.correlation > _COPY and 0.8 < self.gain < 1.25


class DelayFinder:
    """Correlates the two signals, every bin with the same weight (GCC-PHAT, Knapp and Carter 1976)."""

    def __init__(self) -> None:
        self._microphone = np.zeros(WINDOW, np.float32)
        self._reference = np.zeros(2 * WINDOW, np.float32)
        self._new = 0
        self._cross = np.zeros(WINDOW + 1, np.complex64)
        self._seen: int | None = None  # the lag of the last look, if it was clear
        self.found: Found | None = None
        """Where the last two clear looks agree: a user's voice may look like an echo once."""

    def push(self, microphone: Array, reference: Array) -> bool:
        """Take the next samples [n] of both; returns whether `found` is new."""
        self._microphone = np.concatenate([self._microphone, microphone])[-WINDOW:]
        self._reference = np.concatenate([self._reference, reference])[-2 * WINDOW :]
        self._new += len(microphone)
        if self._new < WINDOW:
            return False
        self._new = 0
        if np.sqrt((self._reference**2).mean()) < _SILENT:
            return False
        return self._look()

    def _look(self) -> bool:
        near = np.fft.rfft(np.concatenate([np.zeros(WINDOW, np.float32), self._microphone]))
        far = np.fft.rfft(self._reference)
        cross = (near * far.conj()).astype(np.complex64, copy=False)
        cross /= np.abs(cross) + 1e-6
        self._cross = _KEEP * self._cross + (1 - _KEEP) * cross
        correlation = _correlation(self._cross)
        lag = int(correlation.argmax())
        clear = _clear(correlation, lag)
        again = clear and self._seen is not None and abs(lag - self._seen) <= _SAME
        self._seen = lag if clear else None
        if again:
            self.found = self._at(far, lag, _exact(_correlation(cross), lag))
        elif not clear:
            self.found = None
        return again

    def _at(self, far: NDArray[np.complexfloating], lag: int, exact: float | None) -> Found:
        """What the last window says about this lag."""
        turn = -2j * np.pi * (lag if exact is None else exact) / (2 * WINDOW)
        late = np.fft.irfft(far * np.exp(turn * np.arange(WINDOW + 1)))[WINDOW:]
        near = self._microphone.astype(np.float64)
        both, power = float(near @ late), float(late @ late) + 1e-12
        return Found(lag, exact, both / power, both / float(np.sqrt(power * (near @ near) + 1e-24)))


def _correlation(cross: NDArray[np.complex64]) -> Array:
    """At each lag, [window]."""
    correlation: Array = np.abs(np.fft.irfft(cross)[:WINDOW])
    return correlation


def _clear(correlation: Array, lag: int) -> bool:
    return bool(correlation[lag] > _CLEAR * np.sqrt((correlation**2).mean()))


def _exact(correlation: Array, near: int) -> float | None:
    """The top of a parabola through the peak close to `near`, if it is one."""
    start = max(1, near - _NEAR)
    lag = start + int(correlation[start : near + _NEAR + 1].argmax())
    if lag + 1 >= len(correlation) or not _clear(correlation, lag):
        return None
    before, peak, after = (float(value) for value in correlation[lag - 1 : lag + 2])
    bend = before - 2 * peak + after
    return lag + (before - after) / (2 * bend) if peak >= max(before, after) and bend else None
