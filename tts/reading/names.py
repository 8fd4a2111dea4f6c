"""Names: Roman numerals, abbreviations, and names made of letters, digits and signs."""

import re

from tts.reading.numbers import NUMBER, cardinal, ordinal
from tts.reading.vocabulary import (
    ABBREVIATIONS,
    BEFORE_NUMBER,
    COUNTED,
    PLACES,
    RULERS,
    SHORTHANDS,
    TITLES,
    WEEKDAYS,
)

_VALUES = {"I": 1, "V": 5, "X": 10, "L": 50, "C": 100, "D": 500, "M": 1000}
_ROMAN = r"(?=[IVXL]+\b)(?:XC|XL|L?X{0,3})(?:IX|IV|V?I{0,3})"
_CAPITALIZED = r"(?:[A-Z][\w'-]*[ ])"
_NUMERAL = re.compile(rf"\b(?P<names>{_CAPITALIZED}{{1,4}})(?P<numeral>{_ROMAN})\b(?!'(?!s\b)|\.\w|-[a-z])")
_LOWER = re.compile(
    rf"\b(?P<word>(?:[Cc]hapter|[Pp]art|[Aa]ct|[Ss]cene|[Pp]ages?|[Vv]olume|[Bb]ook|[Ss]ection|[Pp]hase|[Tt]ype|[Ss]tage|[Gg]rade|[Ll]evel))"
    rf" (?P<numeral>{_ROMAN}|[ivx]+)\b(?!['.]\w)"
)
_BARE = re.compile(r"(?<![\w'.-])(?P<numeral>I{2,3}|V?III|VII|I?XI{1,3}|X?XI?V|XVI{0,3}|XIX|XXI{0,3}|MM?[CDXLVI]{2,})(?![\w'-]|\.\w)")
_CENTURY = re.compile(r"\b(?P<numeral>[XIV]{1,5})(?:th)?(?= [Cc]entur(?:y|ies)\b)")
_WARS = re.compile(r"\bWW(I{1,3})\b")
# A lone "I" or a letter behind a name is a numeral only if the sentence cannot go on with it as a word.
_AFTER_ONE = re.compile(r"\s*(?:$|[.,;:!?)\]—–-]|(?:of|is|and|or|the|to|in|on|from|at|by|for|who|ruled|reigned|died)\b)")  # noqa: RUF001
_AFTER_NAME = re.compile(r"\s*(?:$|[.,;:!?)\]—–-]|(?:of|is|was|and|or|ruled|reigned|died|had|became|succeeded|died|built)\b)")  # noqa: RUF001


def read_romans(text: str) -> str:
    """`text` with its Roman numerals in words: "Henry VIII" is "Henry the eighth", "Act IV" "Act four"."""
    if not re.search(r"\b[IVXLivxM]+\b|WWI", text):
        return text
    text = _WARS.sub(lambda m: f"World War {cardinal(len(m[1]))}", text)
    text = _CENTURY.sub(lambda m: ordinal(_roman(m["numeral"])), text)
    text = _NUMERAL.sub(_read_numeral, text)
    text = _LOWER.sub(_read_lower, text)
    return _BARE.sub(lambda m: _bare(m["numeral"]), text)


def _read_numeral(match: re.Match[str]) -> str:
    names, numeral = match["names"].split(), match["numeral"]
    rest = match.string[match.end() :]
    value = _roman(numeral)
    ruler = any(name in RULERS for name in names) and names[-1] not in COUNTED
    if numeral == "I" and not (_AFTER_NAME if ruler else _AFTER_ONE).match(rest) and not _titled(names):
        return match[0]
    if ruler and (len(numeral) > 1 or numeral in "IVX") and not (numeral == "X" and names[-1] == "Malcolm"):
        return f"{match['names']}the {ordinal(value)}"
    if names[-1] in COUNTED or (len(numeral) > 1 and numeral != "IV" and _canonical(value) == numeral):
        return f"{match['names']}{cardinal(value)}"
    return match[0]


