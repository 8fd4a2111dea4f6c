"""Greedy decoding with a draft: the tokens that the decoder would choose one by one, in fewer passes.

The tokens of a draft are verified in one pass, up to the first that the decoder would not have chosen. A row
of a pass does not depend on the rows beside it, so a draft changes the time and nothing else.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import exp
from statistics import fmean
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from asr.moonshine.config import BOS, EOS
from asr.moonshine.text_decoder import DecoderState, Step, TextDecoder

Array = NDArray[np.float32]
_NONE = np.zeros(0, np.int64)
_NOTHING = np.zeros(0, np.float32)

TOKENS_PER_SECOND = 6.5  # the authors' bound on how much can be said, against endless repetition
_LONGEST_PHRASE = 24  # tokens, of those that are looked for twice
_SHORTEST_PHRASE = 3
_LATER = 0.8  # of the length of a phrase: by so much later it is, if it is said twice
_OTHER = 2  # tokens behind a repetition that are none of it, as a mark and a word: who invents one ends there
_LOOP = 32  # repeated tokens after which a decoder will not stop by itself


class Row(NamedTuple):
    """How sure the decoder was of a token, and which frames it attended to when it chose it."""

    log_prob: float
    attention: Array  # [frames]
    watched: Array = _NOTHING  # [watched], log-probabilities of the tokens asked about

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
    doubtful: int = 0  # tokens at the end that repeat those before them, and may be invented
    ended: bool = True  # by the decoder, and not by the limit or a loop
    greedy: "Decoding | None" = None  # what a reading with a phrase in it was taken for

    @property
    def confidence(self) -> float:
        """Geometric mean of the probabilities of the likeliest tokens, phrases or not; 0 of no tokens."""
        sure = [row.log_prob for row in (self.greedy or self).rows[:-1]]
        return exp(min(0.0, fmean(sure))) if sure else 0.0

    def without_repetition(self) -> "Decoding":
        """Without the doubtful tokens."""
        if not self.doubtful:
            return self
        tokens, rows = self.tokens[: -self.doubtful], self.rows[: -self.doubtful]
        return replace(self, tokens=tokens, rows=rows, accepted=min(self.accepted, len(tokens)), doubtful=0)


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
    watched: NDArray[np.int64] = _NONE,
) -> Decoding:
    """Decode the frames of `state` from the first token on; the first `forced` tokens of `draft` stay.

    `known` are the peaks of the rows that chose the first of them, at most all: these rows are not wanted
    again. The other rows tell of the tokens `watched` [n], too. A phrase at the end that is said again at the
    frames of the first time is doubtful.
    """
    draft = tuple(draft[: max(limit, forced)])
    decoder.truncate(state, 0)
    step = _pass(decoder, state, [BOS, *draft], len(known), watched)
    accepted = forced + _agreement(step.best[forced - len(known) :], draft[forced:])
    following = int(step.best[accepted - len(known)])
    rows = _rows(step)[: accepted - len(known) + 1]
    peaks = [*known, *(row.peak for row in rows)]
    tokens, guard = list(draft[:forced]), _Guard(forced)
    ahead = deque(draft[forced:accepted])
    decoder.truncate(state, 1 + accepted)
    while ahead or (following != EOS and len(tokens) < limit):
        tokens.append(ahead.popleft() if ahead else following)
        if guard.push(tokens, peaks[: len(tokens)]):
            tokens.pop()  # there is no row behind it
            break
        if len(tokens) > accepted:
            step = _pass(decoder, state, [following], 0, watched)
            rows += _rows(step)
            peaks.append(rows[-1].peak)
            following = int(step.best[0])
    ended = following == EOS and not guard.loops
    rows = rows[: len(tokens) - len(known) + 1]
    return Decoding(tuple(tokens), tuple(rows), min(accepted, len(tokens)), guard.doubtful(tokens), ended)


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


class _Guard:
    """Remembers where a doubtful repetition began, until the reading goes on with something else."""

    def __init__(self, forced: int) -> None:
        self._forced, self._begin, self._period = forced, 0, 0
        self._repeats = self._other = 0  # tokens since, and of them the last that repeat nothing

    @property
    def loops(self) -> bool:
        """Whether the decoder is caught in it."""
        return self._repeats >= _LOOP

    def push(self, tokens: Sequence[int], peaks: Sequence[int]) -> bool:
        """Look at `tokens`, one more than before, and the peaks; whether the decoder is caught in a loop."""
        if self._period:
            repeats = tokens[-1] == tokens[-1 - self._period]
            self._repeats, self._other = self._repeats + repeats, 0 if repeats else self._other + 1
            if self._other < _OTHER:
                return self.loops
            self._period = 0
        if (length := repeated(tokens, peaks)) and len(tokens) > self._forced:
            self._period, self._begin = length, max(self._forced, len(tokens) - length)
            self._repeats = self._other = 0
        return False

    def doubtful(self, tokens: Sequence[int]) -> int:
        """How many of `tokens`, at their end."""
        return len(tokens) - self._begin if self._period else 0


def _pass(
    decoder: TextDecoder,
    state: DecoderState,
    tokens: Sequence[int],
    rows_from: int,
    watched: NDArray[np.int64],
) -> Step:
    if len(watched):
        return decoder.decode(state, tokens, rows_from, watched)
    return decoder.decode(state, tokens, rows_from)


def _rows(step: Step) -> list[Row]:
    watched = step.watched if len(step.watched) else [_NOTHING] * len(step.best)
    return [
        Row(float(p), where, of_watched)
        for p, where, of_watched in zip(step.log_prob, step.attention, watched, strict=True)
    ]


def _agreement(best: NDArray[np.int64], draft: Sequence[int]) -> int:
    """How many tokens of `draft` the model would have chosen itself, up to where it would have ended."""
    for count, token in enumerate(draft):
        if best[count] != token or token == EOS:
            return count
    return len(draft)
