"""Abbreviations, titles and short forms."""

# ruff: noqa: RUF001 - dashes, minus and multiplication signs are what it is about

import re

from tts.reading.tables import any_of
from tts.reading.vocabulary import (
    ABBREVIATIONS,
    BEFORE_NUMBER,
    MONTHS,
    PLACES,
    SHORTHANDS,
    TITLES,
    WEEKDAYS,
)

# "He said no. 7 people left." has no number of people.
_BEFORE_NUMBER = re.compile(
    r"(?<![\w.])(?<!said )(?<!say )(?<!says )(?<!answered )(?<!is )(?<!was )(?<!yes, )(?<!or )(?<!oh )"
    rf"({any_of(BEFORE_NUMBER)})\. ?(?=#?\d)"
)
_ABBREVIATION = re.compile(
    rf"(?<![\w.])(?<!\d )({any_of(ABBREVIATIONS)})\.(?!\w)(?P<last>\s*$|(?=\s+[A-Z]))?"
)
_SQUARE = re.compile(r"(?<=\d (?:sq|cu|fl))\. ?(?=[a-z])")
_WITH_STOP = frozenset(("Mr", "Mrs", "Ms", "P.S"))
_TITLE = re.compile(rf"\b({any_of(TITLES)})(?:\. ?|(?<=St) |(?<=Dr) |(?<=Mt) |(?<=Prof) )(?=[A-Z])")
_PLACE = re.compile(rf"(?<=[\w,] )({any_of(PLACES)})\.(?P<last>\s*$)?")
_SHORTHAND = re.compile(rf"(?<![\w/.])({any_of(SHORTHANDS)})(?![\w/])", re.IGNORECASE)
_DAY = any_of(WEEKDAYS)
_DASH = r"\s?[-–]\s?"
_MONTH = "|".join(month[:3] for month in MONTHS)
_WEEKDAY = re.compile(
    rf"\b({_DAY})\b(?:\.?(?={_DASH}(?:{_DAY})\b)|\.?(?=,? (?:\d|{_MONTH}))|\.(?=,)|(?<![atun])\.)"
)
_TO_WEEKDAY = re.compile(rf"(?<=day){_DASH}(?=[A-Z]\w{{1,6}}(?:day\b|\b)\.?)")
_LAST_WEEKDAY = re.compile(rf"(?<=day to )({_DAY})\b\.?(?!\w)")


def read_abbreviations(text: str) -> str:
    """`text` with its abbreviations in full: "Dr. Lee" is "Doctor Lee", "no. 5" is "number 5"."""
    text = _WEEKDAY.sub(lambda m: WEEKDAYS[m[1]], text)
    if "day" in text:
        text = _LAST_WEEKDAY.sub(lambda m: WEEKDAYS[m[1]], _TO_WEEKDAY.sub(" to ", text))
    text = _TITLE.sub(lambda m: f"{TITLES[m[1]]} ", text)
    if "." in text:
        text = _BEFORE_NUMBER.sub(lambda m: f"{BEFORE_NUMBER[m[1]]} ", text)
        text = _PLACE.sub(lambda m: PLACES[m[1]] + ("." if m["last"] is not None else ""), text)
        text = _ABBREVIATION.sub(_expand, _SQUARE.sub(" ", text))
    if "/" in text or "vs" in text or "aka" in text.lower():
        text = _SHORTHAND.sub(lambda m: SHORTHANDS.get(m[0]) or SHORTHANDS.get(m[0].lower(), m[0]), text)
    return text


def _expand(match: re.Match[str]) -> str:
    """In full, with a full stop where the abbreviation ends the sentence, too."""
    ends = match["last"] is not None and (match[1] == "etc" or match.end() == len(match.string))
    return ABBREVIATIONS[match[1]] + ("." if ends and match[1] not in _WITH_STOP else "")
