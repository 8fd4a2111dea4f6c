"""Shares, degrees, sums and units as people say them, and all that a template's slots can hold."""

import random
from collections.abc import Callable, Mapping
from types import MappingProxyType

from llm.train.numerals import Spoken, number_said, number_words
from llm.train.times import alarm_time, date_of, day, duration, reminder_time


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
    return f"{number_said(rng, value)} percent", value


def step(rng: random.Random) -> Spoken:
    """`volume_step`, upwards; a template's own slots turn it round."""
    value = rng.choice([5, 10, 15, 20, 25, 30])
    return Spoken(f"{number_said(rng, value)} percent", {"volume_step": value})


def step_down(rng: random.Random) -> Spoken:
    """`volume_step`, downwards."""
    value = rng.choice([5, 10, 15, 20, 25, 30])
    return Spoken(f"{number_said(rng, value)} percent", {"volume_step": -value})


def temperature(rng: random.Random) -> Spoken:
    """`temperature` in degrees, of a room: Celsius mostly, or Fahrenheit by the number."""
    if rng.random() < 0.15:
        whole = rng.randint(17, 24)
        return Spoken(f"{number_words(whole)} and a half", {"temperature": whole + 0.5})
    value = rng.choice([*range(16, 27), *range(16, 27), *range(62, 76)])
    return Spoken(number_said(rng, value), {"temperature": value})


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
    return f"{number_said(rng, left)} {words} {number_said(rng, right)}", f"{left} {sign} {right}"


def calculation(rng: random.Random) -> Spoken:
    """`expression`, of numbers, + - * / ** ( ) and sqrt."""
    form = rng.random()
    if form < 0.6:
        said, expression = _sum_of_two(rng)
    elif form < 0.8:
        share, whole = rng.choice([5, 8, 10, 12, 15, 18, 20, 25, 30, 40, 60, 75]), rng.randint(10, 500)
        said = f"{number_said(rng, share)} percent of {number_said(rng, whole)}"
        expression = f"{share} / 100 * {whole}"
    elif form < 0.9:
        base = rng.randint(2, 20)
        said, expression = f"the square root of {number_said(rng, base * base)}", f"sqrt({base * base})"
    else:
        base = rng.randint(2, 15)
        word, power = rng.choice([("squared", 2), ("cubed", 3)])
        said, expression = f"{number_said(rng, base)} {word}", f"{base} ** {power}"
    return Spoken(said, {"expression": expression})


def shared_bill(rng: random.Random) -> Spoken:
    """`expression` of a sum that some share; the words are "90 dollars by six"."""
    people = rng.randint(2, 9)
    amount = people * rng.randint(5, 40)
    unit = rng.choice(["dollars", "euros", "pounds"])
    return Spoken(
        f"{number_said(rng, amount)} {unit} by {number_said(rng, people)}",
        {"expression": f"{amount} / {people}"},
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
    said = f"{number_said(rng, value)} {degrees}{source}{joined}{target}"
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
