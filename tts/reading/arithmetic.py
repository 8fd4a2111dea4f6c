"""Arithmetic: operators between numbers and letters, powers, roots and signs.

Operators become words and numbers stay, for the numbers may have units: "3 km + 2 km". A whole number of
four digits gets its comma here, so that it is not taken for a year.
"""

# ruff: noqa: RUF001 - dashes, minus and multiplication signs are what it is about

import re

from tts.reading.numbers import NUMBER, cardinal, in_pairs, ordinal
from tts.reading.units import PER, UNITS

_OPERAND = r"[\d.,]*\d[%°]?|(?<![A-Za-z'])[A-Za-z](?![A-Za-z'])"
_LEFT = r"(?:(?<=[\d)%°])|(?<=(?<![A-Za-z'])[A-Za-z]))"
_RIGHT = r"(?=\(|√|[-−]?[$€£]?[.\d]|[-−]?[A-Za-z](?![A-Za-z']))"
_POSED = re.compile(
    r"=|[√×÷]|\d ?\+ ?\d|\b(?:what is|what's|calculate|compute|solve|equals|evaluate|subtract)\b",
    re.IGNORECASE,
)
_EQUATION = re.compile(r"(?<![\w.])[\d.]+(?:[-+*/x×÷−][\d.]+)+(?=\s*=)")
_INSIDE = re.compile(r"(?<=\d)[-+*/x×÷−](?=[\d.])")
_WORDS = {
    "-": "minus",
    "−": "minus",
    "+": "plus",
    "*": "times",
    "x": "times",
    "×": "times",
    "÷": "divided by",
    "/": "divided by",
}
_SCORE = re.compile(
    r"\b(?:score|scored|won|win|wins|lost|lose|beat|led|lead|final|draw|tied|vote)\b", re.IGNORECASE
)
_EQUALS = re.compile(r"\s*(?:==?=?|:=)\s*")
_COMPARED = (
    (re.compile(r"\s*(?:!=|<>)\s*"), " ≠ "),
    (re.compile(r"\s*>=\s*"), " ≥ "),
    (re.compile(r"\s*<=\s*"), " ≤ "),
    (re.compile(r"\s*(?:=>|⇒)\s*"), " ⇒ "),
    (re.compile(r"\s*(?:<-->|<->)\s*"), " ↔ "),
    (re.compile(r"\s*-{1,2}>\s*"), " → "),
    (re.compile(r"(?<=[\d.])\s*≈\s*|(?<=\b[A-Za-zπ])\s*≈\s*"), " is about "),
    (re.compile(r"(?:≈|~|∼)\s?(?=[$€£]?\d)"), "about "),
    (re.compile(r"(?:^|(?<=[,;:(])) ?≥\s?(?=[$€£]?\d)"), " at least "),
    (re.compile(r"(?:^|(?<=[,;:(])) ?≤\s?(?=[$€£]?\d)"), " at most "),
    (re.compile(r"(?<=[a-z]{3}) ?≥ ?(?=[$€£]?\d)"), " at least "),
    (re.compile(r"(?<=[a-z]{3}) ?≤ ?(?=[$€£]?\d)"), " at most "),
    (re.compile(r"(?:(?<=[a-z]{3} )|^)< ?(?=[$€£]?\d)"), "less than "),
    (re.compile(r"(?:(?<=[a-z]{3} )|^)> ?(?=[$€£]?\d)"), "more than "),
)
_PLUS = re.compile(rf"{_LEFT}\s?\+\s?{_RIGHT}|{_LEFT} \+ ")
_TIMES = re.compile(rf"{_LEFT}\s?[*·]\s?{_RIGHT}")
_DIVIDED = re.compile(rf"{_LEFT}\s?÷\s?{_RIGHT}|{_LEFT} / {_RIGHT}")
_OVER = re.compile(
    r"(?<=\))\s?/\s?(?=[\w(])|(?<=(?<![A-Za-z\d'.])[a-z])/(?=[a-z](?![A-Za-z'/]))(?!(?<=[mg]/)[sLlhm])"
    r"(?![shLl]\b)"
)
_PRODUCT = re.compile(r"\b([a-z])([a-z])\b")
_CROSS = re.compile(
    rf"(?P<a>{NUMBER})(?P<unit>['\"]| ?(?:cm|mm|m|ft|in|km|px)\b)?\s?[xX×]\s?(?P<b>{NUMBER})(?P<rest>"
    r"['\"]|\s?(?:cm|mm|m|ft|in|inch|inches|feet|foot|meters?|px|pixels|km)\b)?"
)
_FACTOR = re.compile(r"(?<=\d)[xX](?![A-Za-z\d])")
_FACTOR_BEFORE = re.compile(r"(?<![A-Za-z\d])x(?!86|64)(?=\d+(?![\w-]))")
_SPACED = re.compile(rf"(?P<a>{_OPERAND}|\)) - (?P<b>(?:{_OPERAND}|\())")
_TRUE_MINUS = re.compile(rf"{_LEFT}\s?−\s?{_RIGHT}")
_SIGN = re.compile(
    r"(?:(?<![^\s(\[=,/:*+])|(?<=[$€£^]))[-−](?=[$€£]?\.?\d|[$€£])|(?<![^\s(\[=,:])–(?=[$€£]?\.?\d)"
)
_NEGATIVE = re.compile(r"(?<=equals )[-−](?=[A-Za-z(])|(?<=\()[-−](?=[A-Za-z]\b)|−(?=[A-Za-z]\b)")
_POWER = re.compile(
    r"(?P<base>(?<![A-Za-z\d.])\d+(?:\.\d+)?|[A-Za-z)]|\b[A-Za-z]+)(?:\^|\*\*)(?:\((?P<inner>"
    r"[^()]{1,12})\)|\{(?P<braced>[^{}]{1,12})\}|(?P<exp>[-−+]?(?:\d+(?:\.\d+)?|[A-Za-z]\b)))"
    r"(?P<unit> ?(?:km|cm|mm|nm|m|kg|g|s|Hz|J|W|V|N|Pa|mol|L|K|m/s|km/s|m/s\^2)(?![\w/^]))?"
)
_SCIENTIFIC = re.compile(r"(?<![\w.])(?P<m>\d+(?:\.\d+)?)[eE](?P<e>[-+−]?\d{1,3})(?!\w)")
_SQUARED_LETTERS = re.compile(r"\b([a-z])([a-z])\^(?=\d)")
_MARKS = {"'": " feet", '"': " inches"}
_FUNCTION = re.compile(r"\b([fgh])\(([a-z\d])\)")
_GROUP = re.compile(r"(?<=\d)\((?=[\w√-])")
_OF_DASH = re.compile(r"(?:(?<=squared)|(?<=cubed)|(?<=power of [a-z])) [-−] (?=[\d(A-Za-z])")
_TIMES_TEN = re.compile(r"(?<=\d)\s?[xX*×·]\s?(?=10\^)")
_PLAIN_YEAR = re.compile(r"(?<![\w.,:/-])(\d)(\d{3})(?![\w:/-]|[.,]\d)")


