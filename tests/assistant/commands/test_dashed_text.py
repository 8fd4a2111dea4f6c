"""Texts that begin with a dash are spoken, and options stay options."""

import pytest

from assistant.commands.dashed_text import text_last

OPTIONS = {"-o", "--output", "--voice", "--volume"}


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["-5 degrees", "-o", "a.wav"], "-5 degrees"),
        (["-o", "a.wav", "-5"], "-5"),
        (["-o", "a.wav", "-.5"], "-.5"),
        (["- a list", "--voice=emma", "-oa.wav"], "- a list"),
        (["-oa.wav", "--voice", "emma", "--well, hello"], "--well, hello"),
    ],
)
def test_a_text_goes_behind_the_options(words: list[str], text: str) -> None:
    assert text_last(words, OPTIONS) == [*(word for word in words if word != text), "--", text]


@pytest.mark.parametrize(
    "words",
    [
        ["Hello.", "-o", "a.wav"],
        ["Hello.", "-o", "a.wav", "--volume", "-1"],
        ["Hello.", "--output=my file.wav"],
        ["Hello.", "-omy file.wav"],
        ["Hello.", "-o", "- my file.wav"],
        ["-o", "a.wav", "--", "-5 degrees"],
        ["-", "-o", "a.wav"],
        ["Hello.", "--voise", "emma", "-o", "a.wav"],
    ],
)
def test_all_else_stays(words: list[str]) -> None:
    assert text_last(words, OPTIONS) == words
