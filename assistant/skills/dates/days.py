"""Days as they are spoken of: "next Friday", "the fourth of July 2020", "two weeks ago", "Christmas"."""

from calendar import monthrange
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from assistant.skills.dates.holidays import on
from assistant.skills.sums.numbers import number_at, ordinal_at, tokens

WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MONTHS = ("January", "February", "March", "April", "May", "June", "July", "August", "September", "October",
          "November", "December")  # fmt: skip
MONTH_NUMBERS = {spelled.casefold(): at for at, name in enumerate(MONTHS, 1) for spelled in (name, name[:3])}
MONTH_NUMBERS |= {"sept": 9}
_WEEKDAYS = {name.casefold(): at for at, name in enumerate(WEEKDAYS)} | {"weekend": 5}
_NEAR = {"after tomorrow": 2, "before yesterday": -2, "today": 0, "tomorrow": 1, "yesterday": -1,
         "day after tomorrow": 2, "day before yesterday": -2}  # fmt: skip
_SPANS = {"day": 1, "week": 7, "fortnight": 14}


@dataclass(frozen=True)
class Day:
    """A day, and what it is called within a sentence."""

    date: date
    name: str
    is_date: bool = False
    """It was named by its date, so that only its weekday is news."""


def day(text: str, today: date, holidays: Mapping[str, tuple[str, str]], *, past: bool = False) -> Day | None:
    """The day that `text` means, the next of its kind or, if `past`, the last; None if it is no day.

    `holidays` are those of `holidays.holidays`.
    """
    words = [word for word in tokens(text.removesuffix("'s")) if word not in ("'", ",", ".")]
    ahead = words[:1] == ["in"]
    words = words[ahead or words[:1] in (["the"], ["on"]) :]
    try:
        return (
            _near(words, today)
            or _holiday(words, today, holidays, past)
            or _weekday(words, today, past)
            or _dated(words, today, past)
            or _counted(words, today, holidays, ahead)
        )
    except (ValueError, OverflowError):  # the thirtieth of February; a million years from now
        return None


def year_at(words: Sequence[str], at: int) -> tuple[int, int] | None:
    """A year such as "2020", "nineteen eighty four" or "two thousand and five", and the index behind it."""
    high = number_at(words, at)
    if high is None or high[0].denominator > 1:
        return None
    begin = high[1] + (words[high[1] : high[1] + 1] in (["oh"], ["o"]))
    low = number_at(words, begin)
    if low and 10 <= high[0] < 100 and 0 < low[0] < 100 and (low[0] >= 10 or begin > high[1]):
        return int(100 * high[0] + low[0]), low[1]
    return (int(high[0]), high[1]) if 1000 <= high[0] <= 9999 else None


def _near(words: list[str], today: date) -> Day | None:
    name = " ".join(words)
    if name not in _NEAR:
        return None
    called = f"the day {name.removeprefix('day ')}" if " " in name else name
    return Day(today + timedelta(_NEAR[name]), called)


def _holiday(
    words: list[str], today: date, holidays: Mapping[str, tuple[str, str]], past: bool
) -> Day | None:
    words, year = of_year(words, today)
    shift = {"next": 1, "last": -1}.get(words[0] if words else "", 0)
    words = words[words[:1] in (["next"], ["last"], ["this"]) :]
    named = holidays.get(" ".join(words).replace("'", ""))
    if named is None:
        return None
    name, rule = named
    if year is None:
        year = _nearest([on(rule, today.year + more) for more in (-1, 0, 1)], today, past or shift < 0).year
        return Day(on(rule, year), name)
    return Day(on(rule, year), f"{name} {year}" if year != today.year else name)


def of_year(words: list[str], today: date) -> tuple[list[str], int | None]:
    """What stands before a year, and that year."""
    for behind, more in (("this", 0), ("next", 1), ("last", -1)):
        if words[-2:] == [behind, "year"]:
            return words[:-2], today.year + more
    for at in range(1, len(words)):
        found = year_at(words, at)
        if found and found[1] == len(words):
            return words[: at - (words[at - 1] in ("in", "of"))], found[0]
    return words, None


