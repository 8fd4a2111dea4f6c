"""What counts as the same words, and the error counts against a brute-force edit distance."""

import functools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr.eval.normalize import normalize
from asr.eval.score import WordErrors, align, character_errors, total, word_errors

SAME = [
    ("Wake me up to-morrow.", "wake me up tomorrow"),
    ("Not to day, to morrow.", "not today, tomorrow"),
    ("Good-bye!", "good bye"),
    ("What's fifteen percent of eighty four dollars?", "What's 15% of $84?"),
    ("fifteen per cent", "15 percent"),
    ("a high per cent", "a high percent"),
    ("Call her at six thirty this evening.", "call her at 6:30 this evening"),
    ("Call her at six thirty this evening.", "call her at 6.30 this evening"),
    ("six thirty p.m.", "6.30pm"),
    ("one fifteen tomorrow morning", "1:15 tomorrow morning"),
    ("twenty five degrees", "25 degrees"),
    ("twenty-five degrees Celsius", "25°C"),
    ("ten minutes", "10 minutes"),
    ("Press * to go back, press # to exit", "press star to go back, press pound to exit"),
    ("separated by * and then", "separated by star and then"),
    ("one two three four", "1 2 3 4"),
    ("room one one two", "room 1, 1, 2"),
    ("You cannot.", "you can't"),
    ("I don\u2019t know\u2026", "I do not know"),
    ("To leave the conference...", "to leave the conference"),
    ("... callers waiting", "callers waiting"),
    ("Um, could you, uh, stop?", "could you stop"),
    ("seven o'clock", "7 o'clock"),
    ("the colour of voice mail", "the color of voicemail"),
    ("OK, log in and re-record it", "okay login and rerecord it"),
    ("salt & pepper in the U.S.", "salt and pepper in the US"),
]

DIFFERENT = [
    ("six thirty", "6:13"),
    ("six thirty", "six thirteen"),
    ("fifteen", "fifty"),
    ("twenty five degrees", "24 degrees"),
    ("fifteen percent", "fifteen dollars"),
    ("three point one four", "314"),
    ("3.14", "314"),
    ("it costs 2.50", "it costs 250"),
    ("seven o'clock", "seventy o'clock"),
    ("press star", "press start"),
    ("press *", "press #"),
    ("press #", "press"),
    ("can", "can't"),
    ("I can not", "I can"),
    ("do it today", "do it tonight"),
    ("to day", "to the day"),
    ("all right", "right"),
    ("rain", "reign"),
    ("the tone", "the town"),
    ("files", "file names"),
    ("any one", "any two"),
    ("first", "one"),
    ("a million", "a billion"),
    ("and", ""),
]


@pytest.mark.parametrize(("left", "right"), SAME)
def test_spellings_of_one_utterance_are_equal(left: str, right: str) -> None:
    assert normalize(left) == normalize(right)


@pytest.mark.parametrize(("left", "right"), DIFFERENT)
def test_different_words_stay_different(left: str, right: str) -> None:
    assert normalize(left) != normalize(right)


def test_normalised_text_by_hand() -> None:
    assert normalize("  Wake me up, at quarter past SEVEN!  ") == "wake me up at quarter past 7"
    assert normalize("seven o'clock") == "7 oclock"
    assert normalize("* # ... $ ?") == "star pound"
    assert normalize("Is it 3.5 or $20?") == "is it 3.5 or $20"


spoken = ["one", "oh", "twenty", "point", "hundred", "double", "percent", "dollars", "minus", "and a half"]
written = [
    "5",
    "1",
    "7.30",
    "$",
    "%",
    "...",
    "*",
    "#",
    "°",
    "(",
    "]",
    ",",
    "'s",
    "p.m.",
    "to-",
    "o'clock",
    "stop",
]
fragments = st.sampled_from(spoken + written)


@given(st.lists(fragments, max_size=8).map(" ".join) | st.text(max_size=40))
def test_any_text_becomes_single_spaced_words_with_something_in_each(text: str) -> None:
    words = normalize(text).split(" ")
    assert words == [""] or all(any(each.isalnum() for each in word) for word in words)


