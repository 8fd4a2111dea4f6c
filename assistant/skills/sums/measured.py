"""So much of a unit, as it is said: "5 foot 10", "half a mile", "two and a half cups of flour"."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from assistant.skills.sums.cooking import DENSITIES
from assistant.skills.sums.measures import Measures
from assistant.skills.sums.numbers import Found, number_at, tokens

_ARTICLES = ("a", "an", "the", "one", "each", "every", "single")
_MINUS = ("minus", "negative", "-")
_LESSER = {"feet": "inches", "pounds": "ounces", "stone": "pounds"}  # what "5 foot 10" leaves out


@dataclass(frozen=True)
class Measured:
    """Numbers, and as many units with all that their names may mean; a number alone has none."""

    values: tuple[Fraction, ...]
    units: tuple[Sequence[str], ...]
    of: str = ""
    """An ingredient."""
    counted: bool = True
    """A number or an article is said, not the unit alone."""


def measured(text: str, measures: Measures) -> Measured | None:
    """What all of `text` is so much of; None if it is nothing of the kind."""
    words = tokens(text)
    minus = words[:1] != [] and words[0] in _MINUS
    parts: list[tuple[Fraction, Sequence[str]]] = []
    at, counted = int(minus), False
    while True:
        value, behind = _value(words, at)
        counted = counted or behind > at
        found = measures.unit_at(words, behind)
        if found is None or (parts and behind == at):
            break
        more = _and_a_half(words, found[1], measures)
        parts.append((value + more[0], found[0]))
        at = more[1] + (words[more[1] : more[1] + 1] == ["and"])
    if behind > at and parts and (lesser := _LESSER.get(parts[-1][1][0])):
        parts.append((value, (lesser,)))
        at = behind
    if not parts:
        return Measured((-value if minus else value,), ()) if behind == len(words) and counted else None
    rest = words[at:]
    of = " ".join(rest[rest[:1] == ["of"] :])
    if of and of not in DENSITIES:
        return None
    values = tuple(-value if minus else value for value, _ in parts)
    return Measured(values, tuple(units for _, units in parts), of, counted)


def _value(words: Sequence[str], at: int) -> Found:
    """A number with the article behind it ("half a"), or one for an article or nothing."""
    if words[at : at + 1] == ["a"] and words[at + 1 : at + 2] and words[at + 1][0].isdecimal():
        at += 1  # "a 10K"
    found = number_at(words, at)
    if found is None or found[0] == 1:
        begin = at
        at = found[1] if found else at
        while words[at : at + 1] and words[at] in _ARTICLES:
            at += 1
        return Fraction(1), at if at > begin else begin
    value, at = found
    at += words[at : at + 1] == ["of"]
    return value, at + (words[at : at + 1] in (["a"], ["an"]) and value < 1)


def _and_a_half(words: Sequence[str], at: int, measures: Measures) -> Found:
    """What a unit has behind it: "an hour and a half"."""
    found = number_at(words, at + 1) if words[at : at + 1] == ["and"] else None
    if found is None or found[0] >= 1 or measures.unit_at(words, found[1]):
        return Fraction(0), at
    return found
