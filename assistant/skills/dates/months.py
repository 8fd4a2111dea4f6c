"""How long months and years are."""

import calendar
from datetime import date

from assistant.skills.dates.days import MONTH_NUMBERS, MONTHS, of_year, year_at
from assistant.skills.sums.numbers import tokens


def days_in_month(text: str, today: date) -> str | None:
    """How many days a month has, or this year; None if `text` is neither."""
    years = {
        "a leap year": "A leap year has 366 days.",
        "this year": f"{today.year} has {_length(today.year)} days.",
    }
    if text.casefold() in years:
        return years[text.casefold()]
    found = _month_of(text, today)
    if found is None:
        return None
    year, month = found
    named = f"{MONTHS[month - 1]} {year}" if month == 2 or year != today.year else MONTHS[month - 1]
    return f"{named} has {calendar.monthrange(year, month)[1]} days."


def _length(year: int) -> int:
    return 366 if calendar.isleap(year) else 365


def leap_year(text: str | None, today: date, *, following: bool) -> str | None:
    """Whether a year has a leap day, or which is the next that has; None if `text` is no year."""
    if following:
        year = next(year for year in range(today.year + 1, today.year + 9) if calendar.isleap(year))
        return f"The next leap year is {year}."
    years = {"next year": today.year + 1, "last year": today.year - 1}
    words = tokens(text or "")
    found = year_at(words, 0)
    year = today.year if text is None else years.get(text.casefold(), 0)
    if found and found[1] == len(words):
        year = found[0]
    if not year:
        return None
    verb = "was" if year < today.year else "is"
    return (
        f"Yes, {year} {verb} a leap year." if calendar.isleap(year) else f"No, {year} {verb} not a leap year."
    )


def _month_of(text: str, today: date) -> tuple[int, int] | None:
    """The year and the month that `text` means: "this month", "February", "February 2028"."""
    words = [word for word in tokens(text) if word not in ("of", "the", "in")]
    for which, more in (("this", 0), ("next", 1), ("last", -1)):
        if words == [which, "month"]:
            years, month = divmod(today.month - 1 + more, 12)
            return today.year + years, month + 1
    named, year = of_year(words, today)
    if len(named) != 1 or named[0] not in MONTH_NUMBERS:
        return None
    return year or today.year, MONTH_NUMBERS[named[0]]
