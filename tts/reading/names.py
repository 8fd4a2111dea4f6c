"""Names made of letters, digits and signs."""

# ruff: noqa: RUF001 - dashes, minus and multiplication signs are what it is about

import re

from tts.reading.numbers import NUMBER
from tts.reading.tables import words
from tts.reading.units import UNITS

_SHARP = re.compile(r"\b([A-G])#(m?)(?!\w)")
_HASHTAG = re.compile(r"(?<![\w&#])#(?=[A-Za-z])")
_NUMBER_SIGN = re.compile(rf"(?<![\w&#])#\s?(?={NUMBER})")
_ZONE = re.compile(r"\b(UTC|GMT) ?([-+−])(?=\d)")
_PLUS_PLUS = re.compile(r"\b([A-Za-z]{1,7})\+\+(?!\w)")
_GRADE = re.compile(r"(?<![\w&])([A-F])([+-])(?=[\s.,;:!?)]|$)(?!\s\d|\s[-+=(]|\s\w\b)")
_AMPERSAND = re.compile(r"\b([A-Z]{1,3}) ?& ?([A-Z]{1,3})\b")
_BEFORE_A = words(
    "plan vitamin group type grade letter option team hepatitis section part class answer appendix point"
)
_LETTER_A = re.compile(
    f"(?:{'|'.join(f'(?<=[{word[0].upper()}{word[0]}]{word[1:]} )' for word in _BEFORE_A)})" + r"A\b(?!\.)"
)
_TO = re.compile(r"(?<![\w])([BCPGDM])2([BCPGDEM])(?!\w)")
_ALPHANUMERIC = re.compile(
    r"(?<![\w.,#])(?=[A-Za-z]*-?\d|\d+-?[A-Za-z])(?!\d+-[a-z]{2})[A-Za-z\d]+(?:-[A-Za-z\d]+)*(?!\w)"
)
# What later passes read as a whole: ordinals, times, magnitudes, ranges.
_KEPT = re.compile(r"\d+(?:st|nd|rd|th|s|am|pm|x|[kmb])|\d+(?:-\d+)*", re.IGNORECASE)
_PART = re.compile(r"\d+|[A-Za-z]+")


def read_names(text: str) -> str:
    """`text` with names of letters and signs in words: "C#", "C++", "A&B", "#1"."""
    if "#" in text:
        text = _SHARP.sub(lambda m: f"{m[1]} sharp{' minor' if m[2] else ''}", text)
        text = _HASHTAG.sub("hashtag ", _NUMBER_SIGN.sub("number ", text))
    if "+" in text or "-" in text or "−" in text:
        text = _ZONE.sub(lambda m: f"{m[1]} {_sign(m[2])} ", text)
        text = _PLUS_PLUS.sub(r"\1 plus plus", text)
        text = _GRADE.sub(lambda m: f"{_letters(m[1])} {_sign(m[2])}", text)
    if "&" in text:
        text = _AMPERSAND.sub(lambda m: f"{_letters(m[1])} and {_letters(m[2])}", text)
    return _LETTER_A.sub("A.", text)


def _sign(sign: str) -> str:
    return "plus" if sign == "+" else "minus"


def read_alphanumerics(text: str) -> str:
    """`text` with runs of letters and digits apart: "MP3" is "M.P. 3", "COVID-19" is "COVID 19"."""
    return _ALPHANUMERIC.sub(_apart, _TO.sub(r"\1 to \2", text))


def _apart(match: re.Match[str]) -> str:
    if _KEPT.fullmatch(match[0]):
        return match[0]
    spoken: list[str] = []
    for run in match[0].split("-"):
        parts = _PART.findall(run)
        for index, part in enumerate(parts):
            unit = index > 0 and part in UNITS and len(part) > 1
            spelled = len(parts) > 1 and part.isupper() and len(part) <= 3 and not unit
            spoken.append(_letters(part) if spelled or part == "A" else part)
    return " ".join(spoken)


def _letters(letters: str) -> str:
    """Letters as the voice spells them: with full stops, but a single one without, unless it is "A"."""
    return letters if len(letters) == 1 and letters != "A" else "".join(f"{letter}." for letter in letters)
