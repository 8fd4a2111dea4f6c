"""How much faster one device's clock runs than the other's, from where the echo is found again and again.

The times that devices state scatter too much: fitted over 20 s they gave slopes that were off by 230 ppm. The
echo's lag is known to a fraction of a sample, and a few seconds of sound are enough.
"""

from collections import deque

import numpy as np

from asr.audio import RATE

LARGEST_PPM = 300.0
"""More is no crystal."""
_TRUSTED = 6  # lags on one line, at the least
_SPAN = 3 * RATE  # samples that they must cover: a lag is off by half a sample, the slope then by 10 ppm
_KEPT = 40
_STEP = 2.0  # samples from where the last lag lets one expect it: one of the streams has lost some
_USUAL = 100e-6  # between two crystals; as long as the drift is not known, a lag may move by it


class DriftFinder:
    """The drift of two clocks, from lags of which more than a quarter may be wrong (Theil and Sen)."""

    def __init__(self) -> None:
        self._lags: deque[tuple[int, float, float]] = deque(maxlen=_KEPT)  # line, sample, lag
        self._line = 0
        self.ppm = 0.0
        """Parts in a million by which more samples are played than recorded in the same time; 0 at first."""

    def note(self, sample: float, lag: float) -> None:
        """The microphone's `sample` was played `lag` samples earlier, both counted without any correction."""
        if self._lags:
            _, last, before = self._lags[-1]
            expected = before - self.ppm * 1e-6 * (sample - last)
            if abs(lag - expected) > _STEP + _USUAL * (sample - last):
                self._line += 1
        self._lags.append((self._line, sample, lag))
        slope = self._slope()
        if slope is not None and abs(slope) <= LARGEST_PPM * 1e-6:
            self.ppm = -slope * 1e6

    def _slope(self) -> float | None:
        """Of the lag, samples a sample; None where too little is known."""
        lines, samples, lags = np.array(self._lags).T
        first, second = np.triu_indices(len(samples), 1)
        same = lines[first] == lines[second]
        first, second = first[same], second[same]
        apart = samples[second] - samples[first]
        if len(apart) < _TRUSTED * (_TRUSTED - 1) // 2 or apart.max() < _SPAN:
            return None
        far = apart >= apart.max() / 4  # near ones tell little
        return float(np.median((lags[second] - lags[first])[far] / apart[far]))
