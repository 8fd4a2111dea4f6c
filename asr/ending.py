"""How a reading ends: which marks the decoder would put behind its last word.

A decoder that learned to punctuate has heard how phrases that go on differ from those that do not, so these
logits tell pauses from ends better than the language model's, which only reads.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from asr.decode import Row

_CLOSING = (".", "?", "!")
_GOING_ON = (",", ";", "-", "...")
_MARKS = frozenset(".?!,;:-\u2013\u2014\u2026\"'\u201d\u2019)\u2581 ")
_UNMARKED = np.log(0.001)  # a decoder that puts marks so rarely tells nothing by that


@dataclass(frozen=True)
class Ending:
    """Log-probabilities that a mark behind the last word closes the sentence, or goes on with it."""

    closing: float
    going_on: float


class Marks:
    """The marks of a vocabulary."""

    def __init__(self, vocabulary: Sequence[bytes]) -> None:
        ids = {piece: token for token, piece in enumerate(vocabulary)}
        closing, going_on = (
            [ids[mark.encode()] for mark in marks if mark.encode() in ids] for marks in (_CLOSING, _GOING_ON)
        )
        self.watched = np.array([*closing, *going_on], np.int64)
        """Tokens that a row has to tell of, as the last that it tells of."""
        self._closing = len(closing)
        self._silent = frozenset(
            token for piece, token in ids.items() if piece and set(piece.decode(errors="replace")) <= _MARKS
        )

    def ending(self, tokens: Sequence[int], rows: Sequence[Row]) -> Ending | None:
        """How `tokens` end, by the rows that chose the last of them; None without a word or marks."""
        words = len(tokens)
        while words and tokens[words - 1] in self._silent:
            words -= 1
        behind = rows[len(rows) - 1 - (len(tokens) - words) :]  # quotes may come before the mark
        if not words or not 0 < self._closing < len(self.watched) or len(behind) <= len(tokens) - words:
            return None
        told = np.stack([row.watched[-len(self.watched) :] for row in behind])  # [rows, marks]
        found = Ending(_likeliest(told[:, : self._closing]), _likeliest(told[:, self._closing :]))
        return found if np.logaddexp(found.closing, found.going_on) >= _UNMARKED else None


def _likeliest(log_probs: np.ndarray[tuple[int, int], np.dtype[np.float32]]) -> float:
    """The largest log-probability of any of the marks, of all rows."""
    return float(np.logaddexp.reduce(log_probs, axis=1).max())
