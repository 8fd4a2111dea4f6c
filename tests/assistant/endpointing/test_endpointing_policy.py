"""Decisions without a session, against the turn machine."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from math import inf

import pytest
from labelled_points import point

from assistant.endpointing.points import Point, Turn
from assistant.endpointing.policy import READING_MS, SOUND_MS, WORDS_MS, Scores, decision_ms, outcome_of
from assistant.session.completeness import DOUBTFUL, with_reading, with_sound
from assistant.session.turn import (
    AudioScored,
    Discard,
    EndTurn,
    Event,
    Read,
    Score,
    Speaking,
    State,
    TextScored,
    TurnConfig,
    Window,
)
from assistant.session.turn_table import step
from assistant.trace.pauses import NO_PAUSE
from assistant.trace.tune.outcome import Outcome

CONFIG = TurnConfig()


def events(words: float, closes: float, sound: float, lasts_ms: int) -> Iterator[tuple[int, Event]]:
    """What the turn machine is told, and how long the user has been silent by then."""
    windows = [
        (now_ms, Window(now_ms * 16, float(now_ms > lasts_ms)))
        for now_ms in range(32, min(lasts_ms, 3200) + 96, 32)
    ]
    scores = [
        (WORDS_MS, TextScored(0, words, reading=words < DOUBTFUL)),
        (READING_MS, Read(0, with_reading(words, closes))),
        (SOUND_MS, AudioScored(0, sound)),
    ]
    yield from sorted([*windows, *scores], key=lambda event: event[0])


def machine_ms(words: float, closes: float, sound: float, lasts_ms: int, config: TurnConfig) -> int | None:
    """When the turn machine ends a turn in such a pause; None if it does not."""
    state: State = Speaking(0, -32000, 0)
    asked = False
    for now_ms, event in events(words, closes, sound, lasts_ms):
        if words >= DOUBTFUL and isinstance(event, Read | AudioScored):
            continue  # neither is asked
        if isinstance(event, AudioScored) and not asked:
            continue
        state, commands = step(state, event, config)
        asked = asked or any(isinstance(command, Score) for command in commands)
        if any(isinstance(command, EndTurn) for command in commands):
            return now_ms
        if any(isinstance(command, Discard) for command in commands):
            return None
    raise AssertionError("neither an end nor a voice")


def scores_of(words: float, closes: float, sound: float) -> Scores:
    read = with_reading(words, closes)
    return words, read, with_sound(read, sound, read=True)


@pytest.mark.parametrize("patience", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("min_silence_ms", [32, 96, 240, 320])
def test_a_decision_is_made_when_the_turn_machine_makes_it(patience: float, min_silence_ms: int) -> None:
    config = replace(CONFIG, patience=patience, min_silence_ms=min_silence_ms)
    found = set()
    for words, closes, sound in product(
        (-6.0, -2.0, -0.5, 0.0, 0.5, 1.5, 2.5, 4.0), (-6.0, 0.0, 6.0), (0.01, 0.5, 0.99)
    ):
        decided_ms = decision_ms(scores_of(words, closes, sound), config)
        assert decided_ms == machine_ms(words, closes, sound, 10**6, config)
        found.add(decided_ms)
    assert len(found) > 4


@pytest.mark.parametrize("lasts_ms", [64, 96, 128, 160, 224, 256, 288, 704, 1600])
def test_a_pause_is_cut_into_where_the_turn_machine_does_it(lasts_ms: int) -> None:
    for told in product((-6.0, 0.0, 1.0, 4.0), (-6.0, 6.0), (0.01, 0.99)):
        outcome = outcome_of(Turn("", 0, ("list",), (point(lasts_ms),)), [scores_of(*told)], CONFIG)
        assert outcome.cut_in == (machine_ms(*told, lasts_ms, CONFIG) is not None)


@pytest.mark.parametrize("silence_ms", [480, 500, 800])
def test_silence_alone_ends_a_turn_where_the_turn_machine_does_it(silence_ms: int) -> None:
    config = replace(CONFIG, detection="silence", silence_ms=silence_ms)
    for lasts_ms in (320, 480, 512, 704, 832, 10**6):
        cut = outcome_of(Turn("", 0, ("list",), (point(lasts_ms),)), [(4.0, 4.0, 4.0)], config).cut_in
        assert cut == (machine_ms(4.0, 0.0, 0.9, lasts_ms, config) is not None)


def turn(*points: Point) -> Turn:
    return Turn("Well, yes.", 16000, ("list",), points)


def test_the_wait_is_from_the_labelled_end_to_the_decision() -> None:
    """The voice ends 40 ms after its label; words that are sure end the turn as soon as they are known."""
    end = point(voice_end=16640)
    assert outcome_of(turn(end), [(9.0, 9.0, 9.0)], CONFIG) == Outcome(
        "Well, yes.", 40 + WORDS_MS, cut_in=False, reached=(NO_PAUSE,), pauses=("list",)
    )


def test_a_turn_is_cut_into_in_the_first_pause_that_is_taken_for_its_end() -> None:
    points = (point(600, "filler"), point(600, "list"), point(600, "number"), point())
    scores = [(-9.0, -9.0, -9.0), (9.0, 9.0, 9.0), (9.0, 9.0, 9.0), (9.0, 9.0, 9.0)]
    found = outcome_of(turn(*points), scores, CONFIG)
    assert (found.cut_in, found.kind, found.reached) == (True, "list", ("filler", "list"))


def test_the_longest_silence_ends_every_turn() -> None:
    assert decision_ms((-inf, -inf, -inf), CONFIG) == CONFIG.max_silence_ms
    assert outcome_of(turn(point(CONFIG.max_silence_ms)), [(-9.0, -9.0, -9.0)], CONFIG).cut_in


def test_a_turn_without_a_word_is_neither_cut_into_nor_answered() -> None:
    assert outcome_of(turn(), [], CONFIG) == Outcome("Well, yes.", None, cut_in=False, pauses=("list",))