def read_arithmetic(text: str) -> str:
    """`text` with operators in words: "5 - 3 = 2" is "5 minus 3 equals 2", "x^2" is "x squared"."""
    posed = _POSED.search(text) is not None
    text = _SCIENTIFIC.sub(lambda m: f"{m['m']} times ten to the {_exponent(m['e'])}", text)
    text = _FUNCTION.sub(r"\1 of \2", _TIMES_TEN.sub(" times ", text))
    if "^" in text or "**" in text:
        text = _POWER.sub(
            _power, _SQUARED_LETTERS.sub(lambda m: m[0] if m[1] + m[2] in UNITS else f"{m[1]} {m[2]}^", text)
        )
    if posed:
        text = _EQUATION.sub(_equation, text)
        text = _OF_DASH.sub(" minus ", _GROUP.sub(" times (", text))
    for sign, words in _COMPARED:
        text = sign.sub(words, text)
    if "x" in text or "X" in text or "×" in text:
        text = _cross(text, posed)
    if " - " in text:
        text = _SPACED.sub(lambda m: _spaced(m, posed), text)
    text = _TRUE_MINUS.sub(" minus ", text)
    if "+" in text or "*" in text or "·" in text:
        text = _TIMES.sub(" times ", _PLUS.sub(" plus ", text))
    if "/" in text or "÷" in text:
        text = _DIVIDED.sub(" divided by ", text)
        text = _OVER.sub(" over ", text) if posed else text
    if "=" in text:
        text = _EQUALS.sub(" equals ", text)
    text = _NEGATIVE.sub("minus ", _SIGN.sub("minus ", text))
    if not posed:
        return text
    text = _PRODUCT.sub(
        lambda m: m[0] if set(m[0]) & set("aeiouy") or m[0] in UNITS else f"{m[1]} {m[2]}", text
    )
    return _PLAIN_YEAR.sub(r"\1,\2", text)