def test_errors_of_hand_cases() -> None:
    assert word_errors("Turn off the lights", "turn of the lights") == WordErrors(1, 0, 0, 4)
    assert word_errors("Stop.", "Stop it now.") == WordErrors(0, 2, 0, 1)
    assert word_errors("Set a timer for ten minutes.", "set timer for 10 minutes") == WordErrors(0, 0, 1, 6)
    assert word_errors("Stop.", "Stall be.").wer == 2.0
    assert character_errors("stop", "shop it") == WordErrors(1, 3, 0, 4)


def test_either_side_may_be_empty() -> None:
    assert word_errors("", "") == WordErrors(0, 0, 0, 0)
    assert word_errors("", "").wer == 0.0
    assert word_errors("...", "hello there") == WordErrors(0, 2, 0, 0)
    assert word_errors("", "hello there").wer == 2.0
    assert word_errors("Hello there.", "") == WordErrors(0, 0, 2, 2)
    assert word_errors("Hello there.", "").wer == 1.0
    assert character_errors("", "ab") == WordErrors(0, 2, 0, 0)


def test_the_total_weights_clips_by_their_words() -> None:
    both = total([word_errors("a b c d e f g h i j", "a b c d e f g h i x"), word_errors("stop", "")])
    assert both == WordErrors(1, 0, 1, 11)
    assert math.isclose(both.wer, 2 / 11)
    assert total([]) == WordErrors(0, 0, 0, 0)


def edits(left: tuple[str, ...], right: tuple[str, ...]) -> int:
    """Levenshtein distance straight from its definition."""

    @functools.cache
    def distance(i: int, j: int) -> int:
        if i == 0 or j == 0:
            return i + j
        swap = distance(i - 1, j - 1) + (left[i - 1] != right[j - 1])
        return min(swap, distance(i - 1, j) + 1, distance(i, j - 1) + 1)

    return distance(len(left), len(right))


words = st.lists(st.sampled_from(["stop", "the", "music", "now", "please"]), max_size=9)


@given(words, words)
def test_errors_are_the_edit_distance(reference: list[str], hypothesis: list[str]) -> None:
    errors = word_errors(" ".join(reference), " ".join(hypothesis))
    assert errors.reference_words == len(reference)
    assert errors.substitutions + errors.insertions + errors.deletions == edits(
        tuple(reference), tuple(hypothesis)
    )
    assert errors.insertions - errors.deletions == len(hypothesis) - len(reference)


@given(words, words)
def test_character_errors_are_the_edit_distance_of_the_letters(
    reference: list[str], hypothesis: list[str]
) -> None:
    left, right = " ".join(reference), " ".join(hypothesis)
    errors = character_errors(left, right)
    assert errors.reference_words == len(left)
    assert errors.substitutions + errors.insertions + errors.deletions == edits(tuple(left), tuple(right))


@pytest.mark.parametrize(
    ("reference", "hypothesis", "steps"),
    [
        ("a b c", "a x b", [(0, 0, True), (None, 1, False), (1, 2, True), (2, None, False)]),
        ("a b c d", "a x y d", [(0, 0, True), (1, 1, False), (2, 2, False), (3, 3, True)]),
        ("", "a b", [(None, 0, False), (None, 1, False)]),
        ("a", "", [(0, None, False)]),
        ("", "", []),
    ],
)
def test_alignments_by_hand(
    reference: str, hypothesis: str, steps: list[tuple[int | None, int | None, bool]]
) -> None:
    assert align(reference.split(), hypothesis.split()) == steps


@given(words, words)
def test_an_alignment_takes_each_word_once_and_as_few_edits_as_can_be(
    reference: list[str], hypothesis: list[str]
) -> None:
    steps = align(reference, hypothesis)
    assert [step.reference for step in steps if step.reference is not None] == list(range(len(reference)))
    assert [step.hypothesis for step in steps if step.hypothesis is not None] == list(range(len(hypothesis)))
    for left, right, equal in steps:
        same = left is not None and right is not None and reference[left] == hypothesis[right]
        assert equal == same
    assert sum(not step.equal for step in steps) == edits(tuple(reference), tuple(hypothesis))
