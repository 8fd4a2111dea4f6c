"""Word and character errors of a transcript against what was said, both normalised first."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import NamedTuple

import jiwer

from asr.eval.normalize import normalize


@dataclass(frozen=True)
class WordErrors:
    """Edits of a shortest way from the reference to the hypothesis. Of several such ways jiwer picks one."""

    substitutions: int
    insertions: int
    deletions: int
    reference_words: int

    @property
    def wer(self) -> float:
        """Errors per reference word. Of an empty reference, each inserted word counts 1."""
        return (self.substitutions + self.insertions + self.deletions) / max(self.reference_words, 1)


class Step(NamedTuple):
    """One step from a reference to a hypothesis: the place of its word in each, None where there is none."""

    reference: int | None
    hypothesis: int | None
    equal: bool


def align(reference: Sequence[str], hypothesis: Sequence[str]) -> list[Step]:
    """A shortest way from one list of words to another; no word may be empty or hold a space."""
    chunks = jiwer.process_words(" ".join(reference), " ".join(hypothesis)).alignments[0]
    return [
        Step(left, right, chunk.type == "equal")
        for chunk in chunks
        for left, right in zip_longest(
            range(chunk.ref_start_idx, chunk.ref_end_idx), range(chunk.hyp_start_idx, chunk.hyp_end_idx)
        )
    ]


def word_errors(reference: str, hypothesis: str) -> WordErrors:
    """Compare two texts word by word after `normalize`. Either may be empty."""
    return _errors(jiwer.process_words(normalize(reference), normalize(hypothesis)))


def character_errors(reference: str, hypothesis: str) -> WordErrors:
    """As `word_errors`, but each character of the normalised texts, spaces included, counts as a word."""
    return _errors(jiwer.process_characters(normalize(reference), normalize(hypothesis)))


def total(errors: Iterable[WordErrors]) -> WordErrors:
    """The sum over a set of clips; its `wer` is the set's, weighted by length."""
    each = list(errors)
    return WordErrors(
        sum(one.substitutions for one in each),
        sum(one.insertions for one in each),
        sum(one.deletions for one in each),
        sum(one.reference_words for one in each),
    )


def _errors(alignment: jiwer.WordOutput | jiwer.CharacterOutput) -> WordErrors:
    return WordErrors(
        alignment.substitutions,
        alignment.insertions,
        alignment.deletions,
        alignment.hits + alignment.substitutions + alignment.deletions,
    )