def _equation(match: re.Match[str]) -> str:
    """The side of an equation, unless it is a fraction: "3/4 = 0.75"."""
    above, stroke, below = match[0].partition("/")
    if stroke and above.isdigit() and below.isdigit() and int(above) < int(below):
        return match[0]
    return _INSIDE.sub(lambda sign: f" {_WORDS[sign[0]]} ", match[0])


def _cross(text: str, posed: bool) -> str:
    """The letter x and the sign of multiplication: sizes are "by", sums and factors "times"."""

    def read(match: re.Match[str]) -> str:
        if (
            len(match["a"]) in (3, 4)
            and len(match["b"]) in (3, 4)
            and match["a"].isdigit()
            and match["b"].isdigit()
        ):
            return f"{in_pairs(match['a'])} by {in_pairs(match['b'])}"
        is_size = (
            match["rest"] or match["unit"] or ("×" not in match[0] and "=" not in match.string and not posed)
        )
        first, last = (_MARKS.get(unit or "", unit or "") for unit in (match["unit"], match["rest"]))
        return f"{match['a']}{first} {'by' if is_size else 'times'} {match['b']}{last}"

    for _ in range(2):  # a chain of three shares its middle number
        text = _CROSS.sub(read, text)
    text = re.sub(r"(?<=\d) ?[xX×] ?(?=\d)", " by ", text)
    if re.search(r"[=+]|\bx (?:minus|plus|times)\b| - ", text):
        return re.sub(r"(?<=\d)(?=x\b)", " ", text)
    return _FACTOR_BEFORE.sub("times ", _FACTOR.sub(" times", text))


def _spaced(match: re.Match[str], posed: bool) -> str:
    """A hyphen between spaces is minus in a sum, "to" in a score and where numbers rise, else a dash."""
    first, second = match["a"], match["b"]
    if posed or "(" in second or ")" in first:
        return f"{first} minus {second}"
    if not (first[-1:].isdigit() and second[-1:].isdigit()):
        return match[0]
    falls = float(first.replace(",", "")) > float(second.replace(",", ""))
    return f"{first} {'minus' if falls and not _SCORE.search(match.string) else 'to'} {second}"


def _power(match: re.Match[str]) -> str:
    base, exponent = match["base"], match["exp"] or match["inner"] or match["braced"]
    unit = UNITS.get(f"{base}^{exponent}")
    if unit and base.isalpha() and match.string[: match.start()].rstrip()[-1:].isdigit():
        return match[0]
    if match.string[match.start() - 1 : match.start()] == "/" and f"{base}^{exponent}" in PER:
        return match[0]
    if base == "10" and re.fullmatch(r"[-−+]?\d+", exponent):
        words = f"ten to the {_exponent(exponent)}"
    elif exponent in ("2", "3"):
        words = f"{base} {'squared' if exponent == '2' else 'cubed'}"
    else:
        words = f"{base} to the power of {exponent.replace('−', '-').replace('-', 'minus ')}"
    after = match.string[match.end() :]
    gap = " " if after[:1].isalnum() else ""
    return words + _unit_behind(match["unit"]) + gap


def _unit_behind(written: str | None) -> str:
    if not written:
        return ""
    top, _, bottom = written.strip().partition("/")
    names = UNITS[top].split(",")
    return f" {names[1].strip() if len(names) > 1 else names[0] + 's'}" + (
        f" per {PER[bottom]}" if bottom else ""
    )


def _exponent(written: str) -> str:
    value = int(written.replace("−", "-"))
    return ordinal(value) if value >= 0 else f"minus {cardinal(-value)}"
