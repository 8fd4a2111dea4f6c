"""Spoken times: "quarter to seven", "tomorrow at 6:30 a.m.", "every weekday at 7", "in 20 minutes"."""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from assistant.skills.timers.figures import MONTHS, in_figures
from assistant.skills.timers.spans import Span, span

WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
Part = Literal["", "morning", "afternoon", "evening", "night"]
EVERY_DAY, WORKDAYS, WEEKEND = "0123456", "01234", "56"


@dataclass(frozen=True)
class Clock:
    """What a clock shows; `half` is "" where it may be either; midnight is 24 of the day before."""

    hour: int
    minute: int = 0
    half: Literal["", "am", "pm"] = ""

    @property
    def hours(self) -> tuple[int, ...]:
        """The hours of the day that it may be, from 0 to 24."""
        if self.half:
            return (self.hour % 12 + (12 if self.half == "pm" else 0),)
        if self.hour > 12 or self.hour == 0:
            return (self.hour,)
        return (self.hour % 12, self.hour % 12 + 12)


@dataclass(frozen=True)
class When:
    """What was said of a time; each part may be missing."""

    span: Span | None = None
    """From now."""
    day: str = ""
    """As said: "tomorrow", "next monday", "every weekday"; a date as "2026-12-05", "--12-05", "-05"."""
    part: Part = ""
    clock: Clock | None = None
    days: str = ""
    """Weekdays on which it comes again, Monday is "0"."""

    @property
    def open_ended(self) -> bool:
        """Whether more of it may follow: "tomorrow" - "at 8", "at 3" - "p.m."."""
        if self.span:
            return self.span.hours > 0 and not self.span.minutes  # "an hour" - "and a half"
        if self.clock is None:
            return True
        clock = self.clock
        if not clock.half and not clock.minute and clock.hour < 24:
            return True  # "7" - "30"
        return len(clock.hours) > 1 and not self.part and not self.day


_HOUR = r"(?P<hour>[01]?\d|2[0-3])"
_HALF = r"(?: ?(?P<half>[ap]) ?m\b)?"
_SHARP = r"(?: (?:sharp|exactly|on the dot))?"
_TO = r"(?P<way>past|after|to|before|till|until|of)"
_CLOCKS = tuple(
    re.compile(rf"(?:at |for |around |about |by )?(?:{pattern}){_SHARP}(?= |$)")
    for pattern in (
        rf"(?P<part>half|a quarter|quarter|[1-5]?\d)(?: minutes)? {_TO} "
        rf"(?:{_HOUR}(?: o'clock)?{_HALF}|(?P<named>noon|midday|midnight))",
        rf"half {_HOUR}{_HALF}(?! (?:hour|minute|day))",
        rf"{_HOUR}[:. ](?P<minute>[0-5]\d){_HALF}(?: hours| o'clock)?",
        rf"(?P<joined>[0-2]?\d[0-5]\d){_HALF}(?: hours)?",
        r"(?:12 )?(?P<named>noon|midday|midnight)",
        rf"{_HOUR}(?: o'clock)?{_HALF}",
    )
)
_WEEKDAY = f"(?:{'|'.join(WEEKDAYS)})"
_DAY = re.compile(
    rf"(?:on |for |at )?(?:(?P<same>the day after tomorrow|tomorrow|today|tonight)"
    rf"|(?P<weekend>(?:this|the|next|this coming) weekend)"
    rf"|(?P<which>next |this coming |this |the coming |coming )?(?P<weekday>{_WEEKDAY}))(?= |$)"
)
_DATE = re.compile(
    rf"(?:on |for )?(?:(?:the )?(?P<day>\d\d?)(?:st|nd|rd|th)?(?: of)? (?P<month>{'|'.join(MONTHS)})"
    rf"|(?P<month_first>{'|'.join(MONTHS)}) (?:the )?(?P<day_last>\d\d?)(?:st|nd|rd|th)?"
    rf"|the (?P<only>\d\d?)(?:st|nd|rd|th)(?! \d+$)|(?P<iso>\d{{4}} \d\d \d\d))(?= |$)"
)
_PART = re.compile(
    r"(?:(?P<this>this |later this )|(?:(?:for |later )?(?:in|at) )?(?:the )?)"
    r"(?P<part>morning|afternoon|evening|night)(?= |$)"
)
_EVERY = re.compile(
    rf"(?:(?P<day>every ?day|daily|each day)|(?P<part>every |each )(?P<which>morning|afternoon|evening|night)"
    rf"|(?P<work>(?:every |each |on )?(?:weekday|workday|week day)s?"
    rf"|(?:every |from )?monday (?:to|through|till) friday)|(?P<end>(?:every |on )?weekends?)"
    rf"|(?:every |each |on )?(?P<plural>{_WEEKDAY}s(?:(?: and|,)? {_WEEKDAY}s)*)"
    rf"|(?:every |each )(?P<list>{_WEEKDAY}(?:(?: and|,)? {_WEEKDAY})*))(?= |$)"
)
_IN = re.compile(r"^(?:in|after) (.+)$|^(.+) from now$")
_NOISE = re.compile(r"^(?:uh|um|well|okay|maybe) |[,.!?]+| (?:please|thanks|thank you|then|for me|instead)$")


