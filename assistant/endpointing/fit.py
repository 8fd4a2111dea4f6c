"""Logistic regression on the points of turns: which weights tell ends from pauses."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from assistant.endpointing.points import Point
from assistant.session.completeness import features

NAMES = tuple(features("", None))
"""Of the columns of the words; the last is constant."""
LEAST_MS = 200
"""Shorter pauses are left out: they are over before a decision, or are gaps of the detector."""
_PENALTIES = (0.3, 1.0, 3.0, 10.0, 30.0)
_STEPS, _DONE = 50, 1e-10
_DIGITS = 2  # of the weights in the code

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Fit:
    """Weights [k] of columns, the last of which is constant, and the penalty that was chosen."""

    weights: Array
    penalty: float


@dataclass(frozen=True)
class Fits:
    """All that is compared."""

    closing: Fit
    sound: Fit
    words: Fit
    both: Fit
    """Of the words' log-odds and the sound."""
    read: Fit
    """Of the words' log-odds and the language model's that the sentence closes."""
    heard: Fit
    """Of the log-odds by both and the sound."""

    def log_odds(self, points: Sequence[Point]) -> dict[str, Array]:
        """Log-odds [n] that `points` are ends, by each."""
        return {
            "Smart Turn": _sound(points) @ self.sound.weights,
            "closing mark": _closing(points) @ self.closing.weights,
            "words": _words(points) @ self.words.weights,
            "words and sound": _both(points, self.words) @ self.both.weights,
            "words and reading": _read(points, self.words) @ self.read.weights,
            "all three": _heard(points, self.words, self.read) @ self.heard.weights,
        }


def fit_all(fit: Sequence[Point], choose: Sequence[Point]) -> Fits:
    """Weights by `fit`, with the penalties under which the log loss on `choose` is least."""
    ends, others = are_ends(fit), are_ends(choose)
    words = _best(_words(fit), ends, _words(choose), others)
    read = _best(_read(fit, words), ends, _read(choose, words), others)
    return Fits(
        closing=_best(_closing(fit), ends, _closing(choose), others),
        sound=_best(_sound(fit), ends, _sound(choose), others),
        words=words,
        both=_best(_both(fit, words), ends, _both(choose, words), others),
        read=read,
        heard=_best(_heard(fit, words, read), ends, _heard(choose, words, read), others),
    )


def are_ends(points: Sequence[Point]) -> Array:
    """1 for each end, 0 for each pause, [n]."""
    return np.array([point.is_end for point in points], np.float64)


def counted(points: Sequence[Point]) -> list[Point]:
    """The points without the shortest pauses."""
    return [point for point in points if point.lasts_ms >= LEAST_MS]


def logistic(columns: Array, ends: Array, penalty: float) -> Array:
    """The weights [k] of `columns` [n, k] under which `ends` [n] are likeliest (Newton's method).

    Half of `penalty` times the square of each weight is taken off the log-likelihood, where columns have a
    standard deviation of 1. The last column is constant, and its weight is free.
    """
    mean, deviation = columns.mean(axis=0), columns.std(axis=0)
    mean[-1], deviation[-1] = 0.0, 1.0
    deviation[deviation == 0] = 1.0
    scaled = (columns - mean) / deviation
    penalties = np.full(len(mean), penalty)
    penalties[-1] = 0.0
    weights = np.zeros(len(mean))
    for _ in range(_STEPS):
        likely = 1 / (1 + np.exp(-scaled @ weights))
        gradient = scaled.T @ (likely - ends) + penalties * weights
        curvature = (scaled * (likely * (1 - likely))[:, None]).T @ scaled + np.diag(penalties)
        change = np.linalg.solve(curvature, gradient)
        weights -= change
        if np.abs(change).max() < _DONE:
            break
    weights /= deviation
    weights[-1] -= weights @ mean
    return weights


def log_loss(log_odds: Array, ends: Array) -> float:
    """Nats a point, [n] each."""
    return float(np.logaddexp(0, np.where(ends == 1, -log_odds, log_odds)).mean())


def _best(columns: Array, ends: Array, others: Array, their_ends: Array) -> Fit:
    tried = [Fit(np.round(logistic(columns, ends, penalty), _DIGITS), penalty) for penalty in _PENALTIES]
    return min(tried, key=lambda fit: log_loss(others @ fit.weights, their_ends))


def _words(points: Sequence[Point]) -> Array:
    return np.array([point.silence.features for point in points])


def _closing(points: Sequence[Point]) -> Array:
    return _words(points)[:, [NAMES.index("closing"), -1]]


def _sound(points: Sequence[Point]) -> Array:
    return np.array([[point.silence.sound, 1.0] for point in points])


def _both(points: Sequence[Point], words: Fit) -> Array:
    return np.column_stack([_words(points) @ words.weights, _sound(points)])


def _read(points: Sequence[Point], words: Fit) -> Array:
    readings = np.array([[point.silence.reading, 1.0] for point in points])
    return np.column_stack([_words(points) @ words.weights, readings])


def _heard(points: Sequence[Point], words: Fit, read: Fit) -> Array:
    return np.column_stack([_read(points, words) @ read.weights, _sound(points)])
