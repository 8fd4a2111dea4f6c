"""Roman numerals, where there are any: after rulers and popes, wars, chapters and the like."""

# ruff: noqa: RUF001 - dashes, minus and multiplication signs are what it is about

import re

from tts.reading.numbers import cardinal, ordinal
from tts.reading.tables import words
from tts.reading.vocabulary import COUNTED, RULERS

_VALUES = {"I": 1, "V": 5, "X": 10, "L": 50, "C": 100, "D": 500, "M": 1000}
_STEPS = dict(
    zip(
        words("M CM D CD C XC L XL X IX V IV I"),
        (1000, 900, 500, 400, 100, 90, 50, 40, 10, 9, 5, 4, 1),
        strict=True,
    )
)
_NUMERAL = r"(?P<numeral>(?=[IVXL]+\b)(?:XC|XL|L?X{0,3})(?:IX|IV|V?I{0,3})(?<=[IVXL]))\b"
_ANY = re.compile(r"\b[IVXLM]+\b|\b[ivx]+\b|WWI")
_NAMED = re.compile(rf"\b(?P<names>(?:[A-Z][\w'-]*[ ]){{1,4}}){_NUMERAL}(?!'(?!s\b)|\.\w|-[a-z])")
_COUNTED_WORD = re.compile(
    r"\b(?P<word>[Cc]hapter|[Pp]art|[Aa]ct|[Ss]cene|[Pp]ages?|[Vv]olume|[Bb]ook|[Ss]ection|[Pp]hase|"
    r"[Tt]ype|[Ss]tage"
    rf"|[Gg]rade|[Ll]evel) (?:{_NUMERAL}|(?P<small>[ivx]+)\b)(?!['.]\w)"
)
_BARE = re.compile(
    r"(?<![\w'.-])(?P<numeral>I{2,3}|V?III|VII|I?XI{1,3}|X?XI?V|XVI{0,3}|XIX|XXI{0,3}|MM?[CDXLVI]{2,})"
    r"(?![\w'-]|\.\w)"
)
_CENTURY = re.compile(r"\b(?P<numeral>[XIV]{1,5})(?:th)?(?= [Cc]entur(?:y|ies)\b)")
_WAR = re.compile(r"\bWW(I{1,3})\b")
# A lone "I" is a numeral only where the sentence cannot go on with it as a word.
_STOPS = r"\s*(?:$|[.,;:!?)\]—–-]"
_AFTER_COUNT = re.compile(rf"{_STOPS}|(?:of|is|and|or|the|to|in|on|from|at|by|for|who|ruled|reigned|died)\b)")
_AFTER_NAME = re.compile(rf"{_STOPS}|(?:of|is|was|and|or|ruled|reigned|died|had|became|succeeded|built)\b)")
_AFTER_SMALL_WORD = re.compile(rf"{_STOPS}|(?:of|and)\b)")
_CROWNED = frozenset(words("King Queen Pope Emperor Empress Tsar Czar Kaiser World"))


def read_romans(text: str) -> str:
    """`text` with its Roman numerals in words: "Henry VIII" is "Henry the eighth", "Act IV" "Act four"."""
    if not _ANY.search(text):
        return text
    text = _WAR.sub(lambda m: f"World War {cardinal(len(m[1]))}", text)
    text = _CENTURY.sub(lambda m: ordinal(_value(m["numeral"])), text)
    text = _COUNTED_WORD.sub(_read_counted, _NAMED.sub(_read_named, text))
    return _BARE.sub(lambda m: _read_bare(m["numeral"]), text)


def _read_named(match: re.Match[str]) -> str:
    names, numeral = match["names"].split(), match["numeral"]
    value = _value(numeral)
    ruler = any(name in RULERS for name in names) and names[-1] not in COUNTED
    after = _AFTER_NAME if ruler else _AFTER_COUNT
    if numeral == "I" and names[0] not in _CROWNED and not after.match(match.string[match.end() :]):
        return match[0]
    if ruler and _is_numeral(numeral) and numeral != "L" and (numeral, names[-1]) != ("X", "Malcolm"):
        return f"{match['names']}the {ordinal(value)}"
    if names[-1] in COUNTED or (len(numeral) > 1 and numeral != "IV" and _is_numeral(numeral)):
        return f"{match['names']}{cardinal(value)}"
    return match[0]


def _read_counted(match: re.Match[str]) -> str:
    numeral = (match["numeral"] or match["small"]).upper()
    after = _AFTER_COUNT if match["word"][0].isupper() else _AFTER_SMALL_WORD
    is_word = match["numeral"] == "I" and not after.match(match.string[match.end() :])
    if is_word or not _is_numeral(numeral):
        return match[0]
    return f"{match['word']} {cardinal(_value(numeral))}"


def _read_bare(numeral: str) -> str:
    value = _value(numeral)
    if not _is_numeral(numeral):
        return numeral
    return str(value) if value > 1000 else cardinal(value)


def _value(numeral: str) -> int:
    values = [_VALUES[letter] for letter in numeral]
    return sum(-a if a < b else a for a, b in zip(values, [*values[1:], 0], strict=True))


def _is_numeral(letters: str) -> bool:
    """Whether the letters are how their sum is written: "IIX" is no numeral."""
    left, numeral = _value(letters), ""
    for step, value in _STEPS.items():
        count, left = divmod(left, value)
        numeral += step * count
    return numeral == letters
