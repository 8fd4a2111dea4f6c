"""Confidence intervals for many paired differences at once, which a few outliers do not move."""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

TRIM = 0.2
"""Share of the differences that is left out at either end."""
LEVEL = 0.95
LEAST = 6
"""Of fewer turns there is no interval: too few ways to give them signs."""
_RESAMPLES = 2000
_LEAST_MS = 0.1  # a standard error below this is taken for it: clocks and schedulers tell no finer


def trimmed(differences: Array) -> tuple[Array, Array]:
    """Trimmed mean of `differences` [..., n] over the last axis and its standard error, [...] each.

    The error is that of the Winsorized values (Tukey & McLaughlin 1963; Yuen 1974). One value has none: NaN.
    """
    count = differences.shape[-1]
    cut = int(TRIM * count)
    ordered = np.sort(differences, axis=-1)
    mean: Array = ordered[..., cut : count - cut].mean(axis=-1)
    if count < 2:
        return mean, np.full_like(mean, np.nan)
    ordered[..., :cut] = ordered[..., cut, None]
    ordered[..., count - cut :] = ordered[..., count - cut - 1, None]
    spread: Array = ordered.std(axis=-1, ddof=1)
    return mean, np.maximum(spread / ((1 - 2 * TRIM) * count**0.5), _LEAST_MS)


def simultaneous(differences: Array) -> tuple[Array, Array]:
    """Centre and half width [q] of intervals that hold all q centres at once in 95 of 100 samples.

    `differences` is [n, q] of n independent turns. The bootstrap is wild: residuals keep their size and get
    random signs, the same for all q of a turn, so what moves together does so in each resample. That is what
    happens if A and B are the same code: it is chance which of the two a slow turn befell. Half widths are
    the quantile of the largest |t| of the q (Westfall & Young 1993) times each standard error, and infinite
    for fewer than LEAST turns. The signs come from one seed.
    """
    count = len(differences)
    centre, error = trimmed(differences.T)
    if count < LEAST:
        return centre, np.full_like(centre, np.inf)
    signs = np.random.default_rng(0).choice((-1.0, 1.0), (_RESAMPLES, count))
    largest = np.zeros(_RESAMPLES)
    for residuals in (differences - centre).T:
        mean, spread = trimmed(residuals * signs)
        np.maximum(largest, np.abs(mean) / spread, out=largest)
    return centre, float(np.quantile(largest, LEVEL, method="higher")) * error
