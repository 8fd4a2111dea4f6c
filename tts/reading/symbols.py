"""Signs that have a word, Greek letters, and text in scripts that the voice cannot read."""

import re
import unicodedata

from tts.reading.vocabulary import GREEK, SYMBOLS

_SYMBOL = re.compile("|".join(re.escape(sign) for sign in SYMBOLS))
_PER = re.compile(r"(?<=\w)\s?/\s?(?=(?:day|week|month|year|hour|minute|second|person)\b)")
_LETTERS = re.compile(r"(?<=[A-Z])/(?=[A-Z])")
_LINE = re.compile(r"([^\w\s.,!?()])\1{2,}")  # drawn, not said
_BARE_UNITS = re.compile(r"\b(km/h|m/s)\b(?:\^(?:2|two)\b)?")
_GREEK_LETTER = re.compile(rf"(?<![Ͱ-Ͽἀ-῿])[{''.join(GREEK)}](?![Ͱ-Ͽἀ-῿])")
_NAMES = {"CJK": "Chinese", "HIRAGANA": "Japanese", "KATAKANA": "Japanese", "HANGUL": "Korean"}
_UNWRITTEN = frozenset(
    ("LATIN", "MODIFIER", "FEMININE", "MASCULINE", "COMBINING", "MICRO", "OHM", "KELVIN", "ANGSTROM")
)


def read_symbols(text: str) -> str:
    """`text` with the words of its signs and Greek letters."""
    if not text.isascii():
        text = _GREEK_LETTER.sub(lambda m: f" {GREEK[m[0]]} ", text)
    if "/" in text:
        text = _PER.sub(" per ", _LETTERS.sub(" ", _BARE_UNITS.sub(_bare_unit, text)))
    text = _LINE.sub(" ", text)
    return _SYMBOL.sub(lambda m: f" {SYMBOLS[m[0]]} ", text)


def _bare_unit(match: re.Match[str]) -> str:
    name = {"km/h": "kilometers per hour", "m/s": "meters per second"}[match[1]]
    return f"{name} squared" if "^" in match[0] else name


def name_scripts(text: str) -> str:
    """`text` with a remark in place of words in a script that the voice cannot read."""
    if text.isascii():
        return text
    pieces: list[str] = []
    run, script, gap, count = "", "", "", 0
    lone = {match.start() for match in _GREEK_LETTER.finditer(text)}
    for index, char in enumerate(text + "\n"):
        of = "" if index in lone else _script(char)
        if of:
            count += bool(gap.strip() == "" and gap) or not run
            run, script, gap = run + char, _joined(script, of), ""
        elif run and not char.isalnum() and char != "\n" and char not in ".!?":
            gap += char
        else:
            if run:
                pieces.append(f"{'a word' if count < 2 else 'some words'} in {script} script{gap}")
            run, script, gap, count = "", "", "", 0
            pieces.append(char)
    named = "".join(pieces[:-1])
    bare = re.sub(r"(?:a word|some words) in [A-Z]\w+ script", "", named)
    if named != text and not any(map(str.isalnum, bare)):
        return re.sub(
            r"^.*?(?:a word|some words) in ([A-Z]\w+) script.*$",
            r"Text in \1 script.",
            named,
            flags=re.DOTALL,
        )
    return named


def _joined(script: str, of: str) -> str:
    """Chinese characters beside kana are Japanese."""
    return "Japanese" if "Japanese" in (script, of) else script or of


def _script(char: str) -> str:
    """The name of the script of `char`; "" for Latin letters and for what is no letter."""
    if char.isascii() or unicodedata.category(char)[0] not in "LM":
        return ""
    name = unicodedata.name(char, "").split(" ")[0].split("-")[0]
    if name in _UNWRITTEN or not name or name == "VARIATION":
        return ""
    return _NAMES.get(name, name.capitalize())
