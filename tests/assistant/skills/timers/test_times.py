"""Spoken times: which moment they mean on a Wednesday at 17:30 in New York, and how that is said back."""

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from assistant.skills.timers.moments import again, is_meant, moment, moment_in_words
from assistant.skills.timers.times import when

NEW_YORK = ZoneInfo("America/New_York")
NOW = datetime(2026, 12, 2, 17, 30, tzinfo=NEW_YORK)  # a Wednesday

EARLY = {
    "quarter to seven": ("2026-12-02 18:45", "6:45 this evening"),
    "quarter of seven": ("2026-12-02 18:45", "6:45 this evening"),
    "a quarter till eight": ("2026-12-02 19:45", "7:45 this evening"),
    "half past six": ("2026-12-02 18:30", "6:30 this evening"),
    "half six": ("2026-12-02 18:30", "6:30 this evening"),
    "5 past 8": ("2026-12-02 20:05", "8:05 this evening"),
    "ten to nine": ("2026-12-02 20:50", "8:50 this evening"),
    "five minutes to seven": ("2026-12-02 18:55", "6:55 this evening"),
    "seven thirty": ("2026-12-02 19:30", "7:30 this evening"),
    "seven oh five": ("2026-12-02 19:05", "7:05 this evening"),
    "6.45": ("2026-12-02 18:45", "6:45 this evening"),
    "645": ("2026-12-02 18:45", "6:45 this evening"),
    "at 9": ("2026-12-02 21:00", "9 tonight"),
    "5": ("2026-12-03 05:00", "5 tomorrow morning"),
    "5:30": ("2026-12-03 05:30", "5:30 tomorrow morning"),
    "6:30 a.m.": ("2026-12-03 06:30", "6:30 tomorrow morning"),
    "6:30 am": ("2026-12-03 06:30", "6:30 tomorrow morning"),
    "7 p.m.": ("2026-12-02 19:00", "7 this evening"),
    "7 p m": ("2026-12-02 19:00", "7 this evening"),
    "12:15 am": ("2026-12-03 00:15", "12:15 tonight"),
    "19:30": ("2026-12-02 19:30", "7:30 this evening"),
    "1930 hours": ("2026-12-02 19:30", "7:30 this evening"),
    "seven o'clock sharp": ("2026-12-02 19:00", "7 this evening"),
    "noon": ("2026-12-03 12:00", "noon tomorrow"),
    "12 noon": ("2026-12-03 12:00", "noon tomorrow"),
    "quarter to noon": ("2026-12-03 11:45", "11:45 tomorrow morning"),
    "midnight": ("2026-12-03 00:00", "midnight tonight"),
    "10 to midnight": ("2026-12-02 23:50", "11:50 tonight"),
    "quarter past midnight": ("2026-12-03 00:15", "12:15 tonight"),
    "tomorrow at midnight": ("2026-12-04 00:00", "midnight on Friday"),
    "tonight at 12": ("2026-12-03 00:00", "midnight tonight"),
    "tonight at 1": ("2026-12-03 01:00", "1 tomorrow morning"),
    "6 in the morning": ("2026-12-03 06:00", "6 tomorrow morning"),
    "in the morning at 6": ("2026-12-03 06:00", "6 tomorrow morning"),
    "tomorrow at 6:30": ("2026-12-03 06:30", "6:30 tomorrow morning"),
    "6:30 tomorrow": ("2026-12-03 06:30", "6:30 tomorrow morning"),
    "tomorrow evening at 6": ("2026-12-03 18:00", "6 tomorrow evening"),
    "20 to seven tomorrow morning": ("2026-12-03 06:40", "6:40 tomorrow morning"),
    "the day after tomorrow at ten": ("2026-12-04 10:00", "10 a.m. on Friday"),
    "on monday at nine": ("2026-12-07 09:00", "9 a.m. on Monday"),
    "on wednesday at 6 pm": ("2026-12-02 18:00", "6 this evening"),
    "on wednesday at 5": ("2026-12-09 05:00", "5 a.m. on December 9th"),
    "next friday at 8": ("2026-12-11 08:00", "8 a.m. on December 11th"),
    "this friday at 8": ("2026-12-04 08:00", "8 a.m. on Friday"),
    "december fifth at 3 pm": ("2026-12-05 15:00", "3 p.m. on Saturday"),
    "the twenty first of december at 9": ("2026-12-21 09:00", "9 a.m. on December 21st"),
    "on the 1st at noon": ("2027-01-01 12:00", "noon on January 1st"),
    "february 29th at noon": ("2028-02-29 12:00", "noon on February 29th"),
    "2026-12-24 at 9": ("2026-12-24 09:00", "9 a.m. on December 24th"),
    "every weekday at 7": ("2026-12-03 07:00", "7 tomorrow morning"),
    "monday to friday at 7": ("2026-12-03 07:00", "7 tomorrow morning"),
    "saturdays at 10": ("2026-12-05 10:00", "10 a.m. on Saturday"),
    "every monday and friday at 8": ("2026-12-04 08:00", "8 a.m. on Friday"),
    "every morning at 6": ("2026-12-03 06:00", "6 tomorrow morning"),
    "in 20 minutes": ("2026-12-02 17:50", "5:50 this afternoon"),
    "an hour and a half from now": ("2026-12-02 19:00", "7 this evening"),
    "in 3 days": ("2026-12-05 17:30", "5:30 p.m. on Saturday"),
}
NOT_EARLY = {
    "at 7": "2026-12-02 19:00",
    "at 3": "2026-12-03 15:00",
    "3 am": "2026-12-03 03:00",
    "tomorrow at 3": "2026-12-03 15:00",
    "tomorrow at 7": "2026-12-03 07:00",
    "tomorrow at 12": "2026-12-03 12:00",
    "tomorrow": "2026-12-03 09:00",
    "tomorrow afternoon": "2026-12-03 15:00",
    "tonight": "2026-12-02 20:00",
    "this evening": "2026-12-02 18:00",
    "in the morning": "2026-12-03 09:00",
    "on saturday": "2026-12-05 09:00",
    "every day": "2026-12-03 09:00",
}
OVER_OR_UNCLEAR = ("today", "today at 3 pm", "this afternoon", "this morning at 9")
NO_TIME = (
    "", "the pool", "in the pool", "3 eggs", "may", "half an hour", "quarter past", "13 pm", "25:30", "7:75",
    "tomorrow tomorrow", "at 5 at 6", "in ten", "next week some time", "monday tuesday", "the 41st", "7 a",
    "next to the door", "noon and night", "half a dozen", "second",
    "the first one",
)  # fmt: skip


