"""Numbers as people say them, and what spoken words are: words with the slots that they fill."""

import random
from collections.abc import Mapping
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


def number_said(rng: random.Random, number: int) -> str:
    """In words mostly, else in digits, as a recognizer writes it."""
    return number_words(number) if rng.random() < 0.6 else str(number)


def counted(rng: random.Random, number: int, unit: str) -> str:
    """A number of a unit: "ten minutes", "1 hour"."""
    return f"{number_said(rng, number)} {unit}{'' if number == 1 else 's'}"
