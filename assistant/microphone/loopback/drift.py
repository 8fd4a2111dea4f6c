"""The drift of two clocks, from chirps at the beginning and at the end."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from asr.audio import RATE

_T95 = {2: 4.30, 3: 3.18, 4: 2.78}  # Student's t by degrees of freedom, two-sided
_LEAST_S = 20e-6  # no path is steadier: 7 mm, by which someone in the room moves
_BENT_S = 0.2e-3  # no line: a jump of 3 ms over 12 s bends it so, noise as loud as a chirp does not


@dataclass(frozen=True)
class Drift:
    """By how many parts in a million more samples are played than recorded; the truth is within
    `uncertainty_ppm` in 95 of 100 cases."""

    ppm: float
    uncertainty_ppm: float

    @property
    def is_certain(self) -> bool:
        """Whether there is any."""
        return abs(self.ppm) > self.uncertainty_ppm


def measure_drift(played: NDArray[np.float64], recorded: NDArray[np.float64]) -> Drift:
    """The drift from where four to six chirps begin in both, samples at 16 kHz: a line through them."""
    time_s, _, slope, rest = _line(played, recorded)
    freedom = len(time_s) - 2
    error = np.sqrt(float(rest @ rest) / freedom / float(time_s @ time_s))
    uncertainty = max(_T95[freedom] * error, _LEAST_S / float(np.ptp(time_s)))
    return Drift(-slope * 1e6, uncertainty * 1e6)


def jump_s(played: NDArray[np.float64], recorded: NDArray[np.float64]) -> float:
    """By how many seconds the echo came later, at once, than before, negative earlier; 0 where a line goes
    through all of it: samples were lost, or silence put in."""
    _, late_s, _, rest = _line(played, recorded)
    steps = np.diff(late_s)
    return float(steps[np.abs(steps).argmax()]) if np.abs(rest).max() > _BENT_S else 0.0


def _line(
    played: NDArray[np.float64], recorded: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], float, NDArray[np.float64]]:
    """Time from the middle and lateness of each chirp, s; slope; what the line leaves of the lateness."""
    time_s, late_s = played / RATE, (recorded - played) / RATE
    time_s, late_s = time_s - time_s.mean(), late_s - late_s.mean()
    slope = float(time_s @ late_s / (time_s @ time_s))
    return time_s, late_s, slope, late_s - slope * time_s
