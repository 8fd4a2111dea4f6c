"""The stable prefix of a growing transcript: words on which successive hypotheses agree.

LocalAgreement-2 (Liu et al. 2020; Macháček et al. 2023): a word is stable once two hypotheses in a
row begin with the same words up to it. What is stable is never taken back.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Partial:
    """A transcript so far: `stable` will not change any more, `unstable` may."""

    stable: str
    unstable: str

    @property
    def text(self) -> str:
        """Both, joined."""
        return f"{self.stable} {self.unstable}".strip()


class Stabilizer:
    """Feed it each hypothesis of one utterance in order."""

    def __init__(self) -> None:
        self._stable: list[str] = []
        self._last: list[str] = []

    def push(self, text: str) -> Partial:
        """Take the next hypothesis and return what of it is stable."""
        words = text.split()
        agreed = _common_prefix(self._last, words)
        if agreed > len(self._stable):
            self._stable += words[len(self._stable) : agreed]
        self._last = words
        return Partial(" ".join(self._stable), " ".join(words[len(self._stable) :]))


def _common_prefix(a: list[str], b: list[str]) -> int:
    count = 0
    for x, y in zip(a, b, strict=False):
        if _key(x) != _key(y):
            break
        count += 1
    return count


def _key(word: str) -> str:
    return "".join(c for c in word.lower() if c.isalnum())
