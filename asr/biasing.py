"""Contextual biasing: another reading where a phrase that is likely to be said sounds nearly as likely.

Shallow fusion over a trie of tokens (Zhao et al. 2019), with the bonus given to whole readings and not to
tokens. A phrase is tried where it leaves the greedy reading: at a token that is at most `_WINDOW` nats less
likely than the one that was chosen. What follows the phrase is decoded greedily, and the reading with the
larger log-probability, bonuses included, stays. A phrase that was only begun gains nothing, and confidences
are those of the audio alone, so that words that noise seems to say are still unsure.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice
from typing import NamedTuple

from asr.decode import Decoding, Row, decode
from asr.moonshine.config import EOS
from asr.moonshine.text_decoder import DecoderState, TextDecoder
from asr.phrases import Node, Phrases

_WINDOW = 4.0
_TRIED = 3  # readings at most beside the greedy one
_LONGER = 3  # letters that a phrase may have more than what it is taken for: else clicks become "Thank you"


class _Branch(NamedTuple):
    """Where a phrase leaves the reading: the place, the token there, what may follow, the loss in nats."""

    at: int
    token: int
    node: Node
    loss: float


def biased(
    decoder: TextDecoder,
    state: DecoderState,
    reading: Decoding,
    phrases: Phrases,
    limit: int,
    forced: int = 0,
    known: Sequence[int] = (),
) -> Decoding:
    """The better of `reading` and those with a phrase in it; `reading` was decoded with `phrases.watched`.

    The first `forced` tokens stay, and the rows that chose the first `len(known)` of them are not wanted.
    """
    if not (reading.ended and reading.tokens):
        return reading
    room = phrases.letters(reading.tokens) + _LONGER
    best, most = reading, _score(reading, phrases)
    branches = sorted(_branches(reading, phrases, max(forced, len(known)), len(known)), key=lambda b: b.loss)
    for branch in islice(branches, _TRIED):
        found = _follow(decoder, state, reading, branch, phrases, limit, known)
        if found is None or not found.ended or phrases.count(found.tokens) <= phrases.count(reading.tokens):
            continue  # letters may have gone on behind the phrase: it is another word
        if phrases.letters(found.tokens) > room:
            continue
        if (score := _score(found, phrases)) > most:
            best, most = replace(found, greedy=reading), score
    return best


def _score(reading: Decoding, phrases: Phrases) -> float:
    return sum(row.log_prob for row in reading.rows) + phrases.bonus * phrases.count(reading.tokens)


def _branches(reading: Decoding, phrases: Phrases, first: int, known: int) -> Iterator[_Branch]:
    """Where a phrase leaves the reading at token `first` or later; `known` rows are not there."""
    tokens = (*reading.tokens, EOS)
    for start in range(len(reading.tokens)):
        node = phrases.root
        for at in range(start, len(tokens)):
            if at >= first and (at > start or phrases.begins_word(tokens[at])):
                row = reading.rows[at - known]
                for token, child in node.children.items():
                    loss = row.log_prob - float(row.watched[phrases.column[token]])
                    if token != tokens[at] and loss <= _WINDOW:
                        yield _Branch(at, token, child, loss)
            if tokens[at] not in node.children:
                break
            node = node.children[tokens[at]]


def _follow(
    decoder: TextDecoder,
    state: DecoderState,
    reading: Decoding,
    branch: _Branch,
    phrases: Phrases,
    limit: int,
    known: Sequence[int],
) -> Decoding | None:
    """The reading that takes the branch to the end of its phrase; None where that sounds unlikely."""
    tokens, node = [*reading.tokens[: branch.at], branch.token], branch.node
    rows = list(reading.rows[: branch.at - len(known)])
    rows.append(_chosen(reading.rows[branch.at - len(known)], branch.token, phrases))
    while node.children and len(tokens) < limit:
        passed = decode(
            decoder, state, tokens, len(tokens), len(tokens), _peaks(known, rows), phrases.watched
        )
        row = passed.rows[-1]
        token = max(node.children, key=lambda t: row.watched[phrases.column[t]])
        if row.log_prob - row.watched[phrases.column[token]] > (0 if node.ends else _WINDOW):
            break
        rows.append(_chosen(row, token, phrases))
        tokens.append(token)
        node = node.children[token]
    if not node.ends:
        return None
    found = decode(decoder, state, tokens, limit, len(tokens), _peaks(known, rows), phrases.watched)
    return replace(found, rows=(*rows, *found.rows), accepted=min(reading.accepted, branch.at))


def _peaks(known: Sequence[int], rows: Sequence[Row]) -> list[int]:
    return [*known, *(row.peak for row in rows)]


def _chosen(row: Row, token: int, phrases: Phrases) -> Row:
    """`row` for the token that was chosen in place of the likeliest."""
    return row._replace(log_prob=float(row.watched[phrases.column[token]]))
