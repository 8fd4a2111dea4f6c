"""Where a long talk is cut, so that each piece is short enough to read: in a pause between two words."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from asr.moonshine.config import RATE
from asr.words import Word

_HOP = RATE // 50  # samples between two places that are looked at
_PLACES = 10  # that a pause takes at least
_SPAN = _PLACES * _HOP  # samples whose energy counts at each
_QUIET_DB = 18.0  # a pause is so much below the loud parts
_LATE_S = 0.075  # the end of a word may be placed so late; the word after it ends later than that


@dataclass(frozen=True)
class SeamConfig:
    """Seconds."""

    shortest_s: float = 8.0
    """A piece is not cut before it is so long."""
    longest_s: float = 20.0
    """And is cut then, pause or not: the recogniser was trained on pieces of up to 16 s, and reads 30."""
    settled_s: float = 0.8
    """The latest audio is not looked at: its words may still change."""

    def __post_init__(self) -> None:
        if not (1 <= self.shortest_s <= self.longest_s and 0 <= self.settled_s < self.longest_s / 2 - 0.5):
            raise ValueError(
                "1 <= shortest_s <= longest_s and 0 <= settled_s < longest_s / 2 - 0.5 must hold"
            )


def words_before(words: Sequence[Word], seam: int) -> int:
    """How many of `words` are said before sample `seam`. It goes by their ends, which are known best."""
    return sum(word.end_s <= seam / RATE + _LATE_S for word in words)


def find_seam(audio: NDArray[np.float32], words: Sequence[Word], config: SeamConfig) -> int | None:
    """The sample of `audio` [n] at which to cut it; None if it need not be cut now.

    The quietest place of a pause between two words, the latest pause first; of a piece that has become too
    long the quietest place in its second half.
    """
    seconds = len(audio) / RATE
    if seconds < config.shortest_s:
        return None
    power = _power(audio)
    if seconds >= config.longest_s:
        first = int(seconds / 2 * RATE / _HOP)
        last = int((seconds - config.settled_s) * RATE / _HOP)
        return _middle(first + int(power[first : last - _PLACES].argmin()))
    quiet = 10 * np.log10(power + 1e-10) < 10 * np.log10(np.percentile(power, 90) + 1e-10) - _QUIET_DB
    last_s = seconds - config.settled_s
    for before, after in reversed(list(zip(words, [*words, None][1:], strict=True))):
        gap_end_s = last_s if after is None else min(last_s, after.end_s)
        if before.end_s < config.shortest_s / 2:
            break
        first, end = int(before.end_s * RATE / _HOP), int(gap_end_s * RATE / _HOP) - _PLACES
        places = np.flatnonzero(quiet[first : max(first, end)])
        if len(places):
            return _middle(first + int(places[power[first + places].argmin()]))
    return None


def _power(audio: NDArray[np.float32]) -> NDArray[np.float32]:
    """Mean square of _SPAN samples from each place on, without what is constant, [n / _HOP - _PLACES + 1]."""
    blocks = (audio - audio.mean())[: len(audio) // _HOP * _HOP].reshape(-1, _HOP)
    power = np.convolve(np.square(blocks).sum(1), np.full(_PLACES, 1 / _SPAN, np.float32), "valid")
    return power.astype(np.float32, copy=False)


def _middle(place: int) -> int:
    return place * _HOP + _SPAN // 2
