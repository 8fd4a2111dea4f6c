"""Choosing the next token from the model's logits."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, isfinite

import numpy as np
from numpy.typing import NDArray

Logits = NDArray[np.float32]


class BrokenLogits(ValueError):  # noqa: N818  # the logits are at fault, not the call
    """Logits that no token can be chosen by: the largest is NaN or infinite."""

    def __init__(self, top: float, vocabulary: int) -> None:
        super().__init__(f"the largest of {vocabulary} logits is {top}: the model or its file is broken")
        self.top, self.vocabulary = top, vocabulary


@dataclass(frozen=True)
class Sampling:
    """How to choose. `temperature` 0 is greedy; the filters apply in the order they are listed."""

    repetition_penalty: float = 1.0
    temperature: float = 0.0
    top_p: float = 1.0
    min_p: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        if not (0 <= self.temperature < inf and 0 < self.top_p <= 1 and 0 <= self.min_p < 1):
            raise ValueError(f"temperature >= 0, 0 < top_p <= 1 and 0 <= min_p < 1 must hold: {self}")
        if not 0 < self.repetition_penalty < inf:
            raise ValueError(f"repetition_penalty must be positive: {self}")
        if self.seed < 0:
            raise ValueError(f"seed must not be negative: {self}")


class Sampler:
    """Draws tokens of one reply; the same seed and logits give the same tokens."""

    def __init__(self, sampling: Sampling) -> None:
        self._sampling = sampling
        self._random = np.random.default_rng(sampling.seed)

    def choose(self, logits: Logits, seen: Sequence[int]) -> int:
        """The next token from `logits` [vocabulary], given the tokens `seen` before it.

        Raises BrokenLogits.
        """
        penalty = self._sampling.repetition_penalty
        if self._sampling.temperature == 0:
            best = likeliest(logits)
            if penalty >= 1.0 and best not in seen:  # nothing overtakes it: no need to copy the logits
                return best
            return likeliest(penalize(logits, seen, penalty))
        up_to = distribution(penalize(logits, seen, penalty), self._sampling).cumsum()
        return int(np.searchsorted(up_to, self._random.random() * up_to[-1], side="right"))


def likeliest(logits: Logits) -> int:
    """The first of the tokens with the largest logit. Raises BrokenLogits."""
    best = int(logits.argmax())  # of a NaN, if there is one
    if not isfinite(logits[best]):
        raise BrokenLogits(float(logits[best]), len(logits))
    return best


def without(logits: Logits, tokens: Sequence[int]) -> Logits:
    """`logits` [vocabulary] by which none of `tokens` is chosen."""
    if not len(tokens):
        return logits
    logits = logits.copy()
    logits[list(tokens)] = logits.min()
    return logits


def penalize(logits: Logits, seen: Sequence[int], penalty: float) -> Logits:
    """Divide positive and multiply negative logits of the tokens `seen` (CTRL, Keskar et al. 2019)."""
    if penalty == 1.0 or not seen:
        return logits
    logits = logits.copy()
    ids = np.asarray(seen)  # a token seen twice is written twice, with the same value
    values = logits[ids]
    logits[ids] = np.where(values > 0, values / penalty, values * penalty)
    return logits


def distribution(logits: Logits, sampling: Sampling) -> NDArray[np.float64]:
    """Probabilities [vocabulary] after temperature, nucleus (top-p) and min-p filtering.

    Raises BrokenLogits.
    """
    below = logits.astype(np.float64) - logits[likeliest(logits)]
    with np.errstate(over="ignore"):  # -inf at a tiny temperature: the probability is 0
        p = np.exp(below / sampling.temperature)
    p /= p.sum()
    p = _nucleus(p, sampling.top_p)
    p[p < sampling.min_p * p.max()] = 0.0
    filtered: NDArray[np.float64] = p / p.sum()
    return filtered


def _nucleus(p: NDArray[np.float64], top_p: float) -> NDArray[np.float64]:
    """Keep the smallest set of likeliest tokens whose mass reaches `top_p` (Holtzman et al. 2020)."""
    if top_p >= 1.0:
        return p
    # All tokens less likely than this have less than 1 - top_p together: sorting the others is enough.
    candidates = np.flatnonzero(p >= (1.0 - top_p) / len(p))
    order = candidates[np.argsort(-p[candidates], kind="stable")]
    before = p[order].cumsum() - p[order]
    kept = np.zeros_like(p)
    keep = order[before < top_p]
    kept[keep] = p[keep]
    return kept
