"""English number words, in the American style without "and": 342 is "three hundred forty two"."""

import re

from tts.reading.tables import table, words

_ONES = words(
    """zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen
    seventeen eighteen nineteen"""
)
_TENS = words("_ _ twenty thirty forty fifty sixty seventy eighty ninety")
_SCALES = words(
    """_ thousand million billion trillion quadrillion quintillion sextillion septillion octillion nonillion
    decillion"""
)
_ORDINALS = table(
    "one: first; two: second; three: third; five: fifth; eight: eighth; nine: ninth; twelve: twelfth"
)
_LONGEST = 3 * len(_SCALES)  # digits that have a name
_LONGEST_PLAIN = 9  # digits without commas that are one number: more are an account's or a telephone's

# A number as written: 1,234.5 or 12 345 (with thin or plain spaces) or 42 or .75
NUMBER = r"(?:\d{1,3}(?:,\d{3})+(?!\d)|\d{1,3}(?:[ \u2009\u202f]\d{3})+(?![\d,.]*\d)|\d+)(?:\.\d+)?|\.\d+"


def cardinal(n: int) -> str:
    """`n`, from 0 to a decillion less one, in words."""
    if n < 20:
        return _ONES[n]
    if n < 100:
        return _TENS[n // 10] + (f" {_ONES[n % 10]}" if n % 10 else "")
    if n < 1000:
        return f"{_ONES[n // 100]} hundred" + (f" {cardinal(n % 100)}" if n % 100 else "")
    scale = (len(str(n)) - 1) // 3
    high, low = divmod(n, 1000**scale)
    return f"{cardinal(high)} {_SCALES[scale]}" + (f" {cardinal(low)}" if low else "")


def ordinal(n: int) -> str:
    """The place `n`: "twenty first"."""
    head, space, last = cardinal(n).rpartition(" ")
    if last not in _ORDINALS:
        last = last[:-1] + "ie" if last.endswith("y") else last
        return f"{head}{space}{last}th"
    return head + space + _ORDINALS[last]


def year(n: int) -> str:
    """The year `n`: "nineteen oh five", "two thousand five", "twenty ten"."""
    high, low = divmod(n, 100)
    if n < 1000 or n > 9999 or (high % 10 == 0 and low < 10):
        return cardinal(n)
    return f"{cardinal(high)} {_hundredths(low)}"


def in_pairs(digits: str) -> str:
    """A room, flight or model: "101" is "one oh one", "747" is "seven forty seven"."""
    if len(digits) not in (3, 4) or digits.endswith("000") or digits[0] == "0":
        return number(digits)
    return f"{cardinal(int(digits[:-2]))} {_hundredths(int(digits[-2:]))}"


def _hundredths(n: int) -> str:
    if n == 0:
        return "hundred"
    return f"oh {cardinal(n)}" if n < 10 else cardinal(n)


def spell(digits: str) -> str:
    """Digits one by one; what is no digit is left out."""
    return " ".join(_ONES[int(char)] for char in digits if char in "0123456789")


def number(written: str, *, may_be_year: bool = False) -> str:
    """A number as `NUMBER` matches it, in words: digits that name no quantity ("0042") one by one."""
    plain = re.sub(r"[^\d.]", "", written)
    whole, point, decimals = plain.partition(".")
    fraction = f"point {spell(decimals)}" if point else ""
    if not whole:
        return fraction
    if (
        (len(whole) > 1 and whole[0] == "0")
        or len(whole) > _LONGEST
        or (plain == written and _is_code(whole) and not point)
    ):
        spoken = spell(whole)
    elif may_be_year and plain == written and not point and is_year(whole):
        spoken = year(int(whole))
    else:
        spoken = cardinal(int(whole))
    return f"{spoken} {fraction}".strip()


def is_year(digits: str) -> bool:
    """Whether four digits are read in two halves: 1100 to 2099."""
    return len(digits) == 4 and digits.isdigit() and 1100 <= int(digits) < 2100


def plural(name: str) -> str:
    """The plural of a number or a fraction: "nineties", "sixteenths", "halves"."""
    if name.endswith("half"):
        return name[:-1] + "ves"
    if name.endswith("y"):
        return name[:-1] + "ies"
    return name + ("es" if name.endswith("x") else "s")


def _is_code(digits: str) -> bool:
    return len(digits) > _LONGEST_PLAIN and not digits.endswith("000")
