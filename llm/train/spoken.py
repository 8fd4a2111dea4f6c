"""Numbers, durations, times and the like as people say them, each with the slots that it fills.

What is said varies; what it means is written one way. Times are "HH:MM": where neither the words nor the
part of the day tell, an alarm is meant as it is said ("seven" is 07:00), and an afternoon hour of a reminder
(one to seven) is in the afternoon.
"""

import random
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple

Slots = Mapping[str, object]

_ONES = (
    *(
        "zero",
        "one",
        "two",
        "three",
        "four",
        "five",
        "six",
        "seven",
        "eight",
        "nine",
        "ten",
        "eleven",
        "twelve",
    ),
    *("thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"),
)
_TENS = ("", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


class Spoken(NamedTuple):
    """Words, and what they mean."""

    words: str
    slots: Slots


def number_words(number: int) -> str:
    """0 to 999 in words: 142 is "one hundred and forty-two"."""
    if number < 20:
        return _ONES[number]
    if number < 100:
        return _TENS[number // 10] + (f"-{_ONES[number % 10]}" if number % 10 else "")
    rest = f" and {number_words(number % 100)}" if number % 100 else ""
    return f"{_ONES[number // 100]} hundred{rest}"


def _number(rng: random.Random, number: int) -> str:
    return number_words(number) if rng.random() < 0.6 else str(number)


def _counted(rng: random.Random, number: int, unit: str) -> str:
    return f"{_number(rng, number)} {unit}{'' if number == 1 else 's'}"


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
        return Spoken(_counted(rng, minutes, "minute"), {"minutes": minutes})
    if form < 0.82:
        seconds = rng.choice([10, 15, 20, 25, 30, 40, 45, 50, 60, 75, 100, 120])
        return Spoken(_counted(rng, seconds, "second"), {"seconds": seconds})
    if form < 0.9:
        hours = rng.randint(1, 12)
        return Spoken(_counted(rng, hours, "hour"), {"hours": hours})
    if form < 0.96:
        hours, minutes = rng.randint(1, 3), rng.choice([5, 10, 15, 20, 30, 40, 45, 50])
        joined = rng.choice([" and ", " "]).join(
            [_counted(rng, hours, "hour"), _counted(rng, minutes, "minute")]
        )
        return Spoken(joined, {"hours": hours, "minutes": minutes})
    minutes, seconds = rng.randint(1, 12), rng.choice([10, 15, 20, 30, 45])
    joined = " and ".join([_counted(rng, minutes, "minute"), _counted(rng, seconds, "second")])
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


def percent(rng: random.Random) -> Spoken:
    """`brightness`, 0 to 100."""
    said, value = _share(rng)
    return Spoken(said, {"brightness": value})


def level(rng: random.Random) -> Spoken:
    """`volume_level`, 0 to 100."""
    said, value = _share(rng)
    return Spoken(said, {"volume_level": value})


def _share(rng: random.Random) -> tuple[str, int]:
    if rng.random() < 0.12:
        return rng.choice([("half", 50), ("a quarter", 25), ("three quarters", 75), ("a third", 33)])
    value = rng.choice([*range(5, 101, 5), 12, 18, 33, 42, 66])
    return f"{_number(rng, value)} percent", value


def step(rng: random.Random) -> Spoken:
    """`volume_step`, upwards; a template's own slots turn it round."""
    value = rng.choice([5, 10, 15, 20, 25, 30])
    return Spoken(f"{_number(rng, value)} percent", {"volume_step": value})


def step_down(rng: random.Random) -> Spoken:
    """`volume_step`, downwards."""
    value = rng.choice([5, 10, 15, 20, 25, 30])
    return Spoken(f"{_number(rng, value)} percent", {"volume_step": -value})


def temperature(rng: random.Random) -> Spoken:
    """`temperature` in degrees, of a room: Celsius mostly, or Fahrenheit by the number."""
    if rng.random() < 0.15:
        whole = rng.randint(17, 24)
        return Spoken(f"{number_words(whole)} and a half", {"temperature": whole + 0.5})
    value = rng.choice([*range(16, 27), *range(16, 27), *range(62, 76)])
    return Spoken(_number(rng, value), {"temperature": value})


def _sum_of_two(rng: random.Random) -> tuple[str, str]:
    words, sign = rng.choice(
        [
            ("plus", "+"),
            ("and", "+"),
            ("minus", "-"),
            ("take away", "-"),
            ("times", "*"),
            ("multiplied by", "*"),
            ("divided by", "/"),
            ("over", "/"),
        ]
    )
    most = 20 if sign in "*/" and rng.random() < 0.6 else 400
    left, right = rng.randint(2, most), rng.randint(2, most if sign in "+-" else 25)
    if sign == "/":
        left *= right if left * right < 1000 else 1
    return f"{_number(rng, left)} {words} {_number(rng, right)}", f"{left} {sign} {right}"


def calculation(rng: random.Random) -> Spoken:
    """`expression`, of numbers, + - * / ** ( ) and sqrt."""
    form = rng.random()
    if form < 0.6:
        said, expression = _sum_of_two(rng)
    elif form < 0.8:
        share, whole = rng.choice([5, 8, 10, 12, 15, 18, 20, 25, 30, 40, 60, 75]), rng.randint(10, 500)
        said = f"{_number(rng, share)} percent of {_number(rng, whole)}"
        expression = f"{share} / 100 * {whole}"
    elif form < 0.9:
        base = rng.randint(2, 20)
        said, expression = f"the square root of {_number(rng, base * base)}", f"sqrt({base * base})"
    else:
        base = rng.randint(2, 15)
        word, power = rng.choice([("squared", 2), ("cubed", 3)])
        said, expression = f"{_number(rng, base)} {word}", f"{base} ** {power}"
    return Spoken(said, {"expression": expression})


def shared_bill(rng: random.Random) -> Spoken:
    """`expression` of a sum that some share; the words are "90 dollars by six"."""
    people = rng.randint(2, 9)
    amount = people * rng.randint(5, 40)
    unit = rng.choice(["dollars", "euros", "pounds"])
    return Spoken(
        f"{_number(rng, amount)} {unit} by {_number(rng, people)}", {"expression": f"{amount} / {people}"}
    )


_UNITS = (
    ("miles", "kilometers"),
    ("kilometers", "miles"),
    ("pounds", "kilograms"),
    ("kilograms", "pounds"),
    ("inches", "centimeters"),
    ("centimeters", "inches"),
    ("feet", "meters"),
    ("meters", "feet"),
    ("ounces", "grams"),
    ("grams", "ounces"),
    ("gallons", "liters"),
    ("liters", "gallons"),
    ("cups", "milliliters"),
    ("tablespoons", "milliliters"),
    ("fahrenheit", "celsius"),
    ("celsius", "fahrenheit"),
    ("hours", "minutes"),
    ("weeks", "days"),
    ("yards", "meters"),
    ("pints", "liters"),
)


def conversion(rng: random.Random) -> Spoken:
    """`value`, `from` and `to`; the words are "ten miles to kilometers"."""
    source, target = rng.choice(_UNITS)
    value = rng.choice([*range(2, 21), 25, 30, 40, 50, 60, 75, 80, 90, 100, 150, 180, 200, 212, 250, 400])
    degrees = "degrees " if source in ("fahrenheit", "celsius") and rng.random() < 0.6 else ""
    joined = rng.choice([" to ", " in ", " into "])
    said = f"{_number(rng, value)} {degrees}{source}{joined}{target}"
    return Spoken(said, {"value": value, "from": source, "to": target})


def unit_pair(rng: random.Random) -> Spoken:
    """`value` 1, `from` and `to`; the words are "grams in an ounce"."""
    singular = {"feet": "foot", "inches": "inch"}
    source, target = rng.choice([(s, t) for s, t in _UNITS if s not in ("fahrenheit", "celsius")])
    one = singular.get(source, source.removesuffix("s"))
    article = "an" if one[0] in "aeio" or one == "hour" else "a"
    return Spoken(f"{target} in {article} {one}", {"value": 1, "from": source, "to": target})


SPOKEN: Mapping[str, Callable[[random.Random], Spoken]] = MappingProxyType(
    {
        "alarm_time": alarm_time,
        "bill": shared_bill,
        "conversion": conversion,
        "date": date_of,
        "day": day,
        "duration": duration,
        "level": level,
        "percent": percent,
        "step": step,
        "step_down": step_down,
        "sum": calculation,
        "temperature": temperature,
        "time": reminder_time,
        "units": unit_pair,
    }
)
"""By the names that templates know them by."""
