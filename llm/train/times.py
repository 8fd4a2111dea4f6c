"""Durations, times of the day and days as people say them.

What is said varies; what it means is written one way. Times are "HH:MM": where neither the words nor the
part of the day tell, an alarm is meant as it is said ("seven" is 07:00), and an afternoon hour of a reminder
(one to seven) is in the afternoon.
"""

import random
from collections.abc import Callable, Mapping
from types import MappingProxyType

from llm.train.numerals import Slots, Spoken, counted, number_words

_WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")

_ODD_DURATIONS: tuple[tuple[str, Slots], ...] = (
    ("half an hour", {"minutes": 30}),
    ("a half hour", {"minutes": 30}),
    ("an hour and a half", {"hours": 1, "minutes": 30}),
    ("one and a half hours", {"hours": 1, "minutes": 30}),
    ("two and a half hours", {"hours": 2, "minutes": 30}),
    ("three quarters of an hour", {"minutes": 45}),
    ("an hour and a quarter", {"hours": 1, "minutes": 15}),
    ("a quarter hour", {"minutes": 15}),
    ("half a minute", {"seconds": 30}),
    ("a minute and a half", {"minutes": 1, "seconds": 30}),
    ("two and a half minutes", {"minutes": 2, "seconds": 30}),
    ("a minute", {"minutes": 1}),
    ("an hour", {"hours": 1}),
    ("a couple of minutes", {"minutes": 2}),
    ("a dozen minutes", {"minutes": 12}),
)


def duration(rng: random.Random) -> Spoken:
    """`hours`, `minutes` and `seconds`, those that are said."""
    form = rng.random()
    if form < 0.22:
        return Spoken(*rng.choice(_ODD_DURATIONS))
    minutes = rng.choice([*range(1, 21), 25, 30, 35, 40, 45, 50, 55, 60, 75, 80, 90])
    if form < 0.72:
        return Spoken(counted(rng, minutes, "minute"), {"minutes": minutes})
    if form < 0.82:
        seconds = rng.choice([10, 15, 20, 25, 30, 40, 45, 50, 60, 75, 100, 120])
        return Spoken(counted(rng, seconds, "second"), {"seconds": seconds})
    if form < 0.9:
        hours = rng.randint(1, 12)
        return Spoken(counted(rng, hours, "hour"), {"hours": hours})
    if form < 0.96:
        hours, minutes = rng.randint(1, 3), rng.choice([5, 10, 15, 20, 30, 40, 45, 50])
        joined = rng.choice([" and ", " "]).join(
            [counted(rng, hours, "hour"), counted(rng, minutes, "minute")]
        )
        return Spoken(joined, {"hours": hours, "minutes": minutes})
    minutes, seconds = rng.randint(1, 12), rng.choice([10, 15, 20, 30, 45])
    joined = " and ".join([counted(rng, minutes, "minute"), counted(rng, seconds, "second")])
    return Spoken(joined, {"minutes": minutes, "seconds": seconds})


_QUARTERS: Mapping[int, Callable[[str, str], str]] = MappingProxyType(
    {
        0: lambda hour, _next: hour,
        15: lambda hour, _next: f"quarter past {hour}",
        30: lambda hour, _next: f"half past {hour}",
        45: lambda _hour, following: f"quarter to {following}",
        10: lambda hour, _next: f"ten past {hour}",
        20: lambda hour, _next: f"twenty past {hour}",
        40: lambda _hour, following: f"twenty to {following}",
        50: lambda _hour, following: f"ten to {following}",
        55: lambda _hour, following: f"five to {following}",
    }
)


def _clock(rng: random.Random, hour: int, minute: int, suffix: str) -> str:
    """A time of twelve hours; `suffix` is what makes it one of the day, if anything does."""
    spoken = rng.random()
    after = hour % 12 + 1
    if spoken < 0.35 and minute in _QUARTERS and not (minute == 0 and not suffix):
        said = _QUARTERS[minute](number_words(hour), number_words(after))
    elif minute == 0:
        said = number_words(hour) if spoken < 0.6 else str(hour)
        said += " o'clock" if not suffix and spoken < 0.9 else ""
    elif spoken < 0.65:
        said = f"{number_words(hour)} {'oh ' if minute < 10 else ''}{number_words(minute)}"
    else:
        said = f"{hour}:{minute:02}"
    return f"{said}{suffix}"


_MORNING = (" am", " a.m.", " in the morning")
_AFTERNOON = (" pm", " p.m.", " in the afternoon")
_EVENING = (" pm", " p.m.", " in the evening")


def _time(rng: random.Random, afternoon_hours: range) -> Spoken:
    if rng.random() < 0.06:
        said, time = rng.choice([("noon", "12:00"), ("midday", "12:00"), ("midnight", "00:00")])
        return Spoken(said, {"time": time})
    hour = rng.choice([5, 6, 6, 7, 7, 8, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22])
    minute = rng.choice([0, 0, 0, 15, 30, 30, 45, 5, 10, 20, 25, 40, 50, 55])
    twelve = (hour - 1) % 12 + 1
    parts = _MORNING if hour < 12 else _AFTERNOON if hour < 18 else _EVENING
    if rng.random() < 0.5:
        meant = twelve + 12 if twelve in afternoon_hours else twelve
        return Spoken(_clock(rng, twelve, minute, ""), {"time": f"{meant:02}:{minute:02}"})
    return Spoken(_clock(rng, twelve, minute, rng.choice(parts)), {"time": f"{hour:02}:{minute:02}"})


def alarm_time(rng: random.Random) -> Spoken:
    """`time`, in the morning if nothing else is said."""
    return _time(rng, range(0))


def reminder_time(rng: random.Random) -> Spoken:
    """`time`, in the afternoon for one to seven if nothing else is said."""
    return _time(rng, range(1, 8))


def day(rng: random.Random) -> Spoken:
    """`day`: "today", "tomorrow" or a weekday's name."""
    if rng.random() < 0.45:
        return Spoken("tomorrow", {"day": "tomorrow"})
    name = rng.choice(_WEEKDAYS)
    return Spoken(rng.choice(["on ", "", "this "]) + name.capitalize(), {"day": name})


def date_of(rng: random.Random) -> Spoken:
    """`day`, of which somebody wants to know the date."""
    if rng.random() < 0.5:
        name = rng.choice(_WEEKDAYS)
        return Spoken(rng.choice(["next ", "this ", ""]) + name.capitalize(), {"day": name})
    name = rng.choice(["tomorrow", "yesterday", "the day after tomorrow", "christmas", "new year's eve"])
    return Spoken(name, {"day": name.removeprefix("the ")})
