"""What the voice reads of a phrase: text written for the eye turned into text for the ear.

Numbers, units, currencies and symbols stay: the voice's own normalizer reads them ("$5", "20°C", "#1").
"""

import re
import unicodedata

_LINK = re.compile(r"!?\[([^\]\n]*)\]\([^)\n]*\)")
_TAG = re.compile(r"</?[a-zA-Z][^<>\n]*>")
_SCHEME = re.compile(r"\b(?:https?|ftp)://(?:www\.)?", re.IGNORECASE)
# Letters or digits joined by a full stop, the last run in lower case: an address or a file name. Runs of one
# letter are abbreviations ("e.g.", "p.m."), runs of digits are numbers. A query or fragment is not read.
_ADDRESS = re.compile(
    r"(?<![\w.])(?=[\w.-]*[^\W\d_])(?P<host>(?:[\w-]+\.)*[\w-]{2,}\.[a-z][a-z0-9]+\b)"
    r"(?P<path>/[\w./~-]*\w)?/?(?:[?#]\S*\w)?"
)
_MISSING_SPACE = re.compile(r"(?<=[a-z][a-z][.!?])(?=[A-Z][a-z])")
_BULLET = re.compile(r"^\s*(?:(?:[-*+•◦▪–]|#{1,6}|>)\s+)+", re.MULTILINE)  # noqa: RUF001
_LONG_NUMBER = re.compile(r"\d[\d,]{15,}(?<=\d)")  # read digit by digit; beyond 36 digits the voice fails
_TIMES = re.compile(r"(?<=\d)\s*\*\s*(?=\d)")
_APPROXIMATELY = re.compile(r"~(?=\d)")
_EMPHASIS = re.compile(r"[*`~\"“”„«»]|#(?!\d)|(?<![^\W_])_+|_+(?![^\W_])|(?<!\w)['‘’]+|['‘’]+(?!\w)")  # noqa: RUF001
_SEPARATOR = re.compile(r"[|{}\[\]\\]")
_LEADING = re.compile(r"^[\s,.;:!?)…—–-]+(?=\D|$)")  # noqa: RUF001
_REPEATED = re.compile(r"(?:([!?])[!?.…]+|([,;:])[,;:]+|\.{2,})")
_SPACE_BEFORE = re.compile(r"\s+(?=[,.;:!?)…](?:\s|$))")
_READ_NUMBERS = frozenset("½¼¾⅓⅔²³")  # by the voice; of the others it takes some for digits, and fails
_KEPT_SYMBOLS = frozenset("°")  # of Unicode's "other symbols", where emoji are too


def speakable(phrase: str) -> str:
    """The words of `phrase` as the voice should read them; "" if there are none.

    Markup, emoji and stray quotes and brackets go; "example.com" becomes "example dot com".
    """
    text = _TAG.sub(" ", _LINK.sub(r"\1", phrase))
    text = _ADDRESS.sub(_read_address, _SCHEME.sub("", text))
    text = _MISSING_SPACE.sub(" ", _LONG_NUMBER.sub(lambda m: " ".join(m[0].replace(",", "")), text))
    text = _APPROXIMATELY.sub("about ", _TIMES.sub(" times ", _BULLET.sub("", text)))
    text = _SEPARATOR.sub(" ", _EMPHASIS.sub("", text))
    text = _drop_unpaired("".join(map(_audible, text)))
    text = _REPEATED.sub(lambda m: m[1] or m[2] or "…", " ".join(text.split()))
    text = _LEADING.sub("", _SPACE_BEFORE.sub("", text)).strip()
    return text if any(map(str.isalnum, text)) else ""


def _read_address(match: re.Match[str]) -> str:
    return (match["host"] + (match["path"] or "")).replace(".", " dot ").replace("/", " slash ")


def _audible(char: str) -> str:
    """`char`, a space in place of a control character, or nothing for what has no sound (emoji, joiners)."""
    kind = unicodedata.category(char)
    if kind == "Cc" or kind[0] == "Z":
        return " "
    if kind[0] == "N" and not char.isascii() and char not in _READ_NUMBERS:
        return str(unicodedata.digit(char, " "))
    silent = (
        kind[0] == "C" or kind in ("So", "Sk", "Me") or unicodedata.name(char, "").startswith("VARIATION")
    )
    return "" if silent and char not in _KEPT_SYMBOLS else char


def _drop_unpaired(text: str) -> str:
    """Without the round brackets, unless they pair up: a phrase may hold one half of a pair."""
    depth = 0
    for char in text:
        depth += (char == "(") - (char == ")")
        if depth < 0:
            break
    return text if depth == 0 else text.replace("(", " ").replace(")", " ")
