"""The time and the calendar as people ask for them, on Monday, November 30, 2026, at 17:05 in New York."""

import calendar
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from said import answers, said, services

from assistant.skills.dates.clock import Clock
from assistant.skills.dates.days import day
from assistant.skills.dates.holidays import easter, holidays, on
from assistant.skills.dates.places import MORE, places
from tts.reading.numbers import ordinal, year

NOW = datetime(2026, 11, 30, 17, 5, tzinfo=ZoneInfo("America/New_York"))
TODAY = NOW.date()
SERVICES = services(NOW)
CLOCK = Clock(SERVICES)
MONTHS = list(calendar.month_name)
ANSWERS = {
    "What time is it?": "It's 5:05 PM.",
    "what's the time right now": "It's 5:05 PM.",
    "do you have the time": "It's 5:05 PM.",
    "What time is it in Tokyo?": "It's 7:05 AM on Tuesday in Tokyo.",
    "what time is it in San Francisco right now": "It's 2:05 PM in San Francisco.",
    "what's the time in India": "It's 3:35 AM on Tuesday in India.",
    "time in London": "It's 10:05 PM in London.",
    "what's the time in Sydney, Australia": "It's 9:05 AM on Tuesday in Sydney.",
    "tell me what time it is": "It's 5:05 PM.",
    "what is the current time in Phoenix": "It's 3:05 PM in Phoenix.",
    "what's the time difference between Tokyo and London": "Tokyo is 9 hours ahead of London.",
    "how many hours ahead is India": "India is 10 hours and 30 minutes ahead of here.",
    "how many hours behind London is Los Angeles": "Los Angeles is 8 hours behind London.",
    "what's the time difference between Paris and Berlin": "It's the same time in Paris as in Berlin.",
    "is there a time difference with Toronto": "It's the same time in Toronto as here.",
    "what's today's date": "It's Monday, November 30, 2026.",
    "What is the date?": "It's Monday, November 30, 2026.",
    "what day is it": "Today is Monday, November 30.",
    "what day of the week is it today": "Today is Monday, November 30.",
    "what day is it tomorrow": "Tomorrow is Tuesday, December 1.",
    "what was the date yesterday": "Yesterday was Sunday, November 29.",
    "what's the day after tomorrow": "The day after tomorrow is Wednesday, December 2.",
    "what's tomorrow's date": "Tomorrow is Tuesday, December 1.",
    "what's the date on Friday": "Friday is December 4.",
    "what date is next Friday": "Next Friday is December 11.",
    "what day of the week is Christmas": "Christmas is Friday, December 25.",
    "when is Easter": "Easter is Sunday, March 28, 2027.",
    "when was Easter": "Easter was Sunday, April 5.",
    "when is Thanksgiving next year": "Thanksgiving 2027 is Thursday, November 25.",
    "When is Mother's Day?": "Mother's Day is Sunday, May 9, 2027.",
    "what day was the fourth of July 2020": "July 4, 2020 was a Saturday.",
    "what day was July 20th nineteen sixty nine": "July 20, 1969 was a Sunday.",
    "what day is the 15th": "December 15 is a Tuesday.",
    "what day will it be in 10 days": "10 days from now is Thursday, December 10.",
    "what was the date three weeks ago": "Three weeks ago was Monday, November 9.",
    "what's the date a week from Friday": "A week from Friday is December 11.",
    "what's 90 days from today": "90 days from now is Sunday, February 28, 2027.",
    "on what day does Christmas fall this year": "Christmas is Friday, December 25.",
    "what year is it": "It's 2026.",
    "what month is it": "It's November.",
    "what week is it": "It's week 49.",
    "how many days until Christmas": "There are 25 days until Christmas.",
    "how long until New Year": "There are 32 days until New Year's Day.",
    "how long is it until Easter": "There are 118 days until Easter.",
    "how many weeks until Christmas": "There are 3 weeks and 4 days until Christmas.",
    "how many weeks until 1 March": "There are 13 weeks until March 1, 2027.",
    "how many months until Valentine's Day": "There are 2 months and 15 days until Valentine's Day.",
    "how many days since the first of January": "It has been 333 days since January 1.",
    "how many days until December 1st": "December 1 is tomorrow.",
    "how far away is Halloween": "There are 335 days until Halloween.",
    "how long ago was July 4th 1976": "It has been 50 years and 4 months since July 4, 1976.",
    "how many more days until the weekend": "There are 5 days until Saturday.",
    "how many days are in a leap year": "A leap year has 366 days.",
    "how many days are in February": "February 2026 has 28 days.",
    "how many days are there in February 2028": "February 2028 has 29 days.",
    "how many days in this month": "November has 30 days.",
    "is it a leap year": "No, 2026 is not a leap year.",
    "is 2028 a leap year": "Yes, 2028 is a leap year.",
    "was 1900 a leap year": "No, 1900 was not a leap year.",
    "is next year a leap year": "No, 2027 is not a leap year.",
    "when is the next leap year": "The next leap year is 2028.",
    "is it Tuesday today": "No, it is Monday, November 30.",
    "is today Monday": "Yes, it is Monday, November 30.",
    "is it the 30th": "Yes, it is Monday, November 30.",
    "Is it November yet?": "Yes, it is Monday, November 30.",
    "is it the weekend yet": "No, it is Monday, November 30.",
    "is it Christmas today": "No, it is Monday, November 30.",
    "is tomorrow Tuesday": "Yes, tomorrow is Tuesday, December 1.",
    "was yesterday Saturday": "No, yesterday was Sunday, November 29.",
    "is Christmas on a Friday this year": "Yes, Christmas is Friday, December 25.",
    "is the 25th a Thursday": "No, December 25 is a Friday.",
}
FOLLOW_UPS = (
    (("what time is it in Tokyo", "and in London?"), "It's 10:05 PM in London."),
    (("what time is it", "what about Sydney"), "It's 9:05 AM on Tuesday in Sydney."),
    (("what day is it tomorrow", "what about Friday"), "Friday is December 4."),
    (("how many days until Christmas", "and until Easter"), "There are 118 days until Easter."),
    (
        ("how many weeks until Christmas", "what about Halloween"),
        "There are 47 weeks and 6 days until Halloween.",
    ),
    (("how many days until Christmas", "what day is that"), "Christmas is Friday, December 25."),
    (("how long until Easter", "when is that"), "Easter is Sunday, March 28, 2027."),
    (("when is Easter", "how many days is that"), "There are 118 days until Easter."),
    (("when is Christmas", "how long until then"), "There are 25 days until Christmas."),
    (("what time is it", "what day is that"), None),
    (("when is that",), None),
    (("what day is it tomorrow", "and in London"), None),
    (("and in London?",), None),
    (("what about Friday",), None),
)
NEAR_MISSES = """
    how long until my birthday; when is dinner; when is my dentist appointment; what time is it in Narnia
    how long is a day; how long is a marathon; how soon is now; when is the next full moon
    what day is trash day; how long until summer; how long till the movie; how long since we met
    how long until 5 o'clock
    time; what day is February 30; when is Thanksgiving dinner; what is dinner time; what time is dinner
    what's up
    what time does the store close; how many days in a row; how many days a week should I run; time flies
    what is the time signature; what year was the war; what month is the best; what week is my vacation
    how long is Easter break; is it a long year; is 2028 a good year; set an alarm for tomorrow
    today is a good day; when was Napoleon born; what day should I come; is Friday the 13th unlucky
    once upon a time
    next Friday; how many days until we leave; how many weeks pregnant am I; what is the meaning of Christmas
    merry Christmas; is it true; is Friday ok; is tomorrow a holiday; is it me; is it 5; is it on; was it good
    is today a good day; is it Friday that you leave; is that Monday; is the party on Saturday; is it soon
"""


