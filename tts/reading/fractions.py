"""Fractions, and lengths in feet and inches."""

import re

from tts.reading.context import is_adjective
from tts.reading.numbers import cardinal, number, ordinal, plural
from tts.reading.tables import any_of
from tts.reading.units import UNITS, unit_names

_FRACTION = re.compile(
    r"(?<![\w./,])(?:(?P<whole>\d{1,4})[ -]{1,2})?"
    r"(?P<a>\d{1,3})/(?P<b>\d{1,4})(?:ths?|rds?|nd)?(?![/\w]|\.\d)"
    rf"(?P<unit>\"(?!\w)|[ -]?in\b(?=\.?$|\.\s[a-z])|[ -]?(?:{any_of(UNITS)})(?![\w^°]))?"
)
_RATED = re.compile(
    r"\b(?:rat(?:e|ed|ing)|scor(?:e|ed|ing)|g[ae]ve|got|review|grade|pain|stars?)\b", re.IGNORECASE
)
_ASKED = re.compile(r"\b(?:[Ww]hat is|[Ww]hat's|[Cc]alculate|[Cc]ompute|[Ss]olve|[Dd]ivide)\b")
_RATED_BY = frozenset((4, 5, 6, 10, 20, 100))
_NAMES = re.compile(r"(?<![\w/])(24/7/365|24[/-]7|9/11|50/50|20/20)(?![\w/])")
_FEET_AND_INCHES = re.compile(
    r"(?<![\w.,/])(?P<feet>\d{1,3})\s?(?P<mark>'|ft\.?|feet|foot) ?(?P<inches>\d{1,2}(?:\.\d+)?)"
    r"(?P<half> 1/2)?"
    r"\s?(?P<end>\"|''|”|in\b\.?|inches\b)?(?![\w'])"
)
_FEET = re.compile(r"(?<![\w.,/'])(?P<a>\d{1,5}(?:\.\d+)?)'(?=[\s.,;:x?!)-]|$)(?P<adjective>-)?")
_INCHES = re.compile(
    r"(?<![\w.,/])(?P<a>\d{1,4}(?:\.\d+)?|\d+[ -]\d/\d{1,2}|\d/\d{1,2})(?:\"|”|'')(?P<adjective>-)?"
)
_OPEN_SINGLE = re.compile(r"(?<!\w)'(?!\d0s)")


def read_fractions(text: str) -> str:
    """`text` with its fractions in words: "1 1/2" is "one and a half", "7/16" is "seven sixteenths"."""
    if "/" not in text and "24-7" not in text:
        return text
    text = _NAMES.sub(lambda m: " ".join(cardinal(int(part)) for part in re.split("[/-]", m[1])), text)
    return _FRACTION.sub(_fraction, text)


def _fraction(match: re.Match[str]) -> str:
    above, below, whole = int(match["a"]), int(match["b"]), match["whole"]
    proper = 0 < above < below
    if whole and not proper:
        return match[0]
    if not whole and below in _RATED_BY and _RATED.search(match.string[: match.start()]):
        return f"{cardinal(above)} out of {cardinal(below)}{match['unit'] or ''}"
    if not proper:
        joint = "divided by" if _ASKED.search(match.string) else "over"
        return f"{cardinal(above)} {joint} {cardinal(below)}{match['unit'] or ''}"
    part = {2: "half", 4: "quarter"}.get(below) or ordinal(below)
    if not whole:
        return f"{cardinal(above)} {part if above == 1 else plural(part)}{_unit(match, 0)}"
    article = "an" if part[0] == "e" else "a"
    parts = f"{article} {part}" if above == 1 else f"{cardinal(above)} {plural(part)}"
    return f"{cardinal(int(whole))} and {parts}{_unit(match, 1)}"


def _unit(match: re.Match[str], form: int) -> str:
    """The unit behind a fraction, singular (0) or plural (1), with a space before it."""
    written = match["unit"]
    if not written:
        return ""
    if written == '"':
        return written if in_quotes(match) else (" inch", " inches")[form]
    return f" {unit_names(written.strip(' -'))[form]}"


def read_lengths(text: str) -> str:
    """`text` with feet and inches in words: 5'7" is "five foot seven". A quotation mark is no inch."""
    text = _FEET_AND_INCHES.sub(_feet_and_inches, text)
    text = _INCHES.sub(lambda m: m[0] if in_quotes(m) else _length(m, "inch", "inches"), text)
    return _FEET.sub(lambda m: m[0] if _in_single(m) else _length(m, "foot", "feet"), text)


def in_quotes(match: re.Match[str]) -> bool:
    """Whether a quotation is open before the match, so that a mark behind it closes that."""
    before = match.string[: match.start()]
    return before.count('"') % 2 == 1 or before.count("“") > before.count("”")


def _in_single(match: re.Match[str]) -> bool:
    return _OPEN_SINGLE.search(match.string[: match.start()]) is not None


def _feet_and_inches(match: re.Match[str]) -> str:
    written = match["mark"] != "'"
    if written and not match["end"]:
        return match[0]
    many = "feet" if written and match["feet"] != "1" else "foot"
    spoken = (
        f"{number(match['feet'])} {many} {number(match['inches'])}{' and a half' if match['half'] else ''}"
    )
    if match["end"] and match["end"].startswith("in"):
        spoken += " inch" if match["inches"] == "1" else " inches"
    return spoken


def _length(match: re.Match[str], one: str, many: str) -> str:
    amount = read_fractions(match["a"])
    spoken = number(amount) if amount[0].isdigit() else amount
    single = match["a"] == "1" or match["adjective"] or is_adjective(match)
    return f"{spoken} {one if single else many}" + (" " if match["adjective"] else "")
