"""Hallucinations: long insertions, and phrases that a decoder got caught in.

Both are what an autoregressive decoder does when it loses the audio, and neither shows in a word error rate
over many clips. Another spelling of what was said is no hallucination, nor is a repetition that was said.
"""

import re
from collections.abc import Sequence
from itertools import pairwise

from asr.eval.normalize import normalize
from asr.eval.score import align

INSERTED_WORDS = 4
"""Words more than were said, between two that were: fewer are a word heard as two, or a filler."""
REPEATED_WORDS = 3
"""Words of the shortest phrase whose repetition counts: people do say "no no" and "very very"."""


def hallucinations(reference: str, hypothesis: str) -> list[str]:
    """Insertions of INSERTED_WORDS and more: what the hypothesis says between two words that were said.

    The surplus counts and not the words that an alignment calls put in: which of five words stands for the
    one that was misheard is arbitrary, and may part the run.
    """
    said, written = normalize(reference).split(), normalize(hypothesis).split()
    hits = [(left, right) for left, right, equal in align(said, written) if equal]
    ends = [(-1, -1), *((left or 0, right or 0) for left, right in hits), (len(said), len(written))]
    return [
        " ".join(written[start[1] + 1 : end[1]])
        for start, end in pairwise(ends)
        if (end[1] - start[1]) - (end[0] - start[0]) >= INSERTED_WORDS
    ]


def repetitions(reference: str, hypothesis: str) -> list[str]:
    """The phrases of REPEATED_WORDS or more that come twice in a row, unless the reference has them so."""
    said = {normalize(phrase) for phrase in _repeated(_spoken(reference))}
    return [phrase for phrase in _repeated(_spoken(hypothesis)) if normalize(phrase) not in said]


def _spoken(text: str) -> list[str]:
    """Words as they stand: the normaliser joins a loop of digits, as "20-20-20-20-20-20", to one number."""
    return re.findall(r"[^\W_]+(?:['\u2019][^\W_]+)*", text.lower())


def _repeated(words: Sequence[str]) -> list[str]:
    """Each phrase that is followed by itself, the shortest at each place, and once however often it comes."""
    found, at = [], 0
    while at < len(words):
        size = _repeated_size(words, at)
        if not size:
            at += 1
            continue
        phrase = words[at : at + size]
        found.append(" ".join(phrase))
        while words[at + size : at + 2 * size] == phrase:
            at += size
        at += size
    return found


def _repeated_size(words: Sequence[str], at: int) -> int:
    """How many words from `at` come again right after them; 0 if none do."""
    sizes = range(REPEATED_WORDS, (len(words) - at) // 2 + 1)
    return next((n for n in sizes if words[at : at + n] == words[at + n : at + 2 * n]), 0)
