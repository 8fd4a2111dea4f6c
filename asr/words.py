"""What speech recognition gives: words with times and confidences, and hypotheses made of them."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from asr.ending import Ending


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
    """A transcript of an utterance. `accepted` counts the draft tokens that it begins with.

    `unrepeated` is what is left of it without a repetition at its end that may be invented, if there is one.
    """

    text: str
    tokens: tuple[int, ...]
    accepted: int
    words: tuple[Word, ...] = ()
    confidence: float = 0.0
    """Geometric mean of the probabilities of the likeliest tokens: how sure it is that this was said, or
    what one of the expected phrases was said in place of."""
    unrepeated: "Hypothesis | None" = None
    ending: "Ending | None" = None

    @property
    def letters(self) -> int:
        """Letters and digits of the text."""
        return sum(map(str.isalnum, self.text))
