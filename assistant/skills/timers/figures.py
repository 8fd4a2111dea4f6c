"""Numbers in words, as figures: "twenty five" is "25", "the thirty first" is "the 31st"."""

import re

_SMALL = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
)  # fmt: skip
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_ORDINALS = (
    "first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth", "eleventh",
    "twelfth", "thirteenth", "fourteenth", "fifteenth", "sixteenth", "seventeenth", "eighteenth",
    "nineteenth", "twentieth",
)  # fmt: skip
_VALUES = {word: number for number, word in enumerate(_SMALL)}
_VALUES |= {word: 10 * (number + 2) for number, word in enumerate(_TENS)}
_DAYS = {word: number + 1 for number, word in enumerate(_ORDINALS)} | {"thirtieth": 30}
MONTHS = (
    "january", "february", "march", "april", "may", "june", "july", "august", "september", "october",
    "november", "december",
)  # fmt: skip

_BELOW_100 = rf"(?:(?:{'|'.join(_TENS)})(?: (?:{'|'.join(_SMALL[1:10])}))?|{'|'.join(_SMALL)})"
_NUMBER = re.compile(
    rf"\b(?:(?P<hundreds>a|{'|'.join(_SMALL[1:10])}) hundred(?: (?:and )?(?P<more>{_BELOW_100}))?"
    rf"|(?P<number>{_BELOW_100}))\b"
)
_ORDINAL = re.compile(
    rf"(?<=\bthe )(?:(?P<tens>20|30) )?(?P<after_the>{'|'.join(_DAYS)})\b"
    rf"|(?P<month>\b(?:{'|'.join(MONTHS)}) )(?:(?P<month_tens>20|30) )?(?P<after_month>{'|'.join(_DAYS)})\b"
)


def in_figures(text: str) -> str:
    """`text` in small letters without hyphens, its numbers up to 999 and days of months as figures."""
    text = text.casefold().replace("-", " ")
    return _ORDINAL.sub(_day, _NUMBER.sub(_figure, text))


def _figure(match: re.Match[str]) -> str:
    if match["number"]:
        return str(_below_100(match["number"]))
    return str(100 * _VALUES.get(match["hundreds"], 1) + _below_100(match["more"] or "zero"))


def _below_100(words: str) -> int:
    return sum(_VALUES[word] for word in words.split())


def _day(match: re.Match[str]) -> str:
    tens = int(match["tens"] or match["month_tens"] or 0)
    return f"{match['month'] or ''}{tens + _DAYS[match['after_the'] or match['after_month']]}th"
