"""Which words of a phrase have been heard by which sample."""

import re
from itertools import accumulate

import numpy as np

from tts.vocoder import HOP
from tts.voice import Utterance

_SPOKEN = re.compile(r"[^\s\0]+")
_PUNCTUATION = ';:,.!?—…"()“”'


def word_ends(phrase: str, utterance: Utterance) -> list[tuple[str, int]]:
    """Each word of `phrase` with the white space before it, and the sample of the utterance at which it ends.

    The words joined are the phrase. Where the voice reads as many words as are written, each end is that of
    the word's last phoneme; else ("$5", "example.com") the time is divided in proportion to the letters.
    """
    words = _words(phrase)
    ends = _spoken_ends(utterance)
    if len(words) != len(ends):
        begin, end = int(utterance.durations[0]) * HOP, ends[-1] if ends else 0
        letters = list(accumulate(len(word) for word in words))
        ends = [begin + (end - begin) * count // letters[-1] for count in letters]
    return list(zip(words, ends, strict=True))


def _words(phrase: str) -> list[str]:
    """The phrase cut before each word; what has no letter or digit stays with its neighbour."""
    words: list[str] = []
    lead = ""
    for piece in re.findall(r"\s*\S+|\s+", phrase):
        if any(map(str.isalnum, piece)):
            words.append(lead + piece)
            lead = ""
        elif words:
            words[-1] += piece
        else:
            lead += piece
    return words or [lead]


def _spoken_ends(utterance: Utterance) -> list[int]:
    """The sample at which each word of the phonemes ends, punctuation behind it not counted."""
    samples = np.cumsum(utterance.durations) * HOP
    words = (
        (match.start(), match.group().rstrip(_PUNCTUATION)) for match in _SPOKEN.finditer(utterance.symbols)
    )
    return [int(samples[start + len(word) - 1]) for start, word in words if word]
