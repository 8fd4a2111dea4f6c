"""How much faster one device's clock runs than the other's."""

from collections import deque

import numpy as np

TRUSTED_S = 60.0
"""Before it, the scatter of the stated times is larger than any drift: 20 s gave 230 ppm of error."""
LARGEST_PPM = 300.0
"""More is no crystal, but a device that states wrong times."""
_KEPT_S = 300


class Slope:
    """The rate of one stream's clock against its nominal rate, from (sample, time) pairs of minutes.

    Of each second the median counts; the slope is the median of the slopes between any two seconds (Theil and
    Sen), of which more than a quarter may be wrong. Seconds on two sides of a restart are never compared.
    """

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._second: list[tuple[float, float]] = []  # (time, lateness) of the present second
        self._seconds: deque[tuple[int, float, float]] = deque(maxlen=_KEPT_S)  # (line, time, lateness), s
        self._number = 0
        self._found: float | None = None

    def note(self, sample: int, at_s: float) -> None:
        """Sample number `sample` is at the converter at `at_s`."""
        if self._second and at_s - self._second[0][0] >= 1:
            self._end_second()
        self._second.append((at_s, at_s - sample / self._rate))

    def restart(self) -> None:
        """Begin another line: samples were lost or came late."""
        self._second.clear()
        self._number += 1

    @property
    def ppm(self) -> float | None:
        """By how many parts in a million a second of this clock is longer; None before it can be trusted."""
        if self._found is None:
            self._found = self._theil_sen()
        return self._found

    def _end_second(self) -> None:
        times, late = np.array(self._second).T
        self._seconds.append((self._number, float(np.median(times)), float(np.median(late))))
        self._second.clear()
        if len(self._seconds) % 10 == 0 or len(self._seconds) == _KEPT_S:
            self._found = None

    def _theil_sen(self) -> float | None:
        if not self._seconds:
            return None
        lines, times, late = np.array(self._seconds).T
        first, second = np.triu_indices(len(times), 1)
        same = lines[first] == lines[second]
        if not same.any() or len(times) < TRUSTED_S:
            return None
        first, second = first[same], second[same]
        apart = times[second] - times[first]
        if apart.max() < TRUSTED_S - 1:
            return None
        far = apart >= apart.max() / 4  # near ones tell little
        return float(np.median((late[second] - late[first])[far] / apart[far])) * 1e6


def drift_ppm(played: Slope, recorded: Slope) -> float | None:
    """By how many parts in a million more samples are played than recorded in the same time.

    None before both are trusted, or where they contradict what crystals can do.
    """
    if played.ppm is None or recorded.ppm is None:
        return None
    difference = recorded.ppm - played.ppm
    return difference if abs(difference) <= LARGEST_PPM else None