def _titled(names: list[str]) -> bool:
    return names[0] in ("King", "Queen", "Pope", "Emperor", "Empress", "Tsar", "Czar", "Kaiser", "World")


def _read_lower(match: re.Match[str]) -> str:
    numeral = match["numeral"]
    value = _roman(numeral.upper())
    capital = match["word"][0].isupper()
    if _canonical(value) != numeral.upper():
        return match[0]
    if numeral == "I" and not (capital and _AFTER_ONE or re.compile(r"\s*(?:$|[.,;:!?)]|of\b|and\b)")).match(
        match.string[match.end() :]
    ):
        return match[0]
    return f"{match['word']} {cardinal(value)}"


def _bare(numeral: str) -> str:
    value = _roman(numeral)
    if _canonical(value) != numeral:
        return numeral
    return str(value) if value > 1000 else cardinal(value)


def _roman(numeral: str) -> int:
    values = [_VALUES[letter] for letter in numeral]
    return sum(-a if a < b else a for a, b in zip(values, [*values[1:], 0], strict=True))


def _canonical(value: int) -> str:
    """The numeral of `value`: others that add up to it are words ("MIX" is no numeral here, "IIX" none)."""
    pairs = zip((1000, 900, 500, 400, 100, 90, 50, 40, 10, 9, 5, 4, 1), "M CM D CD C XC L XL X IX V IV I".split(), strict=True)
    numeral = ""
    for step, letters in pairs:
        count, value = divmod(value, step)
        numeral += letters * count
    return numeral


def _alt(words: object) -> str:
    return "|".join(re.escape(word) for word in sorted(words, key=len, reverse=True))  # type: ignore[call-overload]


_BEFORE_NUMBER = re.compile(rf"(?<![\w.])({_alt(BEFORE_NUMBER)})\. ?(?=#?\d)")
_ABBREVIATION = re.compile(rf"(?<![\w.])({_alt(ABBREVIATIONS)})\.(?!\w)(?P<last>\s*$|(?=\s+[A-Z]))?")
_EXPANDED_WITH_STOP = frozenset(("Mr", "Mrs", "Ms", "P.S"))
_TITLE = re.compile(rf"\b({_alt(TITLES)})(?:\. ?|(?<=St) |(?<=Dr) |(?<=Mt) |(?<=Prof) )(?=[A-Z])")
_PLACE = re.compile(rf"(?<=[\w,] )({_alt(PLACES)})\.(?P<last>\s*$)?")
_SHORTHAND = re.compile(rf"(?<![\w/.])({_alt(SHORTHANDS)})(?![\w/])", re.IGNORECASE)
_WEEKDAY = re.compile(rf"\b({_alt(WEEKDAYS)})\b(?:\.?(?=\s?[-–]\s?(?:{_alt(WEEKDAYS)})\b)|\.?(?=,? (?:\d|{'Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec'}))|\.(?=,))")  # noqa: RUF001
_WEEKDAY_TO = re.compile(r"(?<=day)\s?[-–]\s?(?=[A-Z]\w{1,6}(?:day\b|\b)\.?)")  # noqa: RUF001
_WEEKDAY_LAST = re.compile(rf"(?<=day to )({_alt(WEEKDAYS)})\b\.?(?!\w)")


def read_abbreviations(text: str) -> str:
    """`text` with its abbreviations in full: "Dr. Lee" is "Doctor Lee", "no. 5" is "number 5"."""
    text = _WEEKDAY.sub(lambda m: WEEKDAYS[m[1]], text)
    if "day" in text:
        text = _WEEKDAY_LAST.sub(lambda m: WEEKDAYS[m[1]], _WEEKDAY_TO.sub(" to ", text))
    text = _TITLE.sub(lambda m: f"{TITLES[m[1]]} ", text)
    if "." in text:
        text = _BEFORE_NUMBER.sub(lambda m: f"{BEFORE_NUMBER[m[1]]} ", text)
        text = _PLACE.sub(lambda m: PLACES[m[1]] + ("." if m["last"] is not None else ""), text)
        text = _ABBREVIATION.sub(_expand, text)
    if "/" in text or "aka" in text or "AKA" in text or "vs" in text:
        text = _SHORTHAND.sub(lambda m: SHORTHANDS.get(m[0], SHORTHANDS.get(m[0].lower(), m[0])), text)
    return text


