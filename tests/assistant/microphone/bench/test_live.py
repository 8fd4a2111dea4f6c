"""Which replies of a live room count as cut off."""

from dataclasses import replace

import pytest

from assistant.microphone.bench.live import ROOMS, Conversation
from assistant.microphone.bench.live_figures import Turn

WHOLE = Turn(
    "Why?", 1, 2, over_reply=False, answered_ms=500, reply_s=9.5, longest_gap_s=0.5, last_words_heard=4
)


def cut(*turns: Turn) -> list[Turn]:
    return Conversation(ROOMS[0], turns, (), ()).cut


def test_a_reply_that_came_to_its_end_is_not_cut() -> None:
    assert cut(WHOLE, replace(WHOLE, last_words_heard=3), replace(WHOLE, reply_s=8.3)) == []


@pytest.mark.parametrize(
    "found",
    [
        {"reply_s": 7.9},  # though its last words are heard
        {"last_words_heard": 2},
        {"longest_gap_s": 1.1},
        {"answered_ms": None, "reply_s": 0.0, "longest_gap_s": 0.0, "last_words_heard": 0},
    ],
)
def test_one_that_ends_early_or_has_a_gap_or_never_comes_is(found: dict[str, float | None]) -> None:
    broken = replace(WHOLE, **found)
    assert cut(WHOLE, broken) == [broken]


def test_one_that_a_user_interrupted_is_not_counted() -> None:
    assert cut(replace(WHOLE, reply_s=1.8), replace(WHOLE, over_reply=True)) == []
