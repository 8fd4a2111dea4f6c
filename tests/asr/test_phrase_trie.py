"""Phrases as token sequences, and what a reading gains by them."""

import pytest

from asr.phrases import Phrases

PIECES = [
    "\u2581",
    *"abcdefghijklmnopqrstuvwxyzS.",
    "\u2581s",
    "\u2581S",
    "op",
    "\u2581st",
    "\u2581stop",
    "it",
    "\u2581it",
]
VOCABULARY = [b"", b"<s>", b"</s>", *(piece.encode() for piece in PIECES)]
ID = {piece: token for token, piece in enumerate(VOCABULARY)}


def ids(*pieces: str) -> list[int]:
    return [ID[piece.encode()] for piece in pieces]


STOP, IT = ids("\u2581st", "op"), ids("\u2581it")


def phrases(*texts: str) -> Phrases:
    return Phrases(texts, VOCABULARY, 2.0)


def test_pieces_are_joined_in_the_order_in_which_they_were_learned() -> None:
    """ "op" and "_st" come before "_stop", as in the model's own readings."""
    found = phrases("stop")
    (first, node), *_ = [(t, n) for t, n in found.root.children.items() if VOCABULARY[t] != b"\xe2\x96\x81S"]
    assert VOCABULARY[first].decode() == "\u2581stop"
    assert node.ends


def test_a_phrase_may_begin_with_a_capital() -> None:
    assert {VOCABULARY[t].decode() for t in phrases("stop").root.children} == {"\u2581stop", "\u2581S"}


@pytest.mark.parametrize(
    ("pieces", "found"),
    [
        (["\u2581stop"], 1),
        (["\u2581stop", "."], 1),
        (["\u2581stop", "it"], 0),  # "stopit" is another word
        (["\u2581stop", "\u2581it"], 1),  # the longest phrase counts, once
        (["\u2581stop", "\u2581it", "\u2581stop"], 1),  # nor behind a word
        (["\u2581stop", "\u2581it", ".", "\u2581stop"], 2),
        (["\u2581s", "\u2581stop", "\u2581it"], 1),  # as one of several does
        (["\u2581stop", "\u2581s"], 0),  # a single word counts only before a mark or the end
        (["\u2581stop", ".", "\u2581s"], 1),
        (["\u2581it"], 0),
        (["op"], 0),
        ([], 0),
    ],
)
def test_phrases_of_whole_words_are_counted(pieces: list[str], found: int) -> None:
    assert phrases("stop", "stop it").count(ids(*pieces)) == found


def test_what_the_vocabulary_cannot_spell_is_left_out() -> None:
    found = phrases("\u00e9t\u00e9", "", "  ")
    assert not found.root.children
    assert not len(found.column)
