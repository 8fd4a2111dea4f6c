"""Spoken durations, as people say them and as recognizers write them; the values are worked out by hand."""

import pytest

from assistant.skills.timers.spans import in_words, span

SAID = {
    "10 minutes": {"minutes": 10},
    "ten minutes": {"minutes": 10},
    "twenty-five minutes": {"minutes": 25},
    "a hundred and twenty minutes": {"minutes": 120},
    "three hundred seconds": {"seconds": 300},
    "90 seconds": {"seconds": 90},
    "a minute": {"minutes": 1},
    "an hour": {"hours": 1},
    "half an hour": {"minutes": 30},
    "a half hour": {"minutes": 30},
    "half hour": {"minutes": 30},
    "half a minute": {"seconds": 30},
    "a quarter of an hour": {"minutes": 15},
    "quarter hour": {"minutes": 15},
    "three quarters of an hour": {"minutes": 45},
    "an hour and a half": {"hours": 1, "minutes": 30},
    "one and a half hours": {"hours": 1, "minutes": 30},
    "1.5 hours": {"hours": 1, "minutes": 30},
    "2 1/2 hours": {"hours": 2, "minutes": 30},
    "two hours and a half": {"hours": 2, "minutes": 30},
    "an hour and a quarter": {"hours": 1, "minutes": 15},
    "two and a half minutes": {"minutes": 2, "seconds": 30},
    "a minute and a half": {"minutes": 1, "seconds": 30},
    "a minute thirty": {"minutes": 1, "seconds": 30},
    "an hour and 15 minutes": {"hours": 1, "minutes": 15},
    "an hour twenty": {"hours": 1, "minutes": 20},
    "1 hour 15": {"hours": 1, "minutes": 15},
    "1h 30m": {"hours": 1, "minutes": 30},
    "1 hour, 20 minutes, and 5 seconds": {"hours": 1, "minutes": 20, "seconds": 5},
    "a couple of minutes": {"minutes": 2},
    "another five minutes": {"minutes": 5},
    "one more minute": {"minutes": 1},
    "another half hour": {"minutes": 30},
    "two weeks": {"days": 14},
    "for 10 minutes please": {"minutes": 10},
    "ten": {"minutes": 10},
}
NOT_SAID = (
    "", "half", "minutes", "a few minutes", "0 minutes", "ten past", "10 minutes 5 minutes",
    "5 minutes 2 hours", "ten apples", "a minute ago", "minutes ten", "an hour and ninety", "800 days",
    "5 minutes of jazz",
)  # fmt: skip


@pytest.mark.parametrize("said", SAID)
def test_a_duration_is_understood_as_it_is_said(said: str) -> None:
    found = span(said)
    assert found is not None
    assert found.slots == SAID[said]


@pytest.mark.parametrize("said", NOT_SAID)
def test_other_words_are_no_duration(said: str) -> None:
    assert span(said) is None


def test_it_is_known_whether_a_unit_was_said_and_whether_it_comes_on_top() -> None:
    said = [span(text) for text in ("ten", "ten minutes", "five more minutes", "an hour longer")]
    assert [(found.bare, found.more) for found in said if found] == [
        (True, False),
        (False, False),
        (False, True),
        (False, True),
    ]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.2, "0 seconds"),
        (1, "1 second"),
        (59.6, "1 minute"),
        (270, "4 minutes and 30 seconds"),
        (3600, "1 hour"),
        (3725, "1 hour and 2 minutes"),
        (93784, "1 day, 2 hours and 3 minutes"),
    ],
)
def test_a_duration_is_said_as_people_say_it(seconds: float, words: str) -> None:
    assert in_words(seconds) == words


def test_what_is_said_is_understood_as_the_same() -> None:
    for seconds in [*range(1, 3600, 7), *range(3600, 400_000, 3540)]:
        found = span(in_words(seconds))
        assert found is not None
        assert abs(found.total_s - seconds) <= (0 if seconds < 3600 else 30)


@pytest.mark.parametrize("number", ["9" * 400, "1." + "9" * 400, "9" * 12])
def test_what_nobody_can_wait_for_is_no_duration(number: str) -> None:
    assert span(f"{number} minutes") is None and span(number) is None
