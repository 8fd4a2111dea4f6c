"""The time, here and elsewhere, and the calendar: which day is when, and how long until then."""

import re
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from assistant.skills.dates.days import MONTH_NUMBERS, MONTHS, WEEKDAYS, Day, day
from assistant.skills.dates.holidays import holidays
from assistant.skills.dates.intervals import hours, span
from assistant.skills.dates.months import days_in_month, leap_year
from assistant.skills.dates.places import LANDS, places
from assistant.skills.sentences import home_assistant, our_own
from assistant.skills.skill import Answer, Choice, Intent, Services, Situation
from assistant.skills.sums.numbers import tokens

_PAST = re.compile(r"\b(?:was|did|since|ago)\b", re.IGNORECASE)
_LONG = timedelta(800)  # in days it would tell nobody anything
_OF_DAYS = ("GetDate", "DaysUntil")
"""After these "when is that" asks about the day that was talked about."""
_SATURDAY = 5
_WEEKDAYS = tuple(name.casefold() for name in WEEKDAYS)
_NEAR = {0: "is today", 1: "is tomorrow", -1: "was yesterday"}


class Clock:
    """HassGetCurrentTime{place}, HassGetCurrentDate, GetDate{day, part, is}, DaysUntil{day, unit} ..."""

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
        if "that" in intent.slots:
            about = situation.before
            if about is None or about.name not in _OF_DAYS or "day" not in about.slots:
                return None
            unit = {name: value for name, value in intent.slots.items() if name == "unit"}
            intent = Intent(intent.name, {**unit, "day": about.slots["day"]}, intent.text)
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
            case "TimeDifference":
                return self._difference(slots["place"], slots.get("other"), now)
            case "GetDate":
                if "is" in slots:
                    return self._whether(intent, today)
                return _part(slots["part"], today) if "part" in slots else self._when(intent, today)
            case "DaysUntil":
                return self._until(intent, today)
            case "DaysInMonth":
                return days_in_month(slots["month"], today)
            case _:
                return leap_year(slots.get("year"), today, following="next leap" in intent.text.casefold())

    def _time(self, place: str, now: datetime) -> str | None:
        found = self._place(place)
        if found is None:
            return None
        name, zone = found
        there = now.astimezone(ZoneInfo(zone))
        on = "" if there.date() == now.date() else f" on {WEEKDAYS[there.weekday()]}"
        return f"It's {_clock(there)}{on} in {name}."

    def _difference(self, place: str, other: str | None, now: datetime) -> str | None:
        """By how much the clocks of a place are ahead of another's, or of those here."""
        first, second = self._place(place), self._place(other) if other else ("here", "")
        if first is None or second is None:
            return None
        there = now.astimezone(ZoneInfo(first[1])).utcoffset()
        here = now.astimezone(ZoneInfo(second[1])).utcoffset() if second[1] else now.utcoffset()
        assert there is not None and here is not None, "both have a time zone"
        minutes = int((there - here).total_seconds()) // 60
        if minutes == 0:
            return f"It's the same time in {first[0]} as {'in ' if second[1] else ''}{second[0]}."
        return f"{first[0]} is {hours(abs(minutes))} {'ahead of' if minutes > 0 else 'behind'} {second[0]}."

    def _place(self, said: str) -> tuple[str, str] | None:
        """Of "paris france", the first if both are places."""
        said = said.casefold().replace(",", "")
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

    def _whether(self, intent: Intent, today: date) -> str | None:
        """Whether a day is "Tuesday", "the 30th", "Christmas", "November" or "the weekend"."""
        asked, words = self._day(intent, today), tokens(str(intent.slots["is"]))
        words = words[words[:1] in (["the"], ["a"], ["on"]) :]
        if asked is None or not words:
            return None
        of = asked.date
        if words == ["weekend"]:
            fits = of.weekday() >= _SATURDAY
        elif len(words) == 1 and words[0] in MONTH_NUMBERS:
            fits = of.month == MONTH_NUMBERS[words[0]]
        elif len(words) == 1 and words[0] in _WEEKDAYS:
            fits = of.weekday() == _WEEKDAYS.index(words[0])
        else:
            other = day(" ".join(words), of, self._holidays)
            if other is None:
                return None
            fits = other.date == of
        answer = "Yes" if fits else "No"
        verb = "was" if of < today else "is"
        if asked.is_date:
            return f"{answer}, {asked.name} {verb} a {WEEKDAYS[of.weekday()]}."
        return f"{answer}, {'it' if asked.name == 'today' else asked.name} {verb} {_written(of)}."

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
        length = span(first, last, str(unit))
        if ahead < 0:
            return f"It has been {length} since {asked.name}."
        return f"There {'is' if length.startswith('1 ') else 'are'} {length} until {asked.name}."


def _again(intent: Intent, before: Intent) -> Intent:
    """The intent before with another place or day."""
    slot = "place" if intent.name == "HassGetCurrentTime" else "day"
    slots = {name: value for name, value in before.slots.items() if name != "part"}
    return Intent(intent.name, {**slots, slot: intent.slots["again"]}, intent.text)


def _clock(at: datetime) -> str:
    if at.minute == 0 and at.hour in (0, 12):
        return "noon" if at.hour else "midnight"
    return f"{at.hour % 12 or 12}:{at.minute:02d} {'AM' if at.hour < 12 else 'PM'}"


def _written(of: date) -> str:
    return f"{WEEKDAYS[of.weekday()]}, {MONTHS[of.month - 1]} {of.day}"


def _part(part: str, today: date) -> str:
    if part == "week":
        return f"It's week {today.isocalendar().week}."
    return f"It's {MONTHS[today.month - 1] if part == 'month' else today.year}."
