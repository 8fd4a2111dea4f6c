"""What is passed around while speech is read: a stretch of audio, words with times, hypotheses."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Stretch:
    """Audio [n] at 16 kHz whose first sample is number `start_sample` of the stream it is cut from."""

    audio: NDArray[np.float32]
    start_sample: int = 0

    @property
    def end_sample(self) -> int:
        """The number of the sample after the last."""
        return self.start_sample + len(self.audio)


@dataclass(frozen=True)
class Word:
    """A word as it is written, with its punctuation; times count from the beginning of the utterance."""

    text: str
    start_s: float
    end_s: float
    confidence: float
    """Geometric mean of the probabilities of its tokens, in (0, 1]."""
    tokens: int = 1
    """How many tokens spell it."""
    stable: bool = False


@dataclass(frozen=True)
class Hypothesis:
    """One reading of an utterance. `accepted` counts the draft tokens that it begins with."""

    text: str
    tokens: tuple[int, ...]
    accepted: int
    words: tuple[Word, ...] = ()