@pytest.mark.parametrize(("sentence", "text"), ANSWERS.items())
def test_a_question_is_answered(sentence: str, text: str) -> None:
    assert said(CLOCK, sentence, given=SERVICES) == text


@pytest.mark.parametrize(("sentences", "text"), FOLLOW_UPS)
def test_a_question_goes_on_from_the_last(sentences: tuple[str, ...], text: str | None) -> None:
    assert said(CLOCK, *sentences, given=SERVICES) == text


@pytest.mark.parametrize(
    "sentence", [part.strip() for part in NEAR_MISSES.strip().replace("\n", ";").split(";")]
)
def test_what_is_no_question_of_time_is_declined(sentence: str) -> None:
    assert said(CLOCK, sentence, given=SERVICES) is None


@pytest.mark.parametrize(
    ("sentence", "intent", "slots"),
    [
        ("what time is it in tokyo", "HassGetCurrentTime", {"place": "tokyo"}),
        ("what's the date", "HassGetCurrentDate", {}),
        ("what's tomorrow's date", "GetDate", {"day": "tomorrow"}),
        ("what day is it", "GetDate", {"day": "today"}),
        ("how many weeks until christmas", "DaysUntil", {"day": "Christmas", "unit": "week"}),
    ],
)
def test_the_intent_has_a_name_and_slots(sentence: str, intent: str, slots: dict[str, str]) -> None:
    (answer,) = answers(CLOCK, sentence, given=SERVICES)
    assert answer is not None and answer.intent is not None
    assert (answer.intent.name, dict(answer.intent.slots)) == (intent, slots)


