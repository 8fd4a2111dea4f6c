"""Trimmed means and simultaneous intervals against SciPy and brute force."""

from itertools import product

import numpy as np
import pytest
from scipy import stats

from assistant.trace.intervals import TRIM, simultaneous, trimmed


@pytest.mark.parametrize("count", [2, 6, 10, 23])
def test_mean_and_error_are_those_of_scipy(count: int) -> None:
    values = np.random.default_rng(count).standard_t(2, (3, count)) * 20
    mean, error = trimmed(values)
    assert mean == pytest.approx(stats.trim_mean(values, TRIM, axis=1))
    expected = [
        float(np.asarray(stats.mstats.winsorize(row, (TRIM, TRIM))).std(ddof=1)) / (0.6 * count**0.5)
        for row in values
    ]
    assert error == pytest.approx(expected)


def test_two_of_ten_outliers_change_nothing() -> None:
    calm = np.array([[-2.0, -1.5, -1.0, -0.5, 0.0, 0.5, 1.0, 1.5, 2.0, 2.5]])
    wild = np.where(calm >= 2.0, 300.0, calm)
    assert trimmed(wild)[0] == trimmed(calm)[0] == pytest.approx(0.25)
    assert trimmed(wild)[1] == trimmed(calm)[1]


def test_the_half_width_is_that_of_all_signs() -> None:
    """Ten turns have 1024 ways to sign them; 2000 draws come near their quantile."""
    differences = np.random.default_rng(3).lognormal(0, 1, (10, 3)) * [1.0, 5.0, 40.0]
    centre, half = simultaneous(differences)
    largest = []
    for signs in product((-1.0, 1.0), repeat=10):
        resampled = ((differences - centre) * np.array(signs)[:, None]).T
        ordered = np.sort(resampled, axis=1)
        mean = ordered[:, 2:8].mean(axis=1)
        winsorized = np.clip(resampled, ordered[:, 2:3], ordered[:, 7:8])
        error = winsorized.std(axis=1, ddof=1) / (0.6 * 10**0.5)
        largest.append(np.max(np.abs(mean) / np.maximum(error, 0.1)))
    low, high = np.quantile(largest, [0.93, 0.97])
    factor = half / trimmed(differences.T)[1]
    assert factor == pytest.approx([factor[0]] * 3), "one for all, as they are tested at once"
    assert low <= factor[0] <= high


def test_one_alone_is_near_the_bootstrap_of_scipy() -> None:
    values = np.random.default_rng(5).normal(3, 10, 60)
    centre, half = simultaneous(values[:, None])
    other = stats.bootstrap(
        (values,),
        lambda drawn, axis: stats.trim_mean(drawn, TRIM, axis=axis),
        rng=np.random.default_rng(0),
        method="percentile",
    ).confidence_interval
    assert 2 * half[0] == pytest.approx(other.high - other.low, rel=0.15)
    assert centre[0] == pytest.approx((other.high + other.low) / 2, abs=1)


def test_the_same_differences_give_the_same_interval() -> None:
    differences = np.random.default_rng(0).normal(0, 1, (8, 2))
    assert [list(of) for of in simultaneous(differences)] == [list(of) for of in simultaneous(differences)]


@pytest.mark.parametrize("turns", [1, 2, 5])
def test_few_turns_have_no_bounds(turns: int) -> None:
    centre, half = simultaneous(np.array([[4.0, -1.0]] * turns))
    assert list(centre) == [4.0, -1.0] and list(half) == [np.inf, np.inf]
