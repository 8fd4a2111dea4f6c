"""The stable prefix of a growing transcript: words that will not be taken back.

LocalAgreement-2 (Liu et al. 2020; Macháček et al. 2023): a word is stable once two hypotheses in a row begin
with the same words up to it. And it must have ended some time ago: what is still being said is often misread
twice in the same way.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from asr.words import Word


@dataclass(frozen=True)
class Partial:
    """A transcript so far: `stable` will not change any more, `unstable` may.

    The punctuation after the last stable word still depends on what follows, so it is not in `stable`.
    """

    stable: str
    unstable: str
    words: tuple[Word, ...] = ()

    @property
    def text(self) -> str:
        """Both, joined."""
        return f"{self.stable} {self.unstable}".strip()


class Stabilizer:
    """Feed it each hypothesis of one utterance in order; every one begins with the words that are stable."""

    def __init__(self, stability_delay_s: float) -> None:
        self._delay_s = stability_delay_s
        self._last: Sequence[Word] = ()
        self.stable = 0  # words

    def push(self, words: Sequence[Word], audio_s: float) -> int:
        """Take the next hypothesis, of `audio_s` seconds of audio; how many of its words are stable."""
        agreed = _common_prefix(self._last, words)
        old = sum(word.end_s <= audio_s - self._delay_s for word in words)
        self.stable = max(self.stable, min(agreed, old))
        self._last = words
        return self.stable

    def rebase(self, ended: int) -> None:
        """The first `ended` words are no part of the hypotheses to come."""
        self._last, self.stable = self._last[ended:], max(0, self.stable - ended)


def partial_of(words: Sequence[Word], stable: int) -> Partial:
    """The first `stable` of `words` and the rest."""
    marked = [
        word if word.stable == (index < stable) else replace(word, stable=not word.stable)
        for index, word in enumerate(words)
    ]
    text = " ".join(word.text for word in marked[:stable])
    return Partial(_bare(text), " ".join(word.text for word in marked[stable:]), tuple(marked))


def _bare(text: str) -> str:
    """`text` without what stands behind its last letter or digit."""
    end = len(text)
    while end and not text[end - 1].isalnum():
        end -= 1
    return text[:end]


def _common_prefix(a: Sequence[Word], b: Sequence[Word]) -> int:
    count = 0
    for x, y in zip(a, b, strict=False):
        if not same_word(x.text, y.text):
            break
        count += 1
    return count


def same_word(a: str, b: str) -> bool:
    """Whether two words differ in case and punctuation at the most."""
    return _key(a) == _key(b)


def _key(word: str) -> str:
    return "".join(c for c in word.lower() if c.isalnum())