@pytest.mark.parametrize(
    ("hour", "minute", "text"),
    [(0, 0, "midnight"), (0, 30, "12:30 AM"), (12, 0, "noon"), (23, 59, "11:59 PM"), (9, 7, "9:07 AM")],
)
def test_the_day_has_two_halves_of_twelve_hours(hour: int, minute: int, text: str) -> None:
    at = services(NOW.replace(hour=hour, minute=minute))
    assert said(Clock(at), "what time is it", given=at) == f"It's {text}."


@given(st.dates(date(1100, 1, 1), date(2099, 12, 31)))
def test_any_date_is_understood_however_it_is_said(of: date) -> None:
    month = MONTHS[of.month]
    for text in (
        f"{month} {of.day}, {of.year}",
        f"the {ordinal(of.day)} of {month} {year(of.year)}",
        f"{month} {ordinal(of.day)} {of.year}",
        f"{of.day} {month} {of.year}",
        f"{month} {of.day}th {year(of.year)}",
    ):
        found = day(text, TODAY, {})
        assert found is not None and found.date == of, text


@given(st.dates(date(2000, 1, 1), date(2050, 12, 31)))
def test_days_without_a_year_are_the_next_or_the_last(today: date) -> None:
    coming, past = day("march 3", today, {}), day("march 3", today, {}, past=True)
    friday, before = day("friday", today, {}), day("friday", today, {}, past=True)
    assert coming and past and friday and before
    assert coming.date == next(d for d in ahead(today, 1) if (d.month, d.day) == (3, 3))
    assert past.date == next(d for d in ahead(today - timedelta(1), -1) if (d.month, d.day) == (3, 3))
    assert friday.date == next(d for d in ahead(today, 1) if d.weekday() == calendar.FRIDAY)
    assert before.date == next(d for d in ahead(today - timedelta(1), -1) if d.weekday() == calendar.FRIDAY)


def ahead(first: date, step: int) -> list[date]:
    return [first + timedelta(step * n) for n in range(400)]


@settings(max_examples=25)
@given(st.dates(date(2020, 1, 1), date(2030, 12, 31)), st.integers(2, 3000))
def test_months_and_days_until_a_day_add_up(today: date, days: int) -> None:
    then = today + timedelta(days)
    at = services(datetime(today.year, today.month, today.day, 12, tzinfo=ZoneInfo("UTC")))
    text = said(CLOCK, f"how many months until {MONTHS[then.month]} {then.day} {then.year}", given=at)
    assert text is not None
    numbers = [int(word) for word in text.split(" until ")[0].split() if word.isdigit()]
    months = numbers[0] if "month" in text else 0
    rest = numbers[-1] if "day" in text else 0
    whole = today.year * 12 + today.month - 1 + months
    last_day = calendar.monthrange(whole // 12, whole % 12 + 1)[1]
    assert date(whole // 12, whole % 12 + 1, min(today.day, last_day)) + timedelta(rest) == then


@pytest.mark.parametrize(
    "text",
    ["2000-04-23", "2008-03-23", "2011-04-24", "2016-03-27", "2019-04-21", "2024-03-31", "2025-04-20",
     "2026-04-05", "2027-03-28", "2038-04-25"],
)  # fmt: skip
def test_easter_is_where_it_was_announced(text: str) -> None:
    assert easter(int(text[:4])) == date.fromisoformat(text)


@pytest.mark.parametrize(
    ("country", "name", "text"),
    [
        ("US", "thanksgiving", "2024-11-28"),
        ("CA", "thanksgiving", "2024-10-14"),
        ("US", "memorial day", "2025-05-26"),
        ("US", "labor day", "2025-09-01"),
        ("US", "martin luther king day", "2026-01-19"),
        ("US", "mothers day", "2025-05-11"),
        ("GB", "mothers day", "2025-03-30"),
        ("US", "fathers day", "2025-06-15"),
        ("US", "black friday", "2024-11-29"),
        ("US", "cyber monday", "2024-12-02"),
        ("GB", "good friday", "2025-04-18"),
        ("US", "mardi gras", "2025-03-04"),
    ],
)
def test_holidays_move_as_they_did(country: str, name: str, text: str) -> None:
    _, rule = holidays(country)[name]
    assert on(rule, int(text[:4])) == date.fromisoformat(text)


@pytest.mark.parametrize(
    ("name", "zone"),
    [("tokyo", "Asia/Tokyo"), ("new york", "America/New_York"), ("mumbai", "Asia/Kolkata"), ("gmt", "UTC"),
     ("port moresby", "Pacific/Port_Moresby"), ("hawaii", "Pacific/Honolulu"), ("ukraine", "Europe/Kyiv")],
)  # fmt: skip
def test_a_place_has_its_zone(name: str, zone: str) -> None:
    assert places()[name][1] == zone


def test_no_place_is_lost_to_a_zone_that_is_misspelled() -> None:
    named = {line.strip().partition(":")[0] for line in MORE.strip().splitlines()}
    assert named <= available_timezones()