@pytest.mark.parametrize("said", EARLY)
def test_a_time_means_the_next_moment_at_which_it_is_so(said: str) -> None:
    found = when(said)
    assert found is not None
    at = moment(found, NOW, early=True)
    assert at is not None
    assert (f"{at:%Y-%m-%d %H:%M}", moment_in_words(at, NOW)) == EARLY[said]


@pytest.mark.parametrize("said", NOT_EARLY)
def test_nobody_is_reminded_at_night_who_did_not_ask_for_it(said: str) -> None:
    found = when(said)
    assert found is not None
    at = moment(found, NOW, early=False)
    assert at is not None
    assert f"{at:%Y-%m-%d %H:%M}" == NOT_EARLY[said]


@pytest.mark.parametrize("said", OVER_OR_UNCLEAR)
def test_what_is_over_or_unclear_means_no_moment(said: str) -> None:
    found = when(said)
    assert found is not None
    assert moment(found, NOW, early=False) is None


@pytest.mark.parametrize("said", NO_TIME)
def test_other_words_are_no_time(said: str) -> None:
    assert when(said) is None


def at_once(said: str, now: datetime) -> datetime:
    found = when(said)
    assert found is not None
    at = moment(found, now, early=True)
    assert at is not None
    return at


def test_clocks_that_are_put_forward_leave_no_hour_out() -> None:
    night = datetime(2026, 3, 8, 0, 0, tzinfo=NEW_YORK)  # at two it is three
    assert at_once("2:30 am", night).isoformat() == "2026-03-08T03:30:00-04:00"
    assert at_once("in 4 hours", night).isoformat() == "2026-03-08T05:00:00-04:00"
    assert at_once("7 am", night).timestamp() - night.timestamp() == 6 * 3600


def test_clocks_that_are_put_back_show_an_hour_twice() -> None:
    first = datetime(2026, 11, 1, 1, 45, tzinfo=NEW_YORK)  # at two it is one again
    assert at_once("1:30", first).isoformat() == "2026-11-01T01:30:00-05:00"
    assert at_once("in 1 hour", first).isoformat() == "2026-11-01T01:45:00-05:00"
    second = first.replace(fold=1)
    assert at_once("in 15 minutes", second).isoformat() == "2026-11-01T02:00:00-05:00"


def test_what_comes_again_keeps_its_time_of_the_day() -> None:
    saturday = datetime(2026, 3, 7, 7, 0, tzinfo=NEW_YORK)
    sunday = again(7, 0, "0123456", saturday)
    assert sunday.isoformat() == "2026-03-08T07:00:00-04:00"
    assert again(7, 0, "5", saturday).isoformat() == "2026-03-14T07:00:00-04:00"
    assert again(0, 5, "6", saturday).isoformat() == "2026-03-08T00:05:00-05:00"


def test_every_time_that_is_said_back_is_understood_as_the_same() -> None:
    for minutes in range(1, 6 * 24 * 60, 37):
        at = datetime.fromtimestamp(NOW.timestamp() + 60 * minutes, NEW_YORK)
        said = moment_in_words(at, NOW).replace("12:", "0:") if at.hour == 0 else moment_in_words(at, NOW)
        found = when(said)
        assert found is not None, said
        assert is_meant(found, at, NOW) or at.hour == 0, said
