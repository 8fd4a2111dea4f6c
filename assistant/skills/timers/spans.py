"""Spoken durations: "an hour and a half", "2 and a half minutes", "ten" - and back to words."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from assistant.skills.timers.figures import in_figures

Unit = Literal["days", "hours", "minutes", "seconds"]
UNITS: tuple[Unit, ...] = ("days", "hours", "minutes", "seconds")
_SECONDS: dict[Unit, int] = {"days": 86400, "hours": 3600, "minutes": 60, "seconds": 1}
_LONGEST_S = 366 * 86400

_EDGES = re.compile(
    r"^(?:for|of|about|around|roughly|like|just|only|a total of) "
    r"| (?:please|thanks|thank you|for me|long|from now|now|then)$"
)
_MORE = re.compile(r"\b(?:more|extra|additional|further|another|longer)\b")
_REWRITTEN = (
    (re.compile(r"\b(?:a )?couple(?: of)? (?=\w)"), "2 "),
    (re.compile(r"\banother (?=\d)"), ""),
    (re.compile(r"\banother (half|quarter)\b"), r"a \1"),
    (re.compile(r"\banother\b"), "1"),
    (re.compile(r" (?:more|extra|additional|further|longer)\b"), ""),
    (re.compile(r"½"), " 1/2"),
    (re.compile(r"\b(\d+) 1/2"), r"\1 and a half"),
    (re.compile(r"\b1/2\b"), "half"),
    (re.compile(r"(\d)(?=(?:h|m|min|s|sec|hr)s?\b)"), r"\1 "),
    (re.compile(r"\s+"), " "),
)
_PART = r"(?:a half|half|a quarter|1 quarter|quarter|3 quarters)"
_UNIT = r"(?P<unit>weeks?|days?|hours?|hrs?|h|minutes?|mins?|m|seconds?|secs?|s)\b"
_PIECE = re.compile(
    rf"(?:and )?(?:(?P<fraction>{_PART})(?: of)?(?: an?| 1)? "
    rf"|(?P<number>\d{{1,9}}(?:\.\d{{1,9}})?|an?)(?: and (?P<more>{_PART}))? ){_UNIT}"
    rf"(?: and (?P<after>{_PART})(?= |$))?(?: |$)"
)
_BARE = re.compile(r"(?:and )?(?P<number>\d{1,9})$")


@dataclass(frozen=True)
class Span:
    """A length of time in the units in which it was said."""

    days: int = 0
    hours: int = 0
    minutes: int = 0
    seconds: int = 0
    bare: bool = False
    """No unit was said: it may be another, or follow yet."""
    more: bool = False
    """It comes on top of something: "five more minutes"."""

    @property
    def total_s(self) -> int:
        """All of it in seconds."""
        return sum(_SECONDS[unit] * self.slots.get(unit, 0) for unit in UNITS)

    @property
    def words(self) -> str:
        """As it was said: "90 seconds"."""
        return _counted({unit: self.slots.get(unit, 0) for unit in UNITS})

    @property
    def slots(self) -> dict[str, int]:
        """The units that were said, as Home Assistant names them."""
        values: dict[str, int] = {unit: getattr(self, unit) for unit in UNITS}
        return {unit: value for unit, value in values.items() if value}


def span(text: str, bare: Unit = "minutes") -> Span | None:
    """The duration that all of `text` names, None if it is something else; `bare` is the unit of "ten"."""
    words = in_figures(text).replace(",", " ").strip()
    while (cut := _EDGES.sub("", words)) != words:
        words = cut
    more = _MORE.search(words) is not None
    for pattern, replacement in _REWRITTEN:
        words = pattern.sub(replacement, words)
    values = _values(words.strip(), bare)
    if values is None or not 0 < sum(_SECONDS[unit] * values[unit] for unit in values) <= _LONGEST_S:
        return None
    whole = {unit: round(value) for unit, value in values.items() if value}
    return Span(**whole, bare=words.strip().isdigit(), more=more)


def _values(words: str, bare: Unit) -> dict[Unit, float] | None:
    """What was said of each unit, larger ones first; None if anything else was said."""
    values: dict[Unit, float] = {}
    place, last = 0, None
    while place < len(words):
        found = _PIECE.match(words, place)
        if found is None:
            return _and_bare(words[place:], values, bare)
        unit, factor = _unit(found["unit"])
        if last is not None and UNITS.index(unit) <= UNITS.index(last):
            return None
        number = found["number"] or "0"
        amount = 1.0 if number in ("a", "an") else float(number)
        amount += sum(_part(found[name]) for name in ("fraction", "more", "after"))
        _add(values, unit, amount * factor)
        place, last = found.end(), unit
    return values


def _and_bare(words: str, values: dict[Unit, float], bare: Unit) -> dict[Unit, float] | None:
    """Take a number without a unit for the unit below the last ("an hour twenty"), or for `bare`."""
    found = _BARE.fullmatch(words)
    if found is None:
        return None
    number = int(found["number"])
    if not values:
        return {bare: number}
    below = UNITS.index(next(reversed(values))) + 1
    if below == len(UNITS) or UNITS[below] == "hours" or number >= 60:
        return None
    return {**values, UNITS[below]: number}


def _add(values: dict[Unit, float], unit: Unit, amount: float) -> None:
    """Add to a unit, and what is not whole of it to the unit below."""
    whole = int(amount)
    if whole:
        values[unit] = values.get(unit, 0) + whole
    rest_s = round((amount - whole) * _SECONDS[unit])
    for lower in UNITS[UNITS.index(unit) + 1 :]:
        count, rest_s = divmod(rest_s, _SECONDS[lower])
        if count:
            values[lower] = values.get(lower, 0) + count


def _unit(said: str) -> tuple[Unit, int]:
    if said.startswith("w"):
        return "days", 7
    return next(unit for unit in UNITS if unit[0] == said[0]), 1


def _part(said: str | None) -> float:
    if not said:
        return 0.0
    return 0.5 if "half" in said else 0.75 if said.startswith("3") else 0.25


def in_words(seconds: float) -> str:
    """A duration as it is said: "4 minutes and 30 seconds"; from an hour on without seconds."""
    left = max(0, round(seconds))
    if left >= 3600:
        left = round(left / 60) * 60
    counts: dict[Unit, int] = {}
    for unit in UNITS:
        counts[unit], left = divmod(left, _SECONDS[unit])
    return _counted(counts) or "0 seconds"


def _counted(counts: Mapping[Unit, int]) -> str:
    return listed([f"{count} {unit if count > 1 else unit[:-1]}" for unit, count in counts.items() if count])


def and_more(count: int) -> str:
    """A sentence on how many are left out."""
    return f" And {count} more." if count > 0 else ""


def listed(said: list[str]) -> str:
    """Words with commas, and "and" before the last: "a, b and c"."""
    return " and ".join(part for part in (", ".join(said[:-1]), *said[-1:]) if part)
