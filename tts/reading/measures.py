"""Measures, ranges and ordinals, and all numbers that are left."""

# ruff: noqa: RUF001 - dashes, minus and multiplication signs are what it is about

import re

from tts.reading.context import is_adjective, may_be_year
from tts.reading.fractions import read_lengths
from tts.reading.money import WORD_MAGNITUDE, magnitude
from tts.reading.numbers import NUMBER, cardinal, in_pairs, is_year, number, ordinal, plural, year
from tts.reading.tables import any_of
from tts.reading.units import PER, UNITS, unit_names

_UNIT = rf"(?:{any_of(unit for unit in UNITS if unit not in ('B', 'K'))})(?![\w^°])"
_DASH = r"\s?[-–—]\s?"
_LARGE = rf"{WORD_MAGNITUDE}|(?:k|(?<=\d\d)K|(?<=\d\.\d)K|M)(?![\w/])|(?<=\d\.\d)B(?!\w)"
_MEASURE = re.compile(
    rf"(?<![\w.,])(?P<a>{NUMBER})(?P<large>{_LARGE})?(?P<mid>\s?°(?:\s?[CF]\b)?|%|\s?{_UNIT})?"
    rf"(?:(?P<joint>{_DASH}(?:to\s?-?)?|\sto\s|\sby\s)(?P<minus>minus |[-−])?(?P<b>{NUMBER})"
    rf"(?P<largeb>{_LARGE})?)?"
    rf"(?:[ -]?(?P<unit>{_UNIT})|(?P<space> )?(?P<odd>K(?!\w)|in(?=\.\s?[a-z]|\.?$|\s(?:x|by)\b)"
    r"|(?<=\d\d )[FC](?=[.,;)]|$| (?:for|in|or|and|oven)\b)"
    r"|A(?=\s(?:fuse|breaker|circuit|charger|current)\b)))?"
    rf"(?:\s?/\s?(?P<per>{any_of(PER)})(?![\w^]))?(?P<stop>\.(?=\s[a-z]))?"
)
_MEASURED = re.compile(
    rf"\d(?:\s?(?:{_UNIT})|[kKM]\b| [FC]\b|\s?K\b| ?in\b|A\b| A |{WORD_MAGNITUDE}|\s?/\s?[a-z])"
)
_RANGE = re.compile(rf"(?<![\w.,-])(?P<a>{NUMBER}){_DASH}(?P<b>{NUMBER})(?P<s>'?s\b)?(?![\w-])")
_UNIT_FOLLOWS = re.compile(rf"\s?{_UNIT}")
_ORDINAL = re.compile(
    r"(?<![\w.,])(\d{1,3}(?:,\d{3})+|\d+)-?(?:st|nd|rd|th)(s)?\b(?:(?P<to>\s?[-–]\s?)(?=\d))?",
    re.IGNORECASE,
)
# 1.000.000 and 1'000'000, as other countries write them.
_POINTED = re.compile(r"(?<![\w.,'])\d{1,3}(?:(?:\.000){2,}|(?:'\d{3})+)(?![\w.']|\d)")
_PLURAL = re.compile(r"(?<![\w.,])(\d{1,3})'?s\b")
_MINUTES = re.compile(r"(?<=degrees )(\d{1,2})'(?: ?(\d{1,2}(?:\.\d+)?)\")?")
_COMPASS = re.compile(r"(?:(?<=degrees )|(?<=minutes )|(?<=seconds ))([NSEW])\b")
_DIRECTIONS = {"N": "north", "S": "south", "E": "east", "W": "west"}
_DEGREES = re.compile(r"°\s?(?=[NSEW]\b|\d)")
_LINES = re.compile(r"(?<![\w.,])(480|720|1080|1440|2160)p\b")
_HYPHEN = re.compile(r"(?<=[A-Za-z])-(?=\d)|(?<=\d)-(?=[A-Za-z\d])")
_NUMBER = re.compile(NUMBER)


def read_measures(text: str) -> str:
    """`text` with measures, ranges, ordinals and all other numbers in words."""
    if "'" in text or '"' in text or "”" in text or "ft" in text or "feet" in text:
        text = read_lengths(text)
    text = _POINTED.sub(lambda m: re.sub("[.']", ",", m[0]), text)
    text = _ORDINAL.sub(_ordinal, text)
    text = _RANGE.sub(_range, text)
    if _MEASURED.search(text):
        text = _DEGREES.sub(" degrees ", _MEASURE.sub(_measure, text))
    if "degrees" in text:
        text = _MINUTES.sub(lambda m: f"{m[1]} minutes" + (f" {m[2]} seconds" if m[2] else ""), text)
        text = _COMPASS.sub(lambda m: _DIRECTIONS[m[1]], text)
    text = _PLURAL.sub(lambda m: plural(cardinal(int(m[1]))), text)
    text = _LINES.sub(lambda m: f"{in_pairs(m[1])} P", text)
    return _NUMBER.sub(_plain, _HYPHEN.sub(" ", text))


def _ordinal(match: re.Match[str]) -> str:
    digits = match[1].replace(",", "")
    return (
        (ordinal(int(digits)) if len(digits) < 30 else match[1])
        + (match[2] or "")
        + (" to " if match["to"] else "")
    )


def _range(match: re.Match[str]) -> str:
    """Two numbers with a dash: two years if the first is one and no unit follows, else still numbers."""
    first, second = match["a"], match["b"]
    if not is_year(first) or _UNIT_FOLLOWS.match(match.string[match.end() :]):
        return f"{first} to {second}{match['s'] or ''}"
    if is_year(second):
        last = year(int(second))
    elif len(second) == 2 and second[0] == "0":
        last = f"oh {cardinal(int(second))}"
    else:
        last = number(second)
    return f"{year(int(first))} to {plural(last) if match['s'] else last}"


def _measure(match: re.Match[str]) -> str:
    unit, mid, per = match["unit"] or match["odd"], _unit(match["mid"]), match["per"]
    if match["odd"] == "K" and not match["space"]:
        return match[0]
    if not (match["large"] or mid or match["largeb"] or unit or per):
        return match[0]
    if per and len(per) == 1 and not (unit or mid):
        return match[0]
    spoken = number(match["a"]) + magnitude(match["large"])
    if match["b"] is None:
        names = unit_names(mid or unit)
        one = (match["a"] == "1" and not match["large"]) or is_adjective(match)
        return spoken + _tail(match, names, one)
    if mid and mid != unit:
        spoken += _name(unit_names(mid), match["a"] == "1")
    joint = "by" if "by" in match["joint"] else "to"
    minus = "minus " if match["minus"] else ""
    spoken += f" {joint} {minus}{number(match['b'])}{magnitude(match['largeb'])}"
    return spoken + _tail(match, unit_names(unit), False)


def _tail(match: re.Match[str], names: tuple[str, ...], one: bool) -> str:
    """The unit and what it is for, and the full stop unless that only shortened the unit."""
    per = f" per {PER[match['per']]}" if match["per"] else ""
    return _name(names, one) + per + ("" if names else match["stop"] or "")


def _unit(written: str | None) -> str:
    return (written or "").replace("° ", "°").strip()


def _name(names: tuple[str, ...], one: bool) -> str:
    return f" {names[0] if one else names[1]}" if names else ""


def _plain(match: re.Match[str]) -> str:
    """A number without anything: a year where it can be one and does not count what follows."""
    before = " " if match.string[: match.start()][-1:].isalnum() else ""
    behind = " " if match.string[match.end() :][:1].isalpha() else ""
    return before + number(match[0], may_be_year=may_be_year(match)) + behind
