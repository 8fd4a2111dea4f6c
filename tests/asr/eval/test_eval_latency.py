"""When words stand and which are taken back, worked out by hand."""

import functools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scripted_models import Said

from asr.eval.feed import Shown, Transcript
from asr.eval.latency import closest_prefix, latency


def reading(shown: list[tuple[str, str, float]], text: str, final_shown_ms: float) -> Transcript:
    """A transcript with partials (stable, unstable, when)."""
    partials = [Shown(tuple(stable.split()), tuple(rest.split()), 0, ms) for stable, rest, ms in shown]
    return Transcript(text, (), 0, 0, 0, final_shown_ms, tuple(partials))


LIGHT = (Said("Turn", 0.2, 0.5), Said("on", 0.5, 0.7), Said("the", 0.75, 0.8), Said("light.", 0.8, 1.25))


def test_a_turn_by_hand() -> None:
    partials = [
        ("", "", 490),
        ("", "Turn.", 980),  # one word comes
        ("Turn", "off the", 1470),  # two more
        ("turn", "on the light", 1960),  # "off" goes, "on" and "light" come
        ("turn on the", "lights", 2450),  # "light" goes, "lights" comes
    ]
    found = latency(
        reading(partials, "Turn on the light.", 3030), LIGHT, None
    )  # "lights" goes, "light" comes
    assert found.first_partial_ms == pytest.approx(980 - 200)
    assert found.stable_ms == pytest.approx((1470 - 500, 2450 - 700, 2450 - 800))
    assert found.at_final_ms == pytest.approx((3030 - 1250,))
    assert (found.shown, found.revised) == (7, 3)
    assert (found.stable, found.contradicted) == (3, 0)
    assert found.retracted == 1  # the words of a stable prefix may not even change their case


def test_only_punctuation_may_come_behind_a_stable_word() -> None:
    partials = [("Good", "", 500), ("Good morning", "", 900), ("Good morning. Log", "in", 1400)]
    grown = [*partials, ("Good morning. Login", "", 1800)]
    assert latency(reading(partials, "Good morning. Log in", 2000), LIGHT, None).retracted == 0
    assert latency(reading(grown, "Good morning. Login", 2000), LIGHT, None).retracted == 1


def test_a_label_says_better_where_speech_begins() -> None:
    assert latency(reading([("", "Turn", 980)], "Turn", 1100), LIGHT, 0.18).first_partial_ms == 800


def test_what_was_made_of_silence_is_no_first_partial() -> None:
    partials = [("", "You", 490), ("", "You.", 980), ("", "", 1470), ("", "Turn", 1960)]
    assert latency(reading(partials, "Turn", 2000), LIGHT, 0.6).first_partial_ms == pytest.approx(1360)
    assert latency(reading(partials[:2], "You", 2000), LIGHT, 0.6).first_partial_ms is None
    assert latency(reading(partials, "Turn", 2000), LIGHT, 0.2).first_partial_ms == pytest.approx(290)


def test_without_words_there_is_nothing_to_measure() -> None:
    silent = latency(reading([("", "", 480), ("", "", 960)], "", 1000), (), None)
    assert (silent.first_partial_ms, silent.stable_ms, silent.at_final_ms) == (None, (), ())
    assert (silent.shown, silent.revised, silent.stable, silent.contradicted) == (0, 0, 0, 0)
    assert latency(reading([("", "you", 480)], "you", 1000), (), None).first_partial_ms is None
    short = latency(reading([], "Stop.", 300), (Said("Stop.", 0.1, 0.25),), None)
    assert (short.first_partial_ms, short.stable_ms, short.at_final_ms) == (None, (), (50,))


def test_what_the_final_text_contradicts() -> None:
    partials = [("turn on the", "", 500), ("turn on the light in", "a", 1000)]
    found = latency(reading(partials, "Turn off the right lamp in the hall", 1500), LIGHT, None)
    # "on" for "off", "light" for "right", "lamp" left out; what comes after "in" contradicts nothing.
    assert (found.stable, found.contradicted, found.retracted) == (5, 3, 0)
    # "off" and "right" stand for "on" and "light" only from the final text on; the words after have no time.
    assert found.stable_ms == pytest.approx((500 - 500, 500 - 800))
    assert found.at_final_ms == pytest.approx((1500 - 700, 1500 - 1250))


def test_a_stable_word_is_not_taken_for_the_same_word_later_on() -> None:
    said = (Said("on", 0, 0.1), Said("a", 0.1, 0.2), Said("lamp", 0.2, 0.3), Said("the", 2.0, 2.1))
    found = latency(reading([("on the", "", 400)], "on a lamp the", 2500), said, None)
    assert found.contradicted == 1
    assert found.stable_ms == pytest.approx((300,))
    assert found.at_final_ms == pytest.approx((2300, 2200, 400))


def test_stable_words_that_are_taken_back_are_counted_and_stand_anew() -> None:
    partials = [("turn off the", "", 500), ("turn on the", "", 1000), ("turn on", "", 1500)]
    found = latency(reading(partials, "turn on", 2000), LIGHT, None)
    assert found.retracted == 2
    assert found.stable_ms == pytest.approx((500 - 500, 1000 - 700))


words = st.lists(st.sampled_from("abc"), max_size=6)


@given(words, words)
def test_the_closest_prefix_is_the_best_of_all(left: list[str], text: list[str]) -> None:
    @functools.cache
    def distance(i: int, j: int) -> int:
        if i == 0 or j == 0:
            return i + j
        swap = distance(i - 1, j - 1) + (left[i - 1] != text[j - 1])
        return min(swap, distance(i - 1, j) + 1, distance(i, j - 1) + 1)

    edits = {length: distance(len(left), length) for length in range(len(text) + 1)}
    fewest, length = closest_prefix(left, text)
    assert fewest == min(edits.values())
    assert length == max(size for size, count in edits.items() if count == fewest)
