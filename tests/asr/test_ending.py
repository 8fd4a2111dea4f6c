"""The marks behind the last word, read off rows that are written by hand."""

from collections.abc import Sequence
from math import log

import numpy as np
import pytest

from asr.decode import Row
from asr.ending import Ending, Marks

PIECES = ["", "\u2581stop", ".", "?", ",", '"', "\u2581it", "!", "'s"]
ID = {piece: token for token, piece in enumerate(PIECES)}
MARKS = Marks([piece.encode() for piece in PIECES])
NOTHING = np.zeros(1, np.float32)


def row(dot: float = 1e-9, asks: float = 1e-9, comma: float = 1e-9) -> Row:
    """A row by which these marks follow so probably; it told of another token before."""
    told = {".": dot, "?": asks, ",": comma}
    probabilities = [0.5, *(told.get(PIECES[token], 1e-9) for token in MARKS.watched)]
    return Row(0.0, NOTHING, np.log(np.array(probabilities)).astype(np.float32))


def ending(pieces: Sequence[str], rows: Sequence[Row]) -> Ending | None:
    return MARKS.ending([ID[piece] for piece in pieces], rows)


def test_the_row_behind_the_last_word_tells_how_it_ends() -> None:
    found = ending(["\u2581stop", "\u2581it", "."], [row(), row(), row(dot=0.5, asks=0.3, comma=0.1), row()])
    assert found is not None
    assert found.closing == pytest.approx(log(0.8), abs=1e-4) and found.going_on == pytest.approx(log(0.1))


def test_a_reading_without_a_mark_has_an_ending_as_well() -> None:
    found = ending(["\u2581it", "'s"], [row(), row(comma=0.9), row(dot=0.25)])
    assert found is not None and found.closing == pytest.approx(log(0.25), abs=1e-4)
    assert found.going_on < -9


def test_a_quote_may_come_before_the_mark() -> None:
    found = ending(["\u2581stop", '"', "."], [row(), row(dot=0.01), row(dot=0.9), row()])
    assert found is not None and found.closing == pytest.approx(log(0.9), abs=1e-4)


def test_the_rows_of_tokens_that_were_known_may_be_missing() -> None:
    found = ending(["\u2581stop", "\u2581it", "."], [row(dot=0.7), row()])
    assert found is not None and found.closing == pytest.approx(log(0.7), abs=1e-4)
    assert ending(["\u2581stop", "\u2581it", "."], [row()]) is None


@pytest.mark.parametrize("pieces", [[], ["."], [",", "."]])
def test_without_a_word_there_is_no_ending(pieces: list[str]) -> None:
    assert ending(pieces, [row() for _ in range(len(pieces) + 1)]) is None


def test_a_decoder_that_puts_no_marks_tells_nothing_by_that() -> None:
    assert ending(["\u2581stop"], [row(), row(dot=0.0004, comma=0.0004)]) is None
    assert ending(["\u2581stop"], [row(), row(dot=0.0004, comma=0.01)]) is not None


def test_a_vocabulary_without_marks_tells_nothing() -> None:
    marks = Marks([b"", "\u2581stop".encode()])
    assert not len(marks.watched)
    assert marks.ending([1], [row(), row()]) is None
