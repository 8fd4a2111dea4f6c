"""Streaming text into phrases: where to cut a reply so that the voice starts early and still sounds natural.

No I/O and no clock. Characters are taken one at a time and a cut depends only on the characters so far, so
the same text gives the same phrases however it was chopped into pushes, and the phrases joined are the text.

What is certain when: a comma, semicolon, "!", "?" or long dash after a letter ends its clause at once. A full
stop and a colon wait for one more character: at the stop of "example.com", "e.g." or "3.14" nothing tells
them from the end of a sentence, a wrong cut is heard, and the wait is one token (about 10 ms), of the first
phrase only: later ones are cut while it is spoken. Where in doubt ("U.S. It ...") sentences stay joined.
"""

import re
from dataclasses import dataclass, replace

from tts.words import (
    ABBREVIATIONS,
    BEFORE_NUMBERS,
    JOINERS,
    LEANING,
    NUMBER_SIGNS,
    OBJECTS,
    SOMETIMES_LAST,
)

_CLOSERS = "\"'”’)]}*_`"  # noqa: RUF001
_OPENERS = "\"'“‘([{*_`#"  # noqa: RUF001
_DASHES = "–-"  # noqa: RUF001
_OPERATORS = "=+−×÷/<>≤≥≠≈&%°^*–-$€£"  # noqa: RUF001
_ACRONYM = re.compile(r"(?:[^\W\d_]{1,2}\.)+[^\W\d_]{1,2}")
# A mark that only the next word explains, up to that word's first character, within the last _LOOK_BACK ones.
_UNDECIDED = re.compile(r"(?:(?P<word>\S+?)\.|\d[,:])[\"'”’)\]}*_`]*(?P<gap>\s+)(?P<next>\S)\Z")  # noqa: RUF001
_LOOK_BACK = 40
_BEFORE_NUMBER = 3  # words at least


@dataclass(frozen=True)
class PhraseConfig:
    """When to cut: counts are of words, or of characters."""

    first_min_words: int = 2  # of the first phrase, when it ends with a clause rather than a sentence
    first_max_words: int = 5  # of the first phrase, when no punctuation comes
    second_chars: int = 20  # the second phrase may end with a clause when it is this long, the third at twice
    clause_chars: int = (
        80  # that, up to this: while one phrase is spoken the next, a little longer, is written
    )
    max_chars: int = 200  # a phrase this long ends at a word; at twice this, anywhere

    def __post_init__(self) -> None:
        in_order = (
            1 <= self.first_min_words <= self.first_max_words
            and 1 <= self.second_chars <= self.clause_chars <= self.max_chars
        )
        if not in_order:
            raise ValueError(f"phrase limits out of order: {self}")


def split(text: str) -> list[str]:
    """The phrases of a whole text."""
    splitter = PhraseSplitter()
    return [*splitter.push(text), *splitter.flush()]


class PhraseSplitter:
    """Cuts a stream of text into phrases; joined they are the text, less white space at its very end."""

    def __init__(self, config: PhraseConfig | None = None) -> None:
        self._config = config or PhraseConfig()
        self._start()

    def push(self, text: str) -> list[str]:
        """Take more text; return the phrases that it completes."""
        phrases: list[str] = []
        for char in text:
            self._feed(char, phrases)
        return phrases

    def flush(self) -> list[str]:
        """End of the text: return what is left, if anything, and start afresh."""
        rest = self._text
        self._start()
        return [rest] if rest.strip() else []

    def _start(self) -> None:
        self._text, self._first = "", True
        self._present = replace(self._config, clause_chars=self._config.second_chars)

    def _feed(self, char: str, phrases: list[str]) -> None:
        self._text += char
        cut = _find_cut(self._text, self._first, self._present)
        if cut == 0:
            return
        phrases.append(self._text[:cut])
        if not self._first:
            longer = min(2 * self._present.clause_chars, self._config.clause_chars)
            self._present = replace(self._present, clause_chars=longer)
        rest, self._text, self._first = self._text[cut:], "", False
        for kept in rest:
            self._feed(kept, phrases)


def _find_cut(text: str, first: bool, config: PhraseConfig) -> int:
    """Where the phrase ends, now that the last character of `text` has come; 0 if not yet."""
    if not _is_word(text):
        return len(text) if len(text) >= 2 * config.max_chars else 0
    last = text[-1]
    if last == "\n":
        return len(text)
    if last.isspace():
        cut = _cut_at_space(text[:-1], first, config)
    elif last in ",;!?—" and _is_certain(text):
        cut = len(text) if last in "!?" or _clause_may_end(text, first, config) else 0
    else:
        cut = (first and _cut_before_number(text)) or _cut_deferred(text, first, config)
    if cut == 0 and len(text) >= 2 * config.max_chars:
        cut = _best_word_end(text, 1) or len(text)
    return cut


