"""Word errors on numbers, on names and on the other words, each apart.

A number is a word that has a digit in it once normalised, or "one": the normaliser writes "press 1" so, and
the pronoun with it. A name is a word that the reference writes with one capital letter although no sentence
begins there: Boston, Monday, O'Brien; not I, PIN or U.S. So a name at the start of a sentence counts as
another word, and a reference all in small letters has no names.
"""

from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Literal

from asr.eval.normalize import normalize
from asr.eval.score import WordErrors, align

Kind = Literal["numbers", "names", "others"]

# Of these the full stop ends no sentence.
_ABBREVIATIONS = frozenset({"Dr.", "Mr.", "Mrs.", "Ms.", "St."})
_SENTENCE_ENDS = (".", "!", "?", ":", "\u2026")
_QUOTES = "\"'()[]\u2018\u2019\u201c\u201d"


@dataclass(frozen=True)
class KindErrors:
    """The errors of one comparison, parted; together they are `asr.eval.score.word_errors` of it.

    An inserted word counts with the numbers if it is one, else with the others: no names are known there.
    """

    numbers: WordErrors
    names: WordErrors
    others: WordErrors


def errors_by_kind(reference: str, hypothesis: str) -> KindErrors:
    """Compare two texts word by word after `normalize`, as `asr.eval.score.word_errors` does."""
    kinds, written = word_kinds(reference), normalize(hypothesis).split()
    counts: dict[Kind, list[int]] = {"numbers": [0] * 4, "names": [0] * 4, "others": [0] * 4}
    for left, right, equal in align([word for word, _ in kinds], written):
        kind = _spoken_kind(written[right or 0]) if left is None else kinds[left][1]
        edit = 1 if left is None else 2 if right is None else 0
        counts[kind][edit] += not equal
        counts[kind][3] += left is not None
    return KindErrors(*(WordErrors(*counts[kind]) for kind in ("numbers", "names", "others")))


def word_kinds(reference: str) -> list[tuple[str, Kind]]:
    """The normalised words of `reference`, each with its kind."""
    words = normalize(reference).split()
    kinds = [_spoken_kind(word) for word in words]
    pieces = _pieces(reference)
    # The whole text normalises to other words than its pieces where numbers join, so places have to be found.
    matcher = SequenceMatcher(None, [word for word, _ in pieces], words, autojunk=False)
    for piece, place, size in matcher.get_matching_blocks():
        for step in range(size):
            if pieces[piece + step][1] and kinds[place + step] == "others":
                kinds[place + step] = "names"
    return list(zip(words, kinds, strict=True))


def _spoken_kind(word: str) -> Kind:
    return "numbers" if word == "one" or any(char.isdigit() for char in word) else "others"


def _pieces(text: str) -> list[tuple[str, bool]]:
    """The words of `text` normalised one by one, and whether each is part of a name."""
    pieces, starts = [], True
    for token in text.split():
        words = normalize(token).split()
        named = not starts and _is_name(token)
        # Of "Anna's", which is normalised to "anna is", only the first word is the name.
        last = len(words) - (token.strip(_QUOTES + ".,!?;:").endswith(("'s", "\u2019s")) and len(words) > 1)
        pieces += [(word, named and place < last) for place, word in enumerate(words)]
        ends = token.rstrip(_QUOTES)
        starts = (ends.endswith(_SENTENCE_ENDS) and ends not in _ABBREVIATIONS) or (starts and not words)
    return pieces


def _is_name(token: str) -> bool:
    word = token.lstrip(_QUOTES)
    if word[1:2] in ("'", "\u2019") and word[:1] in ("O", "D"):  # O'Brien, D'Arcy
        word = word[2:]
    return word[:1].isupper() and word[1:2].islower()
