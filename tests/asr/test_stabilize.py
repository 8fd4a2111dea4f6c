"""The stable prefix: hand cases, and what holds for any sequence of hypotheses."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr.stabilize import Stabilizer, partial_of
from asr.words import Word

DELAY_S = 0.2


def said(text: str, end_s: float = 0) -> list[Word]:
    return [Word(word, end_s, end_s, 1.0) for word in text.split()]


def stable(*texts: str) -> list[int]:
    """Words that ended long ago."""
    stabilizer = Stabilizer(DELAY_S)
    return [stabilizer.push(said(text), 10) for text in texts]


def test_words_are_stable_once_two_hypotheses_in_a_row_agree() -> None:
    assert stable("what is", "what is the", "what is the time") == [0, 2, 3]


def test_a_word_that_changes_holds_back_all_after_it() -> None:
    assert stable("set a toy", "set a timer for", "set a timer for ten") == [0, 2, 4]


def test_agreement_with_an_older_hypothesis_does_not_count() -> None:
    assert stable("one two", "won two", "one two") == [0, 0, 0]


def test_case_and_punctuation_do_not_matter() -> None:
    assert stable("Hello there.", "hello, there my", "Hello there my friend") == [0, 2, 3]


def test_an_empty_hypothesis_takes_nothing_back() -> None:
    assert stable("a b", "a b", "", "a b") == [0, 2, 2, 2]


@pytest.mark.parametrize(("heard_s", "count"), [(1.1, 0), (1.21, 1), (1.6, 1), (1.71, 2), (9, 2)])
def test_a_word_that_ended_just_now_is_not_stable(heard_s: float, count: int) -> None:
    stabilizer = Stabilizer(DELAY_S)
    words = [*said("one", 1), *said("two", 1.5)]
    assert stabilizer.push(words, heard_s) == 0
    assert stabilizer.push(words, heard_s) == count


hypotheses = st.lists(
    st.tuples(st.lists(st.sampled_from(["a", "b", "B.", "b,", "c", "it's"]), max_size=6), st.integers(0, 4)),
    max_size=12,
)
"""Words, which end a second from each other, and how many seconds were heard since the last."""


def bare(words: Sequence[str]) -> list[str]:
    return ["".join(filter(str.isalnum, word)).lower() for word in words]


def timed(words: Sequence[str]) -> list[Word]:
    return [Word(word, index, index + 1, 1.0) for index, word in enumerate(words)]


@given(hypotheses)
def test_as_many_words_are_stable_as_any_two_neighbours_agree_on(case: list[tuple[list[str], int]]) -> None:
    """By brute force: the longest settled prefix that some hypothesis shares with the one before it."""
    stabilizer, heard_s = Stabilizer(DELAY_S), 0.5
    best, before = 0, [""]
    for words, passed_s in case:
        heard_s += passed_s
        count = stabilizer.push(timed(words), heard_s)
        for n in range(1, len(words) + 1):
            if bare(words)[:n] == bare(before)[:n] and n + DELAY_S <= heard_s:
                best = max(best, n)
        assert count == stabilizer.stable == best
        before = words


@given(hypotheses, st.integers(0, 6), st.integers(0, 12))
def test_words_that_are_done_with_do_not_change_the_others(
    case: list[tuple[list[str], int]], ended: int, when: int
) -> None:
    """Hypotheses that begin with the same words, and the same without these, which ended."""
    done = ["x"] * ended
    all_words, rebased = Stabilizer(DELAY_S), Stabilizer(DELAY_S)
    heard_s = ended + 2.0
    for words in (done, done):
        all_words.push(timed(words), heard_s)
        rebased.push(timed(words), heard_s)
    for index, (words, passed_s) in enumerate(case):
        heard_s += passed_s
        timed_words = timed([*done, *words])
        if index == when:
            rebased.rebase(ended)
        gone = ended if index >= when else 0
        assert all_words.push(timed_words, heard_s) == rebased.push(timed_words[gone:], heard_s) + gone


def test_the_rest_of_the_hypothesis_is_unstable() -> None:
    partial = partial_of(said("what is the time?"), 2)
    assert (partial.stable, partial.unstable, partial.text) == ("what is", "the time?", "what is the time?")
    assert [word.stable for word in partial.words] == [True, True, False, False]
    assert [word.stable for word in partial_of(partial.words, 3).words] == [True, True, True, False]


@pytest.mark.parametrize("count", [0, 1])
def test_nothing_said_is_nothing(count: int) -> None:
    assert partial_of([], count).text == ""


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Hello there.", "Hello there"),
        ("Hello, there,", "Hello, there"),
        ('"Well..."', '"Well'),
        ("50 %)", "50"),
        ("it's", "it's"),
        ("caf\u00e9 \u2014", "caf\u00e9"),
        ("-", ""),
    ],
)
def test_what_follows_decides_on_the_punctuation_at_the_end(text: str, shown: str) -> None:
    assert partial_of(said(text), len(text.split())).stable == shown


words = st.lists(st.sampled_from(["a", "b.", "-", "C?"]), max_size=8)


@given(words, st.integers(0, 8))
def test_a_partial_has_all_words_in_order(texts: list[str], count: int) -> None:
    partial = partial_of(timed(texts), count)
    assert bare(partial.text.split()) == bare(texts) or "-" in texts
    assert [word.text for word in partial.words] == texts
    assert " ".join(texts[:count]).startswith(partial.stable)
    assert partial.unstable == " ".join(texts[count:])