def when(text: str) -> When | None:
    """The time that all of `text` names; None if it is anything else."""
    words = in_figures(text)
    while (
        cut := re.sub(r"\s+", " ", _NOISE.sub(" ", re.sub(r"(?<=\d)[.:](?=\d)", ":", words))).strip()
    ) != words:
        words = cut
    words = re.sub(r"\boh (\d)\b", r"0\1", words)
    found = _IN.match(words)
    length = span(found[1] or found[2]) if found else None
    if length and not length.bare:
        return When(span=length)
    return _all(words) if words else None


def _all(words: str) -> When | None:
    """Day, part of the day and clock in any order, each once."""
    said, place = When(), 0
    while place < len(words):
        for take in _TAKERS:
            taken = take(words, place, said)
            if taken is not None:
                said, place = taken
                break
        else:
            return None
        place += words[place : place + 1] == " "
    return said


_Taken = tuple[When, int] | None


def _take_every(words: str, place: int, said: When) -> _Taken:
    found = _EVERY.match(words, place)
    if found is None or said.day or said.days:
        return None
    named = found["plural"] or found["list"] or ""
    days = "".join(str(number) for number, day in enumerate(WEEKDAYS) if day in named)
    days = days or (WORKDAYS if found["work"] else WEEKEND if found["end"] else EVERY_DAY)
    part = _part(found["which"]) if found["which"] else said.part
    return replace(said, days=days, day=found[0].removeprefix("on "), part=part), found.end()


def _take_day(words: str, place: int, said: When) -> _Taken:
    found = _DAY.match(words, place)
    if found is None or said.day:
        return None
    day = found["same"] or found["weekend"] or (found["which"] or "") + found["weekday"]
    return replace(said, day=day, part="night" if day == "tonight" else said.part), found.end()


def _take_date(words: str, place: int, said: When) -> _Taken:
    found = _DATE.match(words, place)
    if found is None or said.day:
        return None
    if found["iso"]:
        return replace(said, day=found["iso"].replace(" ", "-")), found.end()
    day = int(found["day"] or found["day_last"] or found["only"])
    if not 1 <= day <= 31:
        return None
    month = found["month"] or found["month_first"]
    date = f"--{MONTHS.index(month) + 1:02}-{day:02}" if month else f"-{day:02}"
    return replace(said, day=date), found.end()


def _take_part(words: str, place: int, said: When) -> _Taken:
    found = _PART.match(words, place)
    if found is None or said.part:
        return None
    part = _part(found["part"])
    if not found["this"]:
        return replace(said, part=part), found.end()
    return None if said.day else (replace(said, part=part, day=f"this {part}"), found.end())


def _take_clock(words: str, place: int, said: When) -> _Taken:
    for pattern in _CLOCKS if said.clock is None else ():
        found = pattern.match(words, place)
        clock = _clock(found) if found else None
        if found and clock:
            return replace(said, clock=clock), found.end()
    return None


_TAKERS: tuple[Callable[[str, int, When], _Taken], ...] = (
    _take_every, _take_day, _take_date, _take_part, _take_clock,
)  # fmt: skip


def _part(word: str) -> Part:
    parts: tuple[Part, ...] = ("morning", "afternoon", "evening", "night")
    return next(part for part in parts if part == word)


def _clock(found: re.Match[str]) -> Clock | None:
    """What a pattern found; None if no clock shows it."""
    group = found.groupdict()
    half: Literal["", "am", "pm"] = {"a": "am", "p": "pm"}.get(group.get("half") or "", "")  # type: ignore[assignment]
    if named := group.get("named"):
        hour, minute, half = (24, 0, "") if named == "midnight" else (12, 0, "pm")
    elif joined := group.get("joined"):
        hour, minute = int(joined[:-2]), int(joined[-2:])
    else:
        hour, minute = int(group["hour"]), int(group.get("minute") or 0)
    if not half and str(group.get("hour") or group.get("joined"))[0] == "0":
        half = "am"  # so clocks of 24 hours write it
    if hour > 24 or (half and hour > 12):
        return None
    if "way" in group:
        return _beside(Clock(hour, 0, half), str(group["part"]), str(group["way"]))
    return Clock(hour, 30, half) if found.re is _CLOCKS[1] else Clock(hour, minute, half)


def _beside(clock: Clock, part: str, way: str) -> Clock:
    """So much before or after the hour; before twelve is in the other half of the day."""
    minutes = 30 if part == "half" else 15 if part.endswith("quarter") else int(part)
    if way in ("past", "after"):
        return replace(clock, minute=minutes)
    if minutes == 0:
        return clock
    hour = clock.hour - 1 if clock.hour > 0 else 23
    half = clock.half
    if clock.hour == 12 and half:
        half = "am" if half == "pm" else "pm"
    return Clock(12 if hour == 0 else hour, 60 - minutes, half)
