"""When each sample of a stream is at its converter: a line through the times that the device states."""

from collections import deque

import numpy as np
from numpy.typing import NDArray

_KEPT_S = 5.0
_REFIT = 50  # pairs: half a second of blocks; a fit for each would take 2 % of a core
_ENOUGH = 10  # pairs from which a slope is fitted; before, the rate is the nominal one
_OUTLIER = 4.0  # times the median distance: blocks that were late on a busy machine
_LARGEST_PPM = 1000.0  # of a clock; a slope beyond it is the scatter of few pairs


class ClockLine:
    """A line fitted to the latest (sample, time) pairs of one stream, without the outliers."""

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._pairs: deque[tuple[int, float]] = deque()
        self._fit: tuple[float, float, float] | None = None  # at this sample, this time; s a sample
        self._unfitted = 0  # pairs

    @property
    def known(self) -> bool:
        """Whether any pair was noted since the line began."""
        return bool(self._pairs)

    def note(self, sample: int, at_s: float) -> None:
        """Sample number `sample` is at the converter at `at_s`, on a clock that only runs forward."""
        self._pairs.append((sample, at_s))
        while self._pairs[-1][0] - self._pairs[0][0] > _KEPT_S * self._rate:
            self._pairs.popleft()
        self._unfitted += 1
        if self._unfitted >= min(_REFIT, len(self._pairs) // 4):
            self._fit = None

    def restart(self) -> None:
        """Begin another line: after an over- or underrun the samples have other times."""
        self._pairs.clear()
        self._fit = None

    def time_of(self, sample: float) -> float:
        """When `sample` is at the converter, s."""
        middle, time_s, slope = self._line()
        return time_s + (sample - middle) * slope

    def sample_at(self, time_s: float) -> float:
        """Which sample is at the converter at `time_s`, with its fraction."""
        middle, middle_s, slope = self._line()
        return middle + (time_s - middle_s) / slope

    def _line(self) -> tuple[float, float, float]:
        assert self._pairs, "a time before the first pair"
        if self._fit is None:
            self._unfitted = 0
            self._fit = _fitted(np.array(self._pairs), 1 / self._rate)
        return self._fit


def _fitted(pairs: NDArray[np.float64], nominal: float) -> tuple[float, float, float]:
    """A sample, its time and the slope there: least squares, twice, each time without the outliers."""
    samples, times = pairs.T
    late = times - samples * nominal
    distance = np.abs(late - np.median(late))
    slope = 0.0
    kept = distance <= _OUTLIER * np.median(distance) + 1e-9
    for _ in range(2):
        x, y = samples[kept], late[kept]
        if len(x) >= _ENOUGH:
            slope = float(np.polynomial.polynomial.polyfit(x - x.mean(), y, 1)[1])
            slope = float(np.clip(slope, -_LARGEST_PPM * 1e-6 * nominal, _LARGEST_PPM * 1e-6 * nominal))
        distance = np.abs(late - (y.mean() + slope * (samples - x.mean())))
        kept = distance <= _OUTLIER * np.median(distance) + 1e-9
    middle = float(samples[kept].mean())
    return middle, float(late[kept].mean()) + middle * nominal, nominal + slope
