"""Greedy reading with a draft: what the decoder would have read token by token, in fewer passes.

The tokens of a draft are verified in one pass, up to the first that the decoder would not have chosen. A row
of a pass does not depend on the rows beside it, so a draft changes the time and nothing else.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from asr.moonshine.config import BOS, EOS
from asr.moonshine.text_decoder import DecoderState, Step

TOKENS_PER_SECOND = 6.5  # the authors' bound on how much can be said, against endless repetition
_LONGEST_PHRASE = 24  # tokens, of those that are looked for twice
_SHORTEST_PHRASE = 3
_LATER = 0.8  # of the length of a phrase: by so much it is heard later, if it is said twice


class Decoder(Protocol):
    """What reads tokens; see `asr.moonshine.text_decoder`."""

    def read(self, state: DecoderState, tokens: Sequence[int], rows_from: int = 0) -> Step: ...  # noqa: D102
    def truncate(self, state: DecoderState, positions: int) -> None: ...  # noqa: D102


class Row(NamedTuple):
    """How sure the decoder was of a token, and where it listened while it chose it."""

    log_prob: float
    attention: NDArray[np.float32]  # [frames]

    @property
    def peak(self) -> int:
        """The frame that it listened to most."""
        return int(self.attention.argmax())


@dataclass(frozen=True)
class Reading:
    """Tokens without the first and the last; the rows that chose those without a known row, and the end."""

    tokens: tuple[int, ...]
    rows: tuple[Row, ...]  # one more than there are such tokens
    accepted: int  # tokens of the draft, the forced ones included


def token_limit(seconds: float) -> int:
    """The most tokens that are read of so much audio."""
    return int(seconds * TOKENS_PER_SECOND) + 4


def read(
    decoder: Decoder,
    state: DecoderState,
    draft: Sequence[int],
    limit: int,
    forced: int = 0,
    known: Sequence[int] = (),
) -> Reading:
    """Read what `state` has heard, from the first token on; the first `forced` tokens of `draft` stay.

    `known` are the peaks of the rows that chose the first of them, at most all: these rows are not wanted
    again. A phrase that is read again where it was heard the first time ends the reading before it.
    """
    draft = tuple(draft[: max(limit, forced)])
    decoder.truncate(state, 0)
    step = decoder.read(state, [BOS, *draft], len(known))
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
        step = decoder.read(state, [following])
        rows += _rows(step)
        peaks.append(rows[-1].peak)
        following = int(step.best[0])
    return Reading(tuple(tokens), tuple(rows[: len(tokens) - len(known) + 1]), min(accepted, len(tokens)))


def repeated(tokens: Sequence[int], peaks: Sequence[int]) -> int:
    """How many tokens at the end say again what stands before them, heard at the same place; 0 if none.

    `peaks` are the frames that were listened to while each of `tokens` was chosen: where the one before it
    ends. Who really says a phrase twice needs as long for it the second time: what is made up is heard where
    the first was, or all in the silence behind it.
    """
    for length in range(_SHORTEST_PHRASE, min(_LONGEST_PHRASE, len(tokens) // 2) + 1):
        if tokens[-length:] != tokens[-2 * length : -length]:
            continue
        first, second = peaks[1 - 2 * length : 1 - length], peaks[1 - length :]
        if np.median(second) - np.median(first) <= _LATER * (max(first) - min(first)):
            return length
    return 0


def _before_repetition(tokens: Sequence[int], peaks: Sequence[int], forced: int) -> int:
    """How many of `tokens` reading them one by one would have kept."""
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