def _expand(match: re.Match[str]) -> str:
    words = ABBREVIATIONS[match[1]]
    ends = match["last"] is not None and match[1] not in _EXPANDED_WITH_STOP
    return words + ("." if ends and (match[1] == "etc" or match.end() == len(match.string)) else "")


_SHARP = re.compile(r"\b([A-G])#(?!\w)")
_PLUS_PLUS = re.compile(r"\b([A-Za-z]{1,7})\+\+(?!\w)")
_GRADE = re.compile(r"(?<![\w&])([A-F])([+-])(?=[\s.,;:!?)]|$)(?!\s\d|\s[-+=(]|\s\w\b)")
_ALPHANUMERIC = re.compile(r"(?<![\w.,#])(?=[A-Za-z]*-?\d|\d+-?[A-Za-z])(?!\d+-[a-z]{2})[A-Za-z\d]+(?:-[A-Za-z\d]+)*(?![\w])")
_ZONE = re.compile(r"\b(UTC|GMT) ?([-+−])(?=\d)")  # noqa: RUF001
_TO = re.compile(r"(?<![\w])([BCPGDM])2([BCPGDEM])(?!\w)")
_PART = re.compile(r"\d+|[A-Za-z]+")
_AMPERSAND = re.compile(r"\b([A-Z]{1,3}) ?& ?([A-Z]{1,3})\b")
_BEFORE_A = "plan vitamin group type grade letter option team hepatitis section part class answer appendix point".split()
_LETTER_A = re.compile(
    f"(?:{'|'.join(f'(?<=[{word[0].upper()}{word[0]}]{word[1:]} )' for word in _BEFORE_A)})" + r"A\b(?!\.)"
)
_HASHTAG = re.compile(r"(?<![\w&#])#(?=[A-Za-z])")
_NUMBER_SIGN = re.compile(rf"(?<![\w&#])#\s?(?={NUMBER})")
_KEEP_WORDS = re.compile(r"\d+(?:st|nd|rd|th|s|am|pm|x|[kmb])|\d+(?:-\d+)*", re.IGNORECASE)


def read_names(text: str) -> str:
    """`text` with names of letters, digits and signs in words: "C#", "H2O", "GPT-4", "A&B"."""
    if "#" in text:
        text = _SHARP.sub(r"\1 sharp", text)
        text = _HASHTAG.sub("hashtag ", _NUMBER_SIGN.sub("number ", text))
    if "+" in text or "-" in text:
        text = _ZONE.sub(lambda m: f"{m[1]} {'plus' if m[2] == '+' else 'minus'} ", text)
        text = _PLUS_PLUS.sub(r"\1 plus plus", text)
        text = _GRADE.sub(lambda m: f"{_letters(m[1])} {'plus' if m[2] == '+' else 'minus'}", text)
    if "&" in text:
        text = _AMPERSAND.sub(lambda m: f"{_letters(m[1])} and {_letters(m[2])}", text)
    return _LETTER_A.sub("A.", text)


def read_alphanumerics(text: str) -> str:
    """`text` with runs of letters and digits apart: "MP3" is "M.P. 3", "COVID-19" is "COVID 19"."""
    return _ALPHANUMERIC.sub(_apart, _TO.sub(r"\1 to \2", text))


def _apart(match: re.Match[str]) -> str:
    if _KEEP_WORDS.fullmatch(match[0]):
        return match[0]
    words: list[str] = []
    for run in match[0].split("-"):
        parts = _PART.findall(run)
        for part in parts:
            spelled = len(parts) > 1 and part.isupper() and len(part) <= 3
            words.append(_letters(part) if spelled or part == "A" else part)
    return " ".join(words)


def _letters(letters: str) -> str:
    """Letters as the voice spells them: with full stops, but a single one without, unless it is "A"."""
    return letters if len(letters) == 1 and letters != "A" else "".join(f"{letter}." for letter in letters)