def _nearest(days: Sequence[date], today: date, past: bool) -> date:
    """The last before today if it is past, else the first from today on."""
    return max(day for day in days if day < today) if past else min(day for day in days if day >= today)


def _weekday(words: list[str], today: date, past: bool) -> Day | None:
    which = words[0] if words[:1] in (["this"], ["next"], ["last"], ["coming"], ["past"]) else ""
    if len(words) != 1 + bool(which) or words[-1] not in _WEEKDAYS:
        return None
    weekday = _WEEKDAYS[words[-1]]
    ahead = (weekday - today.weekday()) % 7
    if which == "next":  # the one of the week that begins next Monday
        ahead = 7 - today.weekday() + weekday
    elif which in ("last", "past") or (past and which != "this"):
        ahead = ahead - 7
    name = WEEKDAYS[weekday]
    return Day(today + timedelta(ahead), f"{which} {name}" if which in ("next", "last") else name)


def _dated(words: list[str], today: date, past: bool) -> Day | None:
    """A day of a month, or only "the 15th"."""
    words = [word for word in words if word not in ("the", "of", "on")]
    weekday = words[:1] != [] and words[0] in _WEEKDAYS
    found = _month_and_day(words[weekday:], 0)
    if found is None:
        return None
    month, of_month, end = found
    rest, year = words[weekday:][end:], None
    if rest:
        before, year = of_year(["", *rest], today)
        if year is None or before != [""]:
            return None
    if year is not None:
        return _named(date(year, month or today.month, of_month), today)
    days = [possible for possible in _possible(month, of_month, today) if possible is not None]
    return _named(_nearest(days, today, past), today) if days else None


def _month_and_day(words: Sequence[str], at: int) -> tuple[int | None, int, int] | None:
    """ "december 25", "25th december" or "25th", as month, day and the index behind."""
    month = MONTH_NUMBERS.get(words[at]) if at < len(words) else None
    at += month is not None
    place, count = ordinal_at(words, at), number_at(words, at)
    if place is None and count and count[0].denominator == 1:
        of_month, end = int(count[0]), count[1]
    elif place:
        of_month, end = place
    else:
        return None
    if month is None and end < len(words) and words[end] in MONTH_NUMBERS:
        month, end = MONTH_NUMBERS[words[end]], end + 1
    return None if (month is None and place is None) or not 1 <= of_month <= 31 else (month, of_month, end)


def _possible(month: int | None, of_month: int, today: date) -> list[date | None]:
    """That day in the years or months around."""
    if month is not None:
        pairs = [(today.year + more, month) for more in range(-8, 9)]
    else:
        months = [12 * today.year + today.month - 1 + more for more in (-2, -1, 0, 1, 2)]
        pairs = [(count // 12, count % 12 + 1) for count in months]
    return [date(year, of, of_month) if of_month <= monthrange(year, of)[1] else None for year, of in pairs]


def _named(day: date, today: date) -> Day:
    year = f", {day.year}" if day.year != today.year else ""
    return Day(day, f"{MONTHS[day.month - 1]} {day.day}{year}", is_date=True)


def _counted(
    words: list[str], today: date, holidays: Mapping[str, tuple[str, str]], ahead: bool
) -> Day | None:
    """So many days or weeks from a day: "in three days", "a week from Friday", "two weeks ago"."""
    article = words[:1] in (["a"], ["one"])
    found = (1, 1) if article else number_at(words, 0)
    if found is None or found[1] >= len(words):
        return None
    count, at = found
    span = _SPANS.get(words[at].removesuffix("s"))
    rest = words[at + 1 :]
    if span is None or count != int(count):
        return None
    spoken_of = " ".join(words)
    if rest == ["ago"]:
        return Day(today - timedelta(int(count) * span), spoken_of)
    if rest == [] and not ahead:  # "how long is a day" means none
        return None
    if rest in ([], ["from", "now"], ["from", "today"]):
        return Day(today + timedelta(int(count) * span), spoken_of if rest else f"{spoken_of} from now")
    start = day(" ".join(rest[1:]), today, holidays) if rest[0] in ("from", "after") else None
    if start is None:
        return None
    return Day(start.date + timedelta(int(count) * span), f"{' '.join(words[: at + 1])} from {start.name}")
