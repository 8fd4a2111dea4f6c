"""Sentences that nobody said: hand-made cases, and that what was said is never one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr.eval.hallucinations import hallucinations, repetitions

SAID = "Turn on the light in the kitchen."
HALLUCINATED = [
    (SAID, SAID, []),
    (SAID, "turn on the lights in kitchen", []),
    (SAID, "turn on the light in the kitchen please do it", []),  # three words more
    (SAID, "turn on the light in the kitchen thanks for watching everyone", ["thanks for watching everyone"]),
    (SAID, "well as I said before turn on the light in the kitchen", ["well as i said before"]),
    ("Stop.", "I do not know what", ["i do not know what"]),  # five for one
    ("Stop.", "I do not know", []),  # four for one: three too many
    ("", "thank you very much", ["thank you very much"]),
    ("", "thank you", []),
    (SAID, "", []),
    # Misheard, not hallucinated: as many words as were said.
    ("turn on the light", "burn all of night", []),
    # An alignment may call any of the six the misheard "stop", and so part the five that are too many.
    ("please stop now", "please a b c d e f now", ["a b c d e f"]),
    # Another spelling of what was said.
    ("It costs $84.", "it costs eighty four dollars", []),
]
REPEATED = [
    (SAID, SAID, []),
    ("the cat sat", "the cat sat the cat sat", ["the cat sat"]),
    ("the cat sat", "The cat sat. The cat sat, the cat sat!", ["the cat sat"]),  # however often
    ("the cat sat", "so the cat sat the cat sat down a b c d a b c d", ["the cat sat", "a b c d"]),
    ("the cat sat, the cat sat", "the cat sat the cat sat", []),  # it was said so
    ("no no", "no no", []),
    ("", "very very good very very", []),  # not at once
    ("bye", "bye bye bye bye bye bye", ["bye bye bye"]),  # a loop of one word
    ("bye", "bye bye bye bye bye", []),
    ("", "a b c a b", []),
    ("", "The 20-20-20-20-20-20", ["20 20 20"]),
    ("one one one one one one", "1 1 1 1 1 1", []),
    ("don't do it, don't do it", "Don\u2019t do it. Don\u2019t do it.", []),
]


@pytest.mark.parametrize(("reference", "hypothesis", "found"), HALLUCINATED)
def test_hallucinations(reference: str, hypothesis: str, found: list[str]) -> None:
    assert hallucinations(reference, hypothesis) == found


@pytest.mark.parametrize(("reference", "hypothesis", "found"), REPEATED)
def test_repetitions(reference: str, hypothesis: str, found: list[str]) -> None:
    assert repetitions(reference, hypothesis) == found


texts = st.lists(st.sampled_from("abcde"), max_size=12).map(" ".join)


@given(texts)
def test_what_was_said_is_neither(text: str) -> None:
    assert hallucinations(text, text) == []
    assert repetitions(text, text) == []


@given(texts, texts, st.integers(4, 9))
def test_words_that_were_not_said_are_found_wherever_they_are_put_in(
    before: str, after: str, count: int
) -> None:
    added = " ".join(f"x{n}" for n in "zyxwvutsr"[:count])
    assert hallucinations(f"{before} {after}", f"{before} {added} {after}") == [added]
