"""Text written for the eye: markup taken away before the reading, stray signs after it."""

# ruff: noqa: RUF001 - dashes, minus and multiplication signs are what it is about

import html
import re
import unicodedata

_LINK = re.compile(r"!?\[([^\]\n]*)\]\([^)\n]*\)")
_TAG = re.compile(r"</?[a-zA-Z][^<>\n]*>|<!--.*?-->", re.DOTALL)
_ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][\da-fA-F]{1,6}|[a-zA-Z]{2,8}\d{0,2});")
_MISSING_SPACE = re.compile(r"(?:(?<=[a-z][a-z][.!?])|(?<=\d[.!?]))(?=[A-Z][a-z])")
_BULLET = re.compile(r"^\s*(?:(?:[-*+•◦▪–]|#{1,6}|>)\s+)+(?:\[[ xX]\]\s+)?", re.MULTILINE)
_ITEM = re.compile(r"^(\s*\d{1,3})\)(?=\s)", re.MULTILINE)
_CITED = re.compile(r"(?<=[\w.,;:!?)])\[\d{1,3}\]")
_RULE = re.compile(r"^\s*(?:[-*_=]\s*){3,}$|^[\s|:-]*-{3,}[\s|:-]*$", re.MULTILINE)
_EMPHASIS = re.compile(r"(\*{1,3}|~~|__)(?=\S)([^*~\n]*?\S)\1")
_SMILEY = re.compile(r"(?<!\S)[:;]['’]?-?[)(DPp](?![^\s.,!?])")
_SIGNS = re.compile(r"[*`~\"“”„«»]|#|(?<![^\W_])_+|_+(?![^\W_])|(?<!\w)['‘’]+|['‘’]+(?!\w)")
_SEPARATOR = re.compile(r"[|{}\[\]\\_]")
_LEADING = re.compile(r"^[\s,.;:!?)…—–-]+(?=\D|$)")
_REPEATED = re.compile(r"(?:([!?])[!?.…]+|([,;:])[,;:]+|\.{2,})")
_SPACE_BEFORE = re.compile(r"\s+(?=[,.;:!?)…](?:\s|$))")
_AFTER_LETTERS = re.compile(r"(?<=\.[A-Z]\.)\.")

_ALIKE = str.maketrans(
    {
        "’": "'",
        "‘": "'",
        "‛": "'",
        "′": "'",
        "″": '"',
        "‒": "-",
        "‑": "-",
        "‐": "-",
        "―": "—",
        "⁄": "/",
        "∕": "/",
        "∗": "*",
        "⋅": "·",
        "✕": "×",
        "✖": "×",
        "μ": "µ",
        "\u2126": "Ω",
        "№": "No. ",
        "⟶": "→",
        "➔": "→",
        "➜": "→",
        "ﬁ": "fi",
        "ﬂ": "fl",
        "™": "",
        "®": "",
        "\u00ad": "",
        "\u200b": "",
    }
)
_SUPERSCRIPTS = dict(zip("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ⁿⁱ", "0123456789+-ni", strict=True))
_SUPERSCRIPT = re.compile(rf"(?<=[\w)\]])[{''.join(_SUPERSCRIPTS)}]+")
_FRACTION = re.compile("(?<=[0-9])?[¼½¾⅐⅑⅒⅓⅔⅕⅖⅗⅘⅙⅚⅛⅜⅝⅞]")
_FOOTNOTE = re.compile(r"(?<=[.,;:!?])[⁰¹²³⁴-⁹]+|(?<=[a-z]{5})[⁰¹²³⁴-⁹]+")


def plain(text: str) -> str:
    """`text` without markup, entities and emphasis, its signs of one meaning written one way."""
    if "<" in text or "[" in text:
        text = _TAG.sub(" ", _CITED.sub("", _LINK.sub(r"\1", text)))
    if "&" in text:
        for _ in range(2):  # some are escaped twice
            text = _ENTITY.sub(lambda m: html.unescape(m[0]), text)
    if not text.isascii():
        text = _fold(text)
    if text[:1] in "\t -*+•◦▪–#>0123456789_=|" or "\n" in text:
        text = _ITEM.sub(r"\1.", _BULLET.sub("", _RULE.sub("", text)))
    if "*" in text or "~~" in text or "__" in text:
        text = _EMPHASIS.sub(r"\2", text)
    return _SMILEY.sub("", _MISSING_SPACE.sub(" ", text))


def _fold(text: str) -> str:
    text = _FOOTNOTE.sub("", text)
    text = _SUPERSCRIPT.sub(lambda m: "^" + "".join(map(_SUPERSCRIPTS.__getitem__, m[0])), text)
    text = _FRACTION.sub(lambda m: " " + unicodedata.normalize("NFKC", m[0]).replace("⁄", "/"), text)
    return "".join(map(_fold_char, text.translate(_ALIKE)))


def _fold_char(char: str) -> str:
    """`char`, or the plain letters and digits that it stands for."""
    if char.isascii():
        return char
    kind = unicodedata.category(char)
    if kind[0] == "Z" or kind == "Cc":
        return " "
    if kind == "Nd":
        return str(unicodedata.digit(char))
    if (
        kind[0] == "N"
        or char in "℃℉㎞㎏㎝"
        or unicodedata.name(char, "").startswith(("MATHEM", "FULLW", "SUBSC"))
    ):
        return unicodedata.normalize("NFKC", char)
    return char


def tidy(text: str) -> str:
    """`text` in one line without what has no sound; "" if no letter is left."""
    text = _SEPARATOR.sub(" ", _SIGNS.sub("", text))
    text = _drop_unpaired("".join(map(_audible, text)))
    text = _REPEATED.sub(lambda m: m[1] or m[2] or "…", _AFTER_LETTERS.sub("", " ".join(text.split())))
    text = _LEADING.sub("", _SPACE_BEFORE.sub("", text)).strip()
    return text if any(map(str.isalnum, text)) else ""


def _audible(char: str) -> str:
    """`char`, a space in place of a control character, or nothing for what has no sound (emoji, joiners)."""
    if char.isascii():
        return char if char.isprintable() else " "
    kind = unicodedata.category(char)
    if kind[0] == "Z":
        return " "
    silent = kind[0] in "CS" or kind in ("Me", "No") or unicodedata.name(char, "").startswith("VARIATION")
    return "" if silent else char


def _drop_unpaired(text: str) -> str:
    """Without the round brackets, unless they pair up: a phrase may hold one half of a pair."""
    depth = 0
    for char in text:
        depth += (char == "(") - (char == ")")
        if depth < 0:
            break
    return text if depth == 0 else text.replace("(", " ").replace(")", " ")
