"""Amounts of money: the currency before or behind, a sign, a range, a magnitude, a "per month"."""

# ruff: noqa: RUF001 - dashes, minus and multiplication signs are what it is about

import re

from tts.reading.context import is_adjective
from tts.reading.numbers import NUMBER, cardinal, number
from tts.reading.tables import any_of
from tts.reading.units import CURRENCIES, MAGNITUDES, PER, UNITS

_SIGNS = any_of(key for key in CURRENCIES if not key.isalpha() and key != "Rs.")
_CODES = any_of(key for key in CURRENCIES if key.isalpha() and len(key) == 3)
_DASH = r"\s?[-–—]\s?"
WORD_MAGNITUDE = (
    r"\s?-?(?:hundred|thousand|million|billion|trillion|lakh|crore|bln|bn|mln|mil|mn|tn)\b(?!\s?/)"
)
_LETTER = r"[kKmMbB](?=\s?[$€£])"
_BEFORE = (
    rf"(?P<minus>minus )?(?:(?P<cur>(?<![A-Za-z])(?:{_SIGNS})|\b(?:{_CODES}|Rs\.?)\s?(?=[\d.]))\s?"
    r"(?P<minus2>minus |-)?"
    rf"(?P<a>{NUMBER})(?P<mag>{WORD_MAGNITUDE}|\s?[kKmMbBT](?![\w/]))?"
    rf"(?:{_DASH}(?:{_SIGNS})?(?P<b>{NUMBER})(?P<magb>{WORD_MAGNITUDE}|\s?[kKmMbBT](?![\w/]))?)?"
    r"(?P<code>\s?(?:USD|EUR|GBP|AUD|CAD)\b)?"
)
_BEHIND = (
    rf"(?<![\w.,])(?P<a2>{NUMBER})(?P<mag2>{WORD_MAGNITUDE}|{_LETTER})?"
    rf"(?:{_DASH}(?P<b2>{NUMBER})(?P<magb2>{WORD_MAGNITUDE}|{_LETTER})?)?"
    rf"\s?(?P<cur2>(?:{_SIGNS})(?!\d)|(?:{_CODES})\b|kr\b)"
)
_MONEY = re.compile(rf"{_BEFORE}|{_BEHIND})(?:\s?/\s?(?P<per>{any_of(PER)})\b)?")
_ANY_MONEY = re.compile(rf"{_SIGNS}|\b(?:{_CODES})\b|\d ?kr\b|\bRs")
# "1,5 kg" and "3,50 €" have a decimal comma.
_COMMA = re.compile(
    rf"(?<=\d),(?=\d{{1,2}}(?:\s?€|\s?(?:{any_of(unit for unit in UNITS if unit != '%')})(?![\w^])))"
)
_EURO_COMMA = re.compile(r"(€\s?\d{1,3}),(\d{2})(?!\d)")
_CENTS = re.compile(r"[\d, ]*\.\d\d")


def read_money(text: str) -> str:
    """`text` with its amounts of money in words: "$10-$15" is "ten to fifteen dollars"."""
    text = _EURO_COMMA.sub(r"\1.\2", _COMMA.sub(".", text))
    return _MONEY.sub(_money, text) if _ANY_MONEY.search(text) else text


def magnitude(written: str | None) -> str:
    """The word for "bn" or " million", with a space before it; "" for None."""
    return f" {MAGNITUDES[written.strip(' -')]}" if written else ""


def _money(match: re.Match[str]) -> str:
    first, second = match["a"] or match["a2"], match["b"] or match["b2"]
    names = CURRENCIES[_currency(match)]
    large = magnitude(match["mag"] or match["mag2"])
    sign = "minus " if match["minus"] or match["minus2"] else ""
    per = f" per {PER[match['per']]}" if match["per"] else ""
    if second is None and not large and len(names) == 4 and _CENTS.fullmatch(first):
        return sign + _with_cents(first, names) + per
    spoken = number(first) + large
    if second is not None:
        spoken += f" to {number(second)}{magnitude(match['magb'] or match['magb2'])}"
    one = (second is None and first == "1" and not large) or is_adjective(match)
    return f"{sign}{spoken} {names[0] if one else names[1]}{per}"


def _currency(match: re.Match[str]) -> str:
    """Sign or code; the code of "$50 CAD" says more than its sign."""
    sign = (match["cur"] or match["cur2"]).strip()
    return match["code"].strip() if match["code"] and sign == "$" else sign


def _with_cents(amount: str, names: tuple[str, ...]) -> str:
    whole, cents = re.sub(r"[, ]", "", amount).split(".")
    units, parts = int(whole or 0), int(cents)
    main = f"{cardinal(units)} {names[0] if units == 1 else names[1]}"
    rest = f"{cardinal(parts)} {names[2] if parts == 1 else names[3]}"
    if not parts:
        return main
    return f"{main} and {rest}" if units else rest