def _cut_at_space(body: str, first: bool, config: PhraseConfig) -> int:
    """`body` is followed by white space: it ends here if its closing mark, or its length, says so."""
    core = body.rstrip(_CLOSERS)
    mark = core[-1:]
    if mark in ("!", "?", "…") or (mark == "." and _stop_ends_sentence(core)):
        return len(body)
    if mark and mark in ",;:—" + _DASHES and _is_clause_mark(core) and _clause_may_end(body, first, config):
        return len(body)
    if first and len(body.split()) >= config.first_max_words:
        return _best_word_end(body, min(3, config.first_max_words))
    if len(body) >= config.max_chars:
        return _best_word_end(body, 1 + len(body.split()) // 2)
    return 0


def _cut_before_number(text: str) -> int:
    """A number may take the model a dozen tokens, one a digit: say "The moon is about" meanwhile.

    Not after a capital, where the number may be part of a name or a date: "March 3", "Apollo 11".
    """
    words = text[:-1].split()
    begins_number = text[-1].isdigit() and text[-2:-1].isspace() and len(words) >= _BEFORE_NUMBER
    if not begins_number or not words[-1].isalpha() or not words[-1].islower() or _leans(words[-1], False):
        return 0
    if words[-1] in BEFORE_NUMBERS:
        return 0
    return len(text[:-1].rstrip())


def _cut_deferred(text: str, first: bool, config: PhraseConfig) -> int:
    """A mark whose meaning shows only in the next word: "p.m. The", "No. 5", "March 3, 2024"."""
    if not text[-2:-1].isspace() or (match := _UNDECIDED.search(text[-_LOOK_BACK:])) is None:
        return 0
    cut = max(0, len(text) - _LOOK_BACK) + match.start("gap")
    following = match["next"]
    if match["word"] is None:
        return cut if not following.isdigit() and _clause_may_end(text[:cut], first, config) else 0
    word = match["word"].lstrip(_OPENERS)
    if word in NUMBER_SIGNS:
        return 0 if following.isdigit() else cut
    return cut if word in SOMETIMES_LAST and following.isupper() else 0


def _stop_ends_sentence(core: str) -> bool:
    """Whether the full stop that `core` ends with, white space following, ends a sentence."""
    word = core.split()[-1].lstrip(_OPENERS)
    stem = word[:-1]
    if not stem or stem.endswith("."):
        return True  # a stop on its own, or an ellipsis
    if stem.isdigit():
        return core.strip() != word  # else "1. First item"
    undecided = stem in NUMBER_SIGNS or stem in SOMETIMES_LAST
    return not (len(stem) == 1 or undecided or stem in ABBREVIATIONS or _ACRONYM.fullmatch(stem))


def _is_clause_mark(core: str) -> bool:
    before = core[-2:-1]
    if core[-1] in _DASHES:
        word = core[:-1].split()[-1:]
        return before.isspace() and bool(word) and len(word[0]) > 1 and not word[0][-1].isdigit()
    if core[-1] == ":" and core[:-1].split()[-1].lower() in BEFORE_NUMBERS:
        return False
    return not (before.isdigit() and core[-1] in ",:")


def _is_certain(text: str) -> bool:
    """A mark straight after a letter, nothing open that might close behind it, and not inside an address."""
    if not (text[-2:-1].isalpha() or (text[-1] == "—" and text[-2:-1].isspace())):
        return False
    word = text.split()[-1]
    return not (_has_open_pair(text) or "/" in word or "." in word[:-1] or "@" in word)


def _has_open_pair(text: str) -> bool:
    return text.count('"') % 2 == 1 or any(text.count(a) > text.count(b) for a, b in ("“”", "()", "[]"))


def _clause_may_end(text: str, first: bool, config: PhraseConfig) -> bool:
    if first:
        return sum(map(_is_word, text.split())) >= config.first_min_words
    return len(text) >= config.clause_chars


def _best_word_end(body: str, at_least: int) -> int:
    """The best cut after `at_least` words or more: at a clause's end, else before a joiner, else the last.

    Never after a word that leans on the next, nor inside a name or a sum ("Henry | VIII", "x | = 5"); 0 if
    there is no such place.
    """
    best, best_rank = 0, (0, 0)
    words = list(re.finditer(r"\S+", body))
    for index in range(at_least - 1, len(words)):
        following = words[index + 1].group() if index + 1 < len(words) else ""
        joined = following.strip(_OPENERS).lower() in JOINERS
        rank = (3 if words[index].group()[-1] in ",;—" else 1 + joined, index)
        if (
            rank > best_rank
            and not _leans(words[index].group(), joined)
            and not _may_go_on(words[index].group(), following, index)
        ):
            best, best_rank = words[index].end(), rank
    return best


def _may_go_on(word: str, following: str, index: int) -> bool:
    """Whether `word` may be read with what follows it, or has not come yet: a sum, a name, "code 4711"."""
    if following[:1] and following[0] in _OPERATORS:
        return True
    bare = word.lstrip(_OPENERS)
    if bare.lower() in BEFORE_NUMBERS and (not following or following[0].isdigit()):
        return True
    goes_on = not following or following.lstrip(_OPENERS)[:1].isupper() or following[0].isdigit()
    return goes_on and bare[:1].isupper() and index > 0 and word[-1].isalnum()


def _leans(word: str, before_joiner: bool) -> bool:
    bare = word.lstrip(_OPENERS).rstrip(_CLOSERS)
    if not _is_word(bare) or bare[-1].isdigit() or bare.endswith((".", ":", "@")):
        return True
    bare = bare.lower().rstrip(",;")
    if len(bare) == 1 and bare.isalpha():
        return True
    return bare in LEANING or (bare in OBJECTS and not before_joiner)


def _is_word(text: str) -> bool:
    return any(map(str.isalnum, text))
