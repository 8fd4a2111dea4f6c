"""Greedy decoding with a draft: the tokens that the decoder would choose one by one, in fewer passes.

The tokens of a draft are verified in one pass, up to the first that the decoder would not have chosen. A row
of a pass does not depend on the rows beside it, so a draft changes the time and nothing else.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from asr.moonshine.config import BOS, EOS
from asr.moonshine.text_decoder import DecoderState, Step, TextDecoder

Array = NDArray[np.float32]

TOKENS_PER_SECOND = 6.5  # the authors' bound on how much can be said, against endless repetition
_LONGEST_PHRASE = 24  # tokens, of those that are looked for twice
_SHORTEST_PHRASE = 3
_LATER = 0.8  # of the length of a phrase: by so much later it is, if it is said twice


class Row(NamedTuple):
    """How sure the decoder was of a token, and which frames it attended to when it chose it."""

    log_prob: float
    attention: Array  # [frames]

    @property
    def peak(self) -> int:
        """The frame with the most attention."""
        return int(self.attention.argmax())


@dataclass(frozen=True)
class Decoding:
    """Tokens without the first and the last; the rows that chose those without a known row, and the end."""

    tokens: tuple[int, ...]
    rows: tuple[Row, ...]  # one more than there are such tokens
    accepted: int  # tokens of the draft, the forced ones included


def token_limit(seconds: float) -> int:
    """The most tokens that so much audio is given."""
    return int(seconds * TOKENS_PER_SECOND) + 4


def decode(
    decoder: TextDecoder,
    state: DecoderState,
    draft: Sequence[int],
    limit: int,
    forced: int = 0,
    known: Sequence[int] = (),
) -> Decoding:
    """Decode the frames of `state` from the first token on; the first `forced` tokens of `draft` stay.

    `known` are the peaks of the rows that chose the first of them, at most all: these rows are not wanted
    again. A phrase that is said again at the frames of the first time ends the text before it.
    """
    draft = tuple(draft[: max(limit, forced)])
    decoder.truncate(state, 0)
    step = decoder.decode(state, [BOS, *draft], len(known))
    accepted = forced + _agreement(step.best[forced - len(known) :], draft[forced:])
    following = int(step.best[accepted - len(known)])
    rows = _rows(step)[: accepted - len(known) + 1]
    peaks = [*known, *(row.peak for row in rows)]
    kept = _before_repetition(draft[:accepted], peaks, forced)
    tokens = list(draft[:kept])
    decoder.truncate(state, 1 + kept)
    while kept == accepted and following != EOS and len(tokens) < limit:
        tokens.append(following)
        if again := repeated(tokens, peaks):
            del tokens[max(forced, len(tokens) - again) :]
            break
        step = decoder.decode(state, [following])
        rows += _rows(step)
        peaks.append(rows[-1].peak)
        following = int(step.best[0])
    return Decoding(tuple(tokens), tuple(rows[: len(tokens) - len(known) + 1]), min(accepted, len(tokens)))


def repeated(tokens: Sequence[int], peaks: Sequence[int]) -> int:
    """How many tokens at the end repeat those before them at the same place in the audio; 0 if none.

    `peaks` are the frames with the most attention while each of `tokens` was chosen: where the one before it
    ends. Who really says a phrase twice needs as long for it the second time; a hallucinated repetition is
    placed where the first was, or all in the silence behind it.
    """
    for length in range(_SHORTEST_PHRASE, min(_LONGEST_PHRASE, len(tokens) // 2) + 1):
        if tokens[-length:] != tokens[-2 * length : -length]:
            continue
        first, second = peaks[1 - 2 * length : 1 - length], peaks[1 - length :]
        if np.median(second) - np.median(first) <= _LATER * (max(first) - min(first)):
            return length
    return 0


def _before_repetition(tokens: Sequence[int], peaks: Sequence[int], forced: int) -> int:
    """How many of `tokens` decoding them one by one would have kept."""
    for end in range(forced + 1, len(tokens) + 1):
        if again := repeated(tokens[:end], peaks[:end]):
            return max(forced, end - again)
    return len(tokens)


def _rows(step: Step) -> list[Row]:
    return [Row(float(p), where) for p, where in zip(step.log_prob, step.attention, strict=True)]


def _agreement(best: NDArray[np.int64], draft: Sequence[int]) -> int:
    """How many tokens of `draft` the model would have chosen itself, up to where it would have ended."""
    for count, token in enumerate(draft):
        if best[count] != token or token == EOS:
            return count
    return len(draft)
