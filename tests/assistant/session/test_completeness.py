"""How probably a turn is over: by hand on the formulas, and on what the recognizer really reads."""

from itertools import pairwise
from math import log

import pytest

from asr.ending import Ending
from assistant.session.completeness import (
    by_silence,
    by_words,
    complete_phrases,
    features,
    with_reading,
    with_sound,
)

SURE, COMMA, HALF = Ending(log(0.97), log(0.005)), Ending(log(0.2), log(0.7)), Ending(log(0.5), log(0.1))


def test_features_of_words() -> None:
    found = features("Turn it on, and", Ending(log(0.25), log(0.5)))
    assert found["closing"] == pytest.approx(log(1 / 3)) and found["going_on"] == pytest.approx(log(0.5))
    assert (found["words"], found["one"], found["two"]) == (1.0, 0, 0)
    assert (found["open"], found["filler"], found["command"]) == (1, 0, 0)
    assert features("Um.", HALF)["filler"] == features("Um.", HALF)["one"] == 1
    assert features("Louder, please!", HALF, {"louder please"})["command"] == 1


def test_a_phrase_that_wants_more_is_no_command_of_its_own() -> None:
    phrases = (
        "",
        "Remind me to",
        "Turn on",
        "Turn on the lights",
        "hold on",
        "No, thank you",
        "Stop",
        "uh-huh",
    )
    assert complete_phrases(phrases) == {"turn on the lights", "hold on", "no thank you", "stop"}


@pytest.mark.parametrize("text", ["What is the capital of France?", "Stop.", "Set a timer for 10 minutes."])
def test_a_mark_that_closes_speaks_for_the_end_and_a_comma_against_it(text: str) -> None:
    odds = [by_words(text, ending) for ending in (SURE, HALF, COMMA)]
    assert all(sooner > later for sooner, later in pairwise(odds))


def test_a_filler_speaks_against_the_end() -> None:
    assert by_words("I would like uh.", HALF) < by_words("I would like tea.", HALF)


def test_without_a_word_or_an_ending_there_are_log_odds_all_the_same() -> None:
    assert -20 < by_words("", None) < 0
    assert -20 < by_words("Yes.", Ending(-1e9, -1e9)) < by_words("Yes.", Ending(0.0, -1e9)) < 20


def test_the_sound_adds_its_log_odds() -> None:
    # -1.05 + 1.03 * 2 + 0.4 * log(0.9 / 0.1)
    assert with_sound(2.0, 0.9) == pytest.approx(1.88889, abs=1e-4)
    assert -10 < with_sound(-5, 0.0) < with_sound(-5, 1.0) < 0


def test_what_the_language_model_reads_adds_its_log_odds() -> None:
    assert with_reading(2.0, -3.0) == pytest.approx(0.45 + 0.89 * 2 - 0.23 * 3)


def test_silence_adds_what_it_rules_out() -> None:
    """The pauses of 0.25 to 1.4 s are spread evenly over the logarithm: half are over after 0.5916 s."""
    assert by_silence(96) == by_silence(250) == 0
    assert by_silence(591.608) == pytest.approx(log(2), abs=1e-4)
    assert by_silence(1400) == by_silence(9e9) == pytest.approx(log(50))
