"""What is a number and what is a name, and that their errors and the others' add up to all."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr.eval.kinds import errors_by_kind, word_kinds
from asr.eval.score import WordErrors, total, word_errors

NAMES = [
    ("What is the capital of France?", "france"),
    ("Boston is cold. Is Boston wet?", "boston"),  # the second one: the first begins a sentence
    ("I think I'll call Anna's brother on Monday.", "anna monday"),
    ("Ask Dr. Smith. Then ask Mrs. Jones!", "doctor smith missus jones"),
    ('She said: "Play Mozart" (Salzburg).', "mozart"),
    ("Enter your PIN for the U.S. TV", ""),
    ("tell paris from london", ""),
    ("... Paris", ""),
    ("Will May call May?", "may may"),
    ("Call Mary-Jane Watson", "mary jane watson"),
    ("Press 1 for Sales, 2 for O'Neil", "sales neil"),
    ("", ""),
]
NUMBERS = [
    ("Set a timer for ten minutes.", "10"),
    ("Press 1, 2 or 3.", "12 3"),  # spoken digits in a row are one number to the normaliser
    ("What's fifteen percent of eighty four dollars?", "15% $84"),
    ("the first of May at six thirty", "1st 630"),
    ("press one", "one"),
    ("turn on the light", ""),
]


@pytest.mark.parametrize(("text", "names"), NAMES)
def test_names(text: str, names: str) -> None:
    assert [word for word, kind in word_kinds(text) if kind == "names"] == names.split()


@pytest.mark.parametrize(("text", "numbers"), NUMBERS)
def test_numbers(text: str, numbers: str) -> None:
    assert [word for word, kind in word_kinds(text) if kind == "numbers"] == numbers.split()


def test_errors_of_each_kind_by_hand() -> None:
    # "call" is heard as "tall", "boston" as "austin", "10" is lost, "the or 20" is put in, "7" is right.
    said, read = (
        "Please call Boston at ten and Ellen at seven",
        "please tall austin at and ellen at the 7 or 20",
    )
    found = errors_by_kind(said, read)
    assert found.names == WordErrors(1, 0, 0, 2)
    assert found.numbers == WordErrors(0, 1, 1, 2)
    assert found.others == WordErrors(1, 2, 0, 5)


tokens = st.sampled_from(
    ["Call", "Anna", "Anna's", "in", "Rome.", "at", "two", "10", "Dr.", "I'm", "...", "$5", "St."]
)


@given(st.lists(tokens, max_size=10).map(" ".join), st.lists(tokens, max_size=10).map(" ".join))
def test_the_kinds_add_up_to_all_words(reference: str, hypothesis: str) -> None:
    found = errors_by_kind(reference, hypothesis)
    assert total([found.numbers, found.names, found.others]) == word_errors(reference, hypothesis)
