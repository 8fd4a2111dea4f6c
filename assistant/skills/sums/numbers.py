"""Numbers as they are spoken or as a recognizer writes them, exactly; and results as they are said."""

import math
import re
from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction

_TO_NINETEEN = """zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen
    fifteen sixteen seventeen eighteen nineteen"""
_TO_NINETY = "twenty thirty forty fifty sixty seventy eighty ninety"
_ONES = {word: value for value, word in enumerate(_TO_NINETEEN.split())}
_TENS = {word: 10 * value for value, word in enumerate(_TO_NINETY.split(), 2)}
_SCALES = {"thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}
_MULTIPLES = {**_SCALES, "hundred": 100, "dozen": 12}
_IRREGULAR = {"first": 1, "second": 2, "third": 3, "fifth": 5, "eighth": 8, "ninth": 9, "twelfth": 12}
_PLACES = (
    {f"{word}th": value for word, value in _ONES.items()}
    | {f"{word[:-1]}ieth": value for word, value in _TENS.items()}
    | {"hundredth": 100, "thousandth": 1000, "millionth": 10**6}
    | _IRREGULAR
)
_PARTS = (
    {word: value for word, value in _PLACES.items() if value > 2}
    | {f"{word}s": value for word, value in _PLACES.items() if value > 2}
    | {"half": 2, "halves": 2, "quarter": 4, "quarters": 4, "fourth": 4, "fourths": 4}
)
_SIGNS = {"½": " 1/2", "¼": " 1/4", "¾": " 3/4", "⅓": " 1/3", "⅔": " 2/3", "⅛": " 1/8"}
_TOKEN = re.compile(r"\d+(?:\.\d+)?|\.\d+|[^\W\d_]+(?:'[^\W\d_]+)?|[^\w\s]")
_BETWEEN_LETTERS = re.compile(r"(?<=[a-z])-(?=[a-z])")
_LARGE = ("trillion", "quadrillion", "quintillion", "sextillion", "septillion", "octillion")

Found = tuple[Fraction, int]
"""A number, and the index of the token behind it."""


def tokens(text: str) -> list[str]:
    """Words in lower case, numbers and signs: "twenty-one x 3.5" is twenty, one, x, 3.5."""
    for sign, written in _SIGNS.items():
        text = text.replace(sign, written)
    return _TOKEN.findall(_BETWEEN_LETTERS.sub(" ", text.casefold()))


def number(text: str) -> Fraction | None:
    """The number that all of `text` is: "minus two and a half" is -5/2; None if it is none."""
    words = tokens(text)
    minus = words[:1] in (["minus"], ["negative"], ["-"])
    found = number_at(words, int(minus))
    if found is None or found[1] != len(words):
        return None
    return -found[0] if minus else found[0]


def number_at(words: Sequence[str], at: int) -> Found | None:
    """The longest number without a sign that begins at `at`, if one does."""
    found = _fraction(words, at) or _dozen(words, at) or _cardinal(words, at)
    if found is None:
        return None
    value, at = found
    if value.denominator == 1:
        value, at = _mixed(words, at, value)
    while _word(words, at) in _MULTIPLES and value.denominator > 1:  # "two and a half million"
        value, at = value * _MULTIPLES[words[at]], at + 1
    return value, at


def ordinal_at(words: Sequence[str], at: int) -> tuple[int, int] | None:
    """A place such as "21", "st" or "twenty", "first", and the index behind it."""
    word, after = _word(words, at), _word(words, at + 1)
    if word.isdecimal() and after in ("st", "nd", "rd", "th"):
        return int(word), at + 2
    if word in _TENS and 0 < _PLACES.get(after, 10) < 10:
        return _TENS[word] + _PLACES[after], at + 2
    return (_PLACES[word], at + 1) if word in _PLACES else None


def spoken(value: Fraction, *, exact: int = 4, places: int = 2, longest: int = 10**15) -> str:
    """`value` as it is said: with all of its decimals if those are at most `exact`, else "about" so much.

    Rounded to `places` decimals, or to three digits below one; from `longest`, which is a trillion or more,
    in trillions and so on. A comma in thousands keeps a voice from reading a year.
    """
    if value < 0:
        said = spoken(-value, exact=exact, places=places, longest=longest)
        return f"about minus {said[6:]}" if said.startswith("about ") else f"minus {said}"
    if value >= longest:
        return _large(value)
    if (value * 10**exact).denominator == 1:
        return _digits(value, exact)
    if value < 1:
        places = 2 - Decimal(float(value)).adjusted()
    return f"about {_digits(value, places)}"


def rounded(value: Fraction) -> int:
    """The nearest whole number; halves go up, as people round."""
    return math.floor(value + Fraction(1, 2))


def _digits(value: Fraction, places: int) -> str:
    scaled = rounded(value * 10**places)
    whole, part = divmod(scaled, 10**places)
    decimals = f"{part:0{places}d}".rstrip("0") if places else ""
    return f"{whole:,}" + (f".{decimals}" if decimals else "")


def _large(value: Fraction) -> str:
    exponent = len(str(int(value))) - 1
    thousands = exponent // 3
    exact = value == round(value / 1000**thousands, 2) * 1000**thousands
    about = "" if exact else "about "
    if thousands - 4 < len(_LARGE):
        return f"{about}{_digits(value / 1000**thousands, 2)} {_LARGE[thousands - 4]}"
    return f"{about}{_digits(value / 10**exponent, 2)} times 10^{exponent}"


def _word(words: Sequence[str], at: int) -> str:
    return words[at] if 0 <= at < len(words) else ""


def _cardinal(words: Sequence[str], at: int) -> Found | None:
    """A number with its decimals, such as "three million two hundred", "1.5 million" or "a hundred and 5"."""
    total, begin, scale = Fraction(0), at, 10**15
    while True:
        group = _group(words, at, first=at == begin)
        if group is None:
            break
        value, end = group
        value, end = _decimals(words, end, value)
        following = _SCALES.get(_word(words, end), 1)
        if following >= scale or (at > begin and value >= scale):
            break
        total, at, scale = total + value * following, end + (following > 1), following
        if scale == 1:
            break
        if _word(words, at) == "and" and (group := _group(words, at + 1, first=False)) and group[0] < 100:
            total, at = total + group[0], group[1]
            break
    if at == begin:
        return None
    return _decimals(words, at, total) if total.denominator == 1 else (total, at)


def _group(words: Sequence[str], at: int, *, first: bool) -> Found | None:
    """A number below a thousand in words, or any in figures: "two hundred and five", "81", "1.5"."""
    word = _word(words, at)
    if word in ("a", "an") and first and _word(words, at + 1) in ("hundred", *_SCALES):
        value, at = 1, at + 1
    elif word[:1].isdecimal() or (word[:1] == "." and len(word) > 1):
        if "." in word or _word(words, at + 1) != "hundred":
            return Fraction(word), at + 1
        value, at = int(word), at + 1
    elif small := _small(words, at):
        value, at = small
    else:
        return None
    if _word(words, at) != "hundred" or not 0 < value < 100:
        return Fraction(value), at
    value, at = 100 * value, at + 1
    rest = _small(words, at + (_word(words, at) == "and"))
    return (Fraction(value + rest[0]), rest[1]) if rest else (Fraction(value), at)


def _small(words: Sequence[str], at: int) -> tuple[int, int] | None:
    """From zero to ninety-nine, in words; behind "hundred" also in figures."""
    word, after = _word(words, at), _word(words, at + 1)
    if word in _TENS:
        one = _ONES.get(after, 0)
        return (_TENS[word] + one, at + 2) if 0 < one < 10 else (_TENS[word], at + 1)
    if word in _ONES:
        return _ONES[word], at + 1
    behind = _word(words, at - 1) == "hundred" or _word(words, at - 2) == "hundred"
    return (int(word), at + 1) if behind and at and word.isdecimal() and len(word) < 3 else None


def _decimals(words: Sequence[str], at: int, value: Fraction) -> Found:
    """`value` with what follows "point", digit by digit or in figures."""
    if _word(words, at) != "point":
        return value, at
    digits, end = "", at + 1
    while True:
        word = _word(words, end)
        if word.isdecimal():
            digits, end = digits + word, end + 1
        elif word in ("oh", "o"):
            digits, end = digits + "0", end + 1
        elif small := _small(words, end):
            digits, end = digits + str(small[0]), small[1]
        else:
            break
    return (value + Fraction(int(digits), 10 ** len(digits)), end) if digits else (value, at)


def _fraction(words: Sequence[str], at: int) -> Found | None:
    """Part of one: "half", "a quarter", "two thirds", "3/4", and "point five"."""
    word, after = _word(words, at), _word(words, at + 1)
    if word == "half":
        end = at + 1 + (after in ("a", "an") and _word(words, at + 2) in _MULTIPLES)
        return Fraction(1, 2), end
    if word == "point":
        value, end = _decimals(words, at, Fraction(0))
        return (value, end) if end > at else None
    if word.isdecimal() and after == "/" and _word(words, at + 2).isdecimal():
        below = int(words[at + 2])
        return (Fraction(int(word), below), at + 3) if int(word) < below else None
    above = 1 if word in ("a", "an") else _ONES.get(word) or (int(word) if word.isdecimal() else 0)
    if not above or after not in _PARTS or (above > 1) != after.endswith("s"):
        return None
    return Fraction(above, _PARTS[after]), at + 2


def _dozen(words: Sequence[str], at: int) -> Found | None:
    if _word(words, at) in ("a", "one") and _word(words, at + 1) == "dozen":
        return Fraction(12), at + 2
    found = _cardinal(words, at)
    return (found[0] * 12, found[1] + 1) if found and _word(words, found[1]) == "dozen" else None


def _mixed(words: Sequence[str], at: int, whole: Fraction) -> Found:
    """`whole` with a part behind it: "and a half", "and three quarters", or "1/2" in figures."""
    behind = at + (_word(words, at) == "and")
    if behind == at and not (_word(words, at).isdecimal() and _word(words, at + 1) == "/"):
        return whole, at
    part = _fraction(words, behind)
    return (whole + part[0], part[1]) if part and _word(words, behind) != "point" else (whole, at)
