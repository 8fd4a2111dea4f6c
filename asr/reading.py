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


class Decoder(Protocol):
    """What reads tokens; see `asr.moonshine.text_decoder`."""

    def read(self, state: DecoderState, tokens: Sequence[int], rows_from: int = 0) -> Step: ...  # noqa: D102
    def truncate(self, state: DecoderState, positions: int) -> None: ...  # noqa: D102


class Row(NamedTuple):
    """How sure the decoder was of a token, and where it listened while it chose it."""

    log_prob: float
    attention: NDArray[np.float32]  # [frames]


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
    decoder: Decoder, state: DecoderState, draft: Sequence[int], limit: int, forced: int = 0, known: int = 0
) -> Reading:
    """Read what `state` has heard, from the first token on; the first `forced` tokens of `draft` stay.

    Of the first `known` of them, at most all, no rows are wanted. A phrase that is read again where it was
    heard the first time ends the reading before it.
    """
    draft = tuple(draft[: max(limit, forced)])
    decoder.truncate(state, 0)
    step = decoder.read(state, [BOS, *draft], known)
    accepted = forced + _agreement(step.best[forced - known :], draft[forced:])
    rows = [Row(float(p), where) for p, where in zip(step.log_prob, step.attention, strict=True)]
    rows = rows[: accepted - known + 1]
    decoder.truncate(state, 1 + accepted)
    tokens = list(draft[:accepted])
    following = int(step.best[accepted - known])
    while following != EOS and len(tokens) < limit:
        tokens.append(following)
        if again := repeated(tokens[known:], [int(row.attention.argmax()) for row in rows]):
            del tokens[-again:]
            break
        step = decoder.read(state, [following])
        rows.append(Row(float(step.log_prob[0]), step.attention[0]))
        following = int(step.best[0])
    return Reading(tuple(tokens), tuple(rows[: len(tokens) - known + 1]), accepted)


def repeated(tokens: Sequence[int], peaks: Sequence[int]) -> int:
    """How many tokens at the end say again what stands before them, heard at the same place; 0 if none.

    `peaks` are the frames that each of `tokens` was read at. Who really says a phrase twice says it later the
    second time.
    """
    for length in range(_SHORTEST_PHRASE, min(_LONGEST_PHRASE, len(tokens) // 2) + 1):
        if tokens[-length:] != tokens[-2 * length : -length]:
            continue
        first, second = peaks[-2 * length : -length], peaks[-length:]
        if np.median(second) <= max(first):
            return length
    return 0


def _agreement(best: NDArray[np.int64], draft: Sequence[int]) -> int:
    """How many tokens of `draft` the model would have chosen itself, up to where it would have ended."""
    for count, token in enumerate(draft):
        if best[count] != token or token == EOS:
            return count
    return len(draft)
