"""Whether a transcript is the loudspeaker heard again, and not the user."""

import re
from collections.abc import Sequence
from difflib import SequenceMatcher

_FEWEST = 3  # words: shorter transcripts are answers, which share words with what they answer
_LONG = 8  # words: so many are hardly repeated by chance, and the recognizer splits and joins some of an echo
_ALIKE = 0.75  # of the letters of two words that the recognizer may have confused
_SLACK = 1.3  # times its own length: the stretch of the played text in which a transcript is looked for


def repeats(transcript: str, played: str, *, to_the_word: bool = False) -> bool:
    """Whether most of the `transcript` is a stretch of what was just `played`, in order, give or take errors.

    `to_the_word`: only where all of it is. A transcript of one or two words never is: "yes" and "the first
    one" answer in the words of the question.
    """
    said, known = _words(transcript), _words(played)
    if len(said) < _FEWEST or not known:
        return False
    span = round(_SLACK * len(said))
    starts = range(max(1, len(known) - span + 1))
    best = max(_in_order(said, known[start : start + span]) for start in starts)
    other = 0 if to_the_word else len(said) // 3 if len(said) >= _LONG else (len(said) - 1) // 4
    return len(said) - best <= other


def _words(text: str) -> list[str]:
    return re.findall(r"[a-z0-9]+", text.lower().replace("'", "").replace("\u2019", ""))


def _in_order(said: Sequence[str], played: Sequence[str]) -> int:
    """The length of the longest common subsequence of words that are alike."""
    lengths = [0] * (len(played) + 1)
    for word in said:
        diagonal = 0
        for place, other in enumerate(played, 1):
            above = lengths[place]
            lengths[place] = diagonal + 1 if _alike(word, other) else max(above, lengths[place - 1])
            diagonal = above
    return lengths[-1]


def _alike(word: str, other: str) -> bool:
    return word == other or (
        min(len(word), len(other)) > 3
        and SequenceMatcher(None, word, other, autojunk=False).ratio() >= _ALIKE
    )
