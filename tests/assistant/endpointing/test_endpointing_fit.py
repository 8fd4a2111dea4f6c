"""The logistic regression against a general optimizer, and against optima known on paper."""

from math import log

import numpy as np
import pytest
from labelled_points import point
from scipy.optimize import minimize

from assistant.endpointing.fit import NAMES, Fit, Fits, counted, fit_all, log_loss, logistic
from assistant.endpointing.report import constants
from assistant.session import completeness

RNG = np.random.default_rng(3)
COLUMNS = np.column_stack([RNG.normal(5, 4, 80), RNG.random(80) < 0.2, RNG.normal(0, 0.1, 80), np.ones(80)])
ENDS = (COLUMNS @ [0.5, 2, -3, -2] + RNG.logistic(size=80) > 0).astype(float)


@pytest.mark.parametrize("penalty", [0.1, 3.0, 100.0])
def test_the_weights_are_those_of_a_general_optimizer(penalty: float) -> None:
    deviations = COLUMNS[:, :-1].std(axis=0)

    def cost(weights: np.ndarray) -> float:
        penalized = penalty / 2 * ((weights[:-1] * deviations) ** 2).sum()
        return len(ENDS) * log_loss(COLUMNS @ weights, ENDS) + penalized

    expected = minimize(cost, np.zeros(4), method="BFGS", options={"gtol": 1e-7}).x
    assert logistic(COLUMNS, ENDS, penalty) == pytest.approx(expected, abs=1e-3)


def test_a_constant_alone_gives_the_share_of_ends() -> None:
    assert logistic(np.ones((4, 1)), np.array([1.0, 0, 0, 0]), 5.0) == pytest.approx([log(1 / 3)])


def test_a_column_without_a_difference_weighs_nothing() -> None:
    columns = np.column_stack([np.full(4, 7.0), np.ones(4)])
    assert logistic(columns, np.array([1.0, 1, 1, 0]), 1.0) == pytest.approx([0, log(3)])


def test_log_loss_is_what_is_known_on_paper() -> None:
    ends = np.array([1.0, 0.0])
    assert log_loss(np.zeros(2), ends) == pytest.approx(log(2))
    assert log_loss(np.array([log(9), log(9)]), ends) == pytest.approx(-(log(0.9) + log(0.1)) / 2)


def test_pauses_of_the_detector_are_not_counted() -> None:
    assert [each.lasts_ms for each in counted([point(64), point(200), point()])] == [200, float("inf")]


def test_each_fit_rests_on_its_own_columns() -> None:
    """The mark is right in nine of ten, the sound knows nothing."""
    told = [point(closing=1.0)] * 9 + [point(closing=-1.0)]
    told += [point(500, closing=-1.0)] * 9 + [point(500, closing=1.0)]
    fits = fit_all(told * 20, told)
    found = fits.log_odds([point(closing=1.0)])
    for name in ("closing mark", "words", "words and sound"):
        assert found[name] == pytest.approx([log(9)], abs=0.1), name
    assert found["Smart Turn"] == pytest.approx([0.0])


def test_the_penalty_is_the_one_under_which_the_other_part_loses_least() -> None:
    told = [point(closing=1.0, sound=1.0)] * 5 + [point(500, closing=-1.0, sound=-1.0)] * 5
    opposite = [point(closing=-1.0, sound=-1.0), point(500, closing=1.0, sound=1.0)]
    assert {fit_all(told, told).words.penalty, fit_all(told, told).sound.penalty} == {0.3}
    assert {fit_all(told, opposite).words.penalty, fit_all(told, opposite).sound.penalty} == {30.0}


def test_constants_are_printed_as_they_stand_in_the_code() -> None:
    nothing = Fit(np.zeros(2), 1.0)
    words = Fit(np.array([completeness._WEIGHTS[name] for name in NAMES]), 1.0)
    of_constant, of_words, of_sound = completeness._SOUND
    both = Fit(np.array([of_words, of_sound, of_constant]), 1.0)
    constant, of_read_words, of_reading = completeness._READING
    read = Fit(np.array([of_read_words, of_reading, constant]), 1.0)
    of_constant, of_read, of_sound = completeness._READ_SOUND
    heard = Fit(np.array([of_read, of_sound, of_constant]), 1.0)
    fits = Fits(nothing, nothing, words, both, read, heard)
    printed: dict[str, object] = {}
    exec("\n".join(constants(fits)), printed)
    assert printed["_WEIGHTS"] == completeness._WEIGHTS
    assert printed["_SOUND"] == completeness._SOUND
    assert printed["_READING"] == completeness._READING
    assert printed["_READ_SOUND"] == completeness._READ_SOUND
