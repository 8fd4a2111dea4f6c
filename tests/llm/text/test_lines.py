"""Lines to sentences: what a voice says of what was written for the eye."""

import random

import pytest

from llm.text.lines import SpokenLines

LISTED = "Three ideas:\n\n1. A book\n2. A plant.\n\n3) Tea"


def spoken(text: str, enough: int = 0, pieces: random.Random | None = None) -> tuple[str, bool]:
    """What comes of `text`, in pieces or character by character; and whether it ended before `text` did."""
    lines, passed, at = SpokenLines(enough), "", 0
    while at < len(text):
        size = pieces.randint(1, 9) if pieces else 1
        passed += lines.push(text[at : at + size])
        at += size
    return passed + lines.flush(), lines.ended


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("One line.", "One line."),
        ("\n\n  One line. \n", "One line."),
        ("Roses are red,\nviolets are blue.", "Roses are red, violets are blue."),
        ("A title\n\nA sentence.", "A title. A sentence."),
        ("**A title**\nA sentence.", "**A title**. A sentence."),
        (LISTED, "Three ideas: A book. A plant. Tea"),
        ("- milk\n- eggs\n* bread\n\u2022 tea", "milk. eggs. bread. tea"),
        ("It says:\n- ", "It says:"),
        ("It is cold: -5 degrees.", "It is cold: -5 degrees."),
        ("Cold:\n-5 degrees.", "Cold: -5 degrees."),
        ("The year was\n1969. Then", "The year was. 1969. Then"),
        ("7", "7"),
        ("7.", "7."),
        ("42 is the answer.", "42 is the answer."),
        ("The answer is:\n7.", "The answer is: 7."),
        ("Two  spaces stay.", "Two  spaces stay."),
        ("", ""),
        ("\n", ""),
    ],
)
def test_lines_become_sentences(written: str, said: str) -> None:
    assert spoken(written) == (said, False)


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("First paragraph.\n\nSecond one.", "First paragraph."),
        ('He said "Go!"\n\nThen he went.', 'He said "Go!"'),
        ("1. A plant.\n\nSecond one.", "A plant."),
    ],
)
def test_a_blank_line_behind_a_sentence_ends_the_reply(written: str, said: str) -> None:
    assert spoken(written) == (said, True)


@pytest.mark.parametrize(
    ("enough", "said"),
    [
        (0, "It is 3.5 km. Dr. Who knows, e.g. you. So what? The end."),
        (1, "It is 3.5 km."),
        (13, "It is 3.5 km."),
        (14, "It is 3.5 km. Dr. Who knows, e.g. you."),
        (39, "It is 3.5 km. Dr. Who knows, e.g. you. So what?"),
        (48, "It is 3.5 km. Dr. Who knows, e.g. you. So what? The end."),
    ],
)
def test_the_first_sentence_that_ends_behind_enough_ends_the_reply(enough: int, said: str) -> None:
    text = "It is 3.5 km. Dr. Who knows, e.g. you. So what? The end."
    assert spoken(text, enough) == (said, said != text)


def test_nothing_comes_behind_the_end() -> None:
    lines = SpokenLines(1)
    assert lines.push("Yes. No. ") == "Yes."
    assert lines.push("Maybe. ") == ""
    assert lines.flush() == ""


@pytest.mark.parametrize("enough", [0, 20])
def test_pieces_change_nothing(enough: int) -> None:
    text = f"{LISTED}\n\n- Also. This is e.g. 3.5 of it.\nMore\n\n\n12 of them! Yes.\n\nNo."
    whole = spoken(text, enough)
    for seed in range(50):
        assert spoken(text, enough, random.Random(seed)) == whole


def test_what_cannot_be_of_a_gap_comes_at_once() -> None:
    """The voice waits for it."""
    lines = SpokenLines(100)
    assert [lines.push(c) for c in "Hi. Yes"] == ["H", "i", ".", "", " Y", "e", "s"]
