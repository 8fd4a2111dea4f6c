"""English text normalisation for scoring: spellings of one utterance become equal, different words do not.

Whisper's English normaliser does most of it: numbers, contractions, British spelling, fillers (Radford et
al. 2022, appendix C). The tables here mend what it leaves open. Both sides of a comparison pass through the
same rules. Only scoring imports this module.
"""

import re
from collections.abc import Callable
from typing import NamedTuple

from whisper_normalizer.english import EnglishTextNormalizer


class _Rule(NamedTuple):
    pattern: str
    replacement: str | Callable[[re.Match[str]], str]
    reason: str


# Compounds that are written open, hyphenated or closed and sound the same in each; the closed form is kept.
_COMPOUNDS = (
    "e mail",
    "file name",
    "good bye",
    "log in",
    "mail box",
    "per cent",
    "to day",
    "to morrow",
    "to night",
    "touch tone",
    "voice mail",
    "web site",
)

_CLOCK_CONTEXT = r"[ap]m\b|oclock\b|(?:this|in the|tomorrow) (?:morning|afternoon|evening)\b|tonight\b"

# Applied in order to the lower-cased text, before Whisper's rules.
_BEFORE = (
    _Rule("[\u2018\u2019\u02bc]", "'", "typographic apostrophes hide contractions from the library"),
    _Rule("\\.{2,}|\u2026", " ", "the library leaves one dot of an ellipsis as a word"),
    _Rule(r"(?<!\S)\*(?!\S)", "star", "standing alone, a telephone key is read by its name"),
    _Rule(r"(?<!\S)#(?!\S)", "pound", "the other such key"),
    _Rule(r"\s*°\s*c\b", " degrees celsius", "the library drops symbols that are spoken"),
    _Rule(r"\s*°\s*f\b", " degrees fahrenheit", "likewise"),
    _Rule("°", " degrees ", "likewise"),
    _Rule("&", " and ", "likewise"),
    _Rule(
        r"(?<![a-z.])((?:[a-z]\.)+[a-z])\b\.?(?!\w)",
        lambda match: match[1].replace(".", ""),
        "p.m. is pm, U.S. is US",
    ),
    _Rule(r"\bo'clock\b", "oclock", "the library reads the o as a digit: seven o'clock as 70 clock"),
    _Rule(rf"\b(\d\d?)\.([0-5]\d)(?=\s*(?:{_CLOCK_CONTEXT}))", r"\1:\2", "British clock times: 6.30 pm"),
    _Rule(r"\b(\d\d?):([0-5]\d)\b", r"\1\2", "the library writes six thirty as 630"),
    *(
        _Rule(rf"\b({first})[- ]({second})(?=(?:e?s)?\b)", r"\1\2", "see _COMPOUNDS")
        for first, second in (compound.split() for compound in _COMPOUNDS)
    ),
    _Rule(r"\b(re|un|non|pre)-(?=[a-z])", r"\1", "a hyphen after a prefix is house style: re-record"),
    _Rule(r"\bcannot\b", "can not", "the library writes can't as can not"),
    _Rule(r"\bok\b", "okay", "two spellings of one word"),
    _Rule(r"\bthru\b", "through", "likewise"),
    _Rule(r"\balright\b", "all right", "likewise"),
)

# Applied in order to what Whisper's rules return, words separated by one space.
_AFTER = (
    _Rule(
        r"(?<!\S)(?:\d+|one)(?: (?:\d+|one))+(?!\S)",
        lambda match: match[0].replace("one", "1").replace(" ", ""),
        "the library joins spoken digits (one two three is 123) but not written ones (1, 2, 3)",
    ),
    _Rule(r"(?<!\S)[^\w\s]+(?!\S)", "", "a symbol that is left alone is no word"),
)

_whisper_rules = EnglishTextNormalizer()


def normalize(text: str) -> str:
    """The words of `text` as they are scored: lower case, one space between, numbers in digits."""
    return " ".join(_apply(_AFTER, " ".join(_whisper_rules(_apply(_BEFORE, text.lower())).split())).split())


def _apply(rules: tuple[_Rule, ...], text: str) -> str:
    for rule in rules:
        text = re.sub(rule.pattern, rule.replacement, text)
    return text
