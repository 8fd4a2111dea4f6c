"""The stable prefix: hand cases, and what holds for any sequence of hypotheses."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr.stabilize import Stabilizer

words = st.sampled_from(["a", "b", "B.", "b,", "-", "c", "it's"])
hypotheses = st.lists(st.lists(words, max_size=6).map(" ".join), max_size=12)


def stable(*texts: str) -> list[str]:
    stabilizer = Stabilizer()
    return [stabilizer.push(text).stable for text in texts]


def test_words_are_stable_once_two_hypotheses_in_a_row_agree() -> None:
    assert stable("what is", "what is the", "what is the time") == ["", "what is", "what is the"]


def test_a_word_that_changes_holds_back_all_after_it() -> None:
    assert stable("set a toy", "set a timer for", "set a timer for ten") == ["", "set a", "set a timer for"]


def test_agreement_with_an_older_hypothesis_does_not_count() -> None:
    assert stable("one two", "won two", "one two") == ["", "", ""]


def test_case_and_punctuation_do_not_matter_and_the_newer_spelling_is_kept() -> None:
    assert stable("Hello there.", "hello, there my", "Hello there my friend") == [
        "",
        "hello, there",
        "hello, there my",
    ]


def test_an_empty_hypothesis_takes_nothing_back() -> None:
    assert stable("a b", "a b", "", "a b") == ["", "a b", "a b", "a b"]


def test_the_rest_of_the_hypothesis_is_unstable() -> None:
    stabilizer = Stabilizer()
    stabilizer.push("what is")
    partial = stabilizer.push("  what is  the ")
    assert (partial.stable, partial.unstable, partial.text) == ("what is", "the", "what is the")


@pytest.mark.parametrize("texts", [[""], ["", ""]])
def test_nothing_said_is_nothing(texts: list[str]) -> None:
    stabilizer = Stabilizer()
    for text in texts:
        assert stabilizer.push(text).text == ""


@given(hypotheses)
def test_what_is_stable_is_never_taken_back(texts: list[str]) -> None:
    before: list[str] = []
    for now in stable(*texts):
        assert now.split()[: len(before)] == before
        before = now.split()


def bare(text: str) -> list[str]:
    return ["".join(filter(str.isalnum, word)).lower() for word in text.split()]


@given(hypotheses)
def test_as_many_words_are_stable_as_any_two_neighbours_agree_on(texts: list[str]) -> None:
    """By brute force: the longest prefix that some hypothesis shares with the one before it."""
    agreed = [0]
    for a, b in zip(map(bare, texts), map(bare, texts[1:]), strict=False):
        agreed.append(max(n for n in range(min(len(a), len(b)) + 1) if a[:n] == b[:n]))
    lengths = [len(text.split()) for text in stable(*texts)]
    assert lengths == [max(agreed[: n + 1]) for n in range(len(texts))]


@given(hypotheses)
def test_no_word_is_invented_and_the_newest_hypothesis_ends_the_text(texts: list[str]) -> None:
    stabilizer = Stabilizer()
    for n, text in enumerate(texts, 1):
        partial = stabilizer.push(text)
        seen = {word for earlier in texts[:n] for word in earlier.split()}
        assert set(partial.stable.split()) <= seen
        assert partial.unstable.split() == text.split()[len(partial.stable.split()) :]
