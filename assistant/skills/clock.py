"""The time, here and elsewhere, and the calendar: which day is when, and how long until then."""

import calendar
import re
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from assistant.skills.days import MONTHS, WEEKDAYS, Day, day, month_of, year_at
from assistant.skills.holidays import holidays
from assistant.skills.numbers import tokens
from assistant.skills.places import LANDS, places
from assistant.skills.sentences import home_assistant, our_own
from assistant.skills.skill import Answer, Choice, Intent, Services, Situation

_PAST = re.compile(r"\b(?:was|did|since|ago)\b", re.IGNORECASE)
_LONG = timedelta(800)  # in days it would tell nobody anything
_NEAR = {0: "is today", 1: "is tomorrow", -1: "was yesterday"}


class Clock:
    """HassGetCurrentTime{place}, HassGetCurrentDate, GetDate{day, part}, DaysUntil{day, unit} and more."""

    def __init__(self, services: Services) -> None:
        self._holidays, self._places = holidays(services.country), places()

    @property
    def sentences(self) -> Sequence[Mapping[str, Any]]:
        """See `Skill`."""
        return home_assistant("HassGetCurrentTime", "HassGetCurrentDate"), our_own("clock")

    @property
    def lists(self) -> Mapping[str, Sequence[Choice]]:
        """See `Skill`."""
        return {}

    def answer(self, intent: Intent, situation: Situation) -> Answer | None:
        """See `Skill`."""
        if "again" in intent.slots:
            if situation.before is None or situation.before.name != intent.name:
                return None
            intent = _again(intent, situation.before)
        if "ahead" in intent.slots:
            intent = Intent(intent.name, {"day": f"{intent.slots['ahead']} from now"}, intent.text)
        text = self._text(intent, situation.now)
        if text is None:
            return None
        asked = self._day(intent, situation.now.date()) if "day" in intent.slots else None
        slots = {**intent.slots, "day": asked.name} if asked else intent.slots
        return Answer(text, intent=Intent(intent.name, slots, intent.text))

    def _text(self, intent: Intent, now: datetime) -> str | None:
        today, slots = now.date(), {name: str(value) for name, value in intent.slots.items()}
        match intent.name:
            case "HassGetCurrentTime":
                return self._time(slots["place"], now) if "place" in slots else f"It's {_clock(now)}."
            case "HassGetCurrentDate":
                return f"It's {_written(today)}, {today.year}."
            case "GetDate":
                return _part(slots["part"], today) if "part" in slots else self._when(intent, today)
            case "DaysUntil":
                return self._until(intent, today)
            case "DaysInMonth":
                return _days_in_month(slots["month"], today)
            case _:
                return _leap_year(slots.get("year"), today, following="next leap" in intent.text.casefold())

    def _time(self, place: str, now: datetime) -> str | None:
        found = self._place(place.casefold().replace(",", ""))
        if found is None:
            return None
        name, zone = found
        there = now.astimezone(ZoneInfo(zone))
        on = "" if there.date() == now.date() else f" on {WEEKDAYS[there.weekday()]}"
        return f"It's {_clock(there)}{on} in {name}."

    def _place(self, said: str) -> tuple[str, str] | None:
        """Of "paris france", the first if both are places."""
        words = said.split()
        for at in range(1, len(words)):
            city, land = " ".join(words[:at]), " ".join(words[at:])
            if city in self._places and (land in self._places or land in LANDS):
                return self._places[city]
        return self._places.get(said)

    def _day(self, intent: Intent, today: date) -> Day | None:
        past = _PAST.search(intent.text) is not None
        return day(str(intent.slots["day"]), today, self._holidays, past=past)

    def _when(self, intent: Intent, today: date) -> str | None:
        """When a day is, or which weekday it has if its date was said."""
        asked = self._day(intent, today)
        if asked is None:
            return None
        verb = "was" if asked.date < today else "is"
        weekday = WEEKDAYS[asked.date.weekday()]
        if asked.is_date:
            return f"{asked.name} {verb} a {weekday}."
        known = asked.date.year == today.year or str(asked.date.year) in asked.name
        year = "" if known else f", {asked.date.year}"
        written = f"{_written(asked.date)}{year}"
        if weekday in asked.name:
            written = written.removeprefix(f"{weekday}, ")
        return f"{asked.name[0].upper()}{asked.name[1:]} {verb} {written}."

    def _until(self, intent: Intent, today: date) -> str | None:
        """How long it is until a day, or since then."""
        asked = self._day(intent, today)
        if asked is None or asked.name in ("today", "tomorrow", "yesterday"):
            return None
        ahead = (asked.date - today).days
        name = f"{asked.name[0].upper()}{asked.name[1:]}"
        if ahead in _NEAR:
            return f"{name} {_NEAR[ahead]}."
        first, last = sorted((today, asked.date))
        unit = intent.slots.get("unit", "year" if last - first > _LONG else "day")
        span = _span(first, last, str(unit))
        if ahead < 0:
            return f"It has been {span} since {asked.name}."
        return f"There {'is' if span.startswith('1 ') else 'are'} {span} until {asked.name}."


def _again(intent: Intent, before: Intent) -> Intent:
    """The intent before with another place or day."""
    slot = "place" if intent.name == "HassGetCurrentTime" else "day"
    slots = {name: value for name, value in before.slots.items() if name != "part"}
    return Intent(intent.name, {**slots, slot: intent.slots["again"]}, intent.text)


def _clock(at: datetime) -> str:
    return f"{at.hour % 12 or 12}:{at.minute:02d} {'AM' if at.hour < 12 else 'PM'}"


def _written(of: date) -> str:
    return f"{WEEKDAYS[of.weekday()]}, {MONTHS[of.month - 1]} {of.day}"


def _part(part: str, today: date) -> str:
    if part == "week":
        return f"It's week {today.isocalendar().week}."
    return f"It's {MONTHS[today.month - 1] if part == 'month' else today.year}."


def _span(first: date, last: date, unit: str) -> str:
    """From one day to a later one: "25 days", "3 weeks and 4 days", "2 months and 1 day", "5 years"."""
    days = (last - first).days
    months = 12 * (last.year - first.year) + last.month - first.month
    months -= _months_after(first, months) > last
    if unit == "week":
        parts = [(days // 7, "week"), (days % 7, "day")]
    elif unit == "month":
        parts = [(months, "month"), ((last - _months_after(first, months)).days, "day")]
    elif unit == "year" and months:
        parts = [(months // 12, "year"), (months % 12, "month")]
    else:
        parts = [(days, "day")]
    return " and ".join(_count(many, of) for many, of in parts if many)


def _months_after(of: date, months: int) -> date:
    years, month = divmod(of.month - 1 + months, 12)
    length = calendar.monthrange(of.year + years, month + 1)[1]
    return date(of.year + years, month + 1, min(of.day, length))


def _count(many: int, unit: str) -> str:
    return f"{many:,} {unit}{'' if many == 1 else 's'}"


def _days_in_month(text: str, today: date) -> str | None:
    years = {
        "a leap year": "A leap year has 366 days.",
        "this year": f"{today.year} has {_length(today.year)} days.",
    }
    if text.casefold() in years:
        return years[text.casefold()]
    found = month_of(text, today)
    if found is None:
        return None
    year, month = found
    named = f"{MONTHS[month - 1]} {year}" if month == 2 or year != today.year else MONTHS[month - 1]
    return f"{named} has {calendar.monthrange(year, month)[1]} days."


def _length(year: int) -> int:
    return 366 if calendar.isleap(year) else 365


def _leap_year(text: str | None, today: date, *, following: bool) -> str | None:
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
