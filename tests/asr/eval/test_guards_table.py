"""What guards lose of a clip: by hand, and what a scripted recognizer reads without guards."""

import numpy as np
import pytest
from scripted_recognizer import VOCABULARY, Decoder, Full, Stream, pause, text, voice

from asr.eval.guards import TEXTS, Kept, kept, unguarded
from asr.recognizer import Recognizer


@pytest.mark.parametrize(
    ("reference", "without", "guarded", "words", "right", "lost"),
    [
        ("Nine nine nine nine, call them now.", "9999, call them now.", "99", 7, 7, "99 call them now"),
        ("Yes, yes, yes.", "Yes, yes, yes.", "Yes yes yes", 3, 3, ""),
        ("Yes, yes, yes.", "Yes yes.", "Yes yes.", 3, 2, ""),  # the third was never read
        ("Stop.", "Star beef.", "", 1, 0, ""),
        ("Stop.", "Stop.", "", 1, 1, "stop"),
        ("Go home.", "Go home.", "Go Rome.", 2, 2, ""),  # misread, and not lost
        ("It is far, far away.", "It is far, far away.", "It is far,", 5, 5, "far away"),
    ],
)
def test_lost_is_what_was_read_and_is_gone(
    reference: str, without: str, guarded: str, words: int, right: int, lost: str
) -> None:
    found = kept(reference, without, guarded)
    assert (found.words, found.unguarded) == (words, right)
    pieces = [piece for word in lost.split() for piece in (word if word.isdigit() else [word])]
    assert sorted(found.lost) == sorted(pieces)


def test_without_guards_all_is_read() -> None:
    models = Recognizer(Stream(), Full(), Decoder(), VOCABULARY)  # type: ignore[arg-type]
    said = [16, 24, 32] * 4
    audio = np.concatenate([pause(0.3), voice(said, 0.3), pause(0.5)])
    assert unguarded(models, audio) == text(said)
    assert kept("a", "a", "a") == Kept(1, 1, ())


def test_each_kind_has_twenty_texts() -> None:
    assert [len(set(texts)) for texts in TEXTS.values()] == [20, 20, 20]
