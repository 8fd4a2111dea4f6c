"""Where a long talk is cut, so that each piece is short enough to read: in a pause between two words."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from asr.moonshine.config import RATE
from asr.words import Word

_HOP = RATE // 50  # samples between two places that are looked at
_SPAN = RATE // 5  # samples whose energy counts at each
_QUIET_DB = 18.0  # a pause is so much below the loud parts


@dataclass(frozen=True)
class SeamConfig:
    """Seconds."""

    shortest_s: float = 8.0
    """A piece is not cut before it is so long."""
    longest_s: float = 20.0
    """And is cut then, pause or not: the recogniser was trained on pieces of up to 16 s, and reads 30."""
    settled_s: float = 0.8
    """The latest audio is not looked at: its words may still change."""


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
        return _middle(first + int(power[first:last].argmin()))
    quiet = 10 * np.log10(power + 1e-10) < 10 * np.log10(np.percentile(power, 90) + 1e-10) - _QUIET_DB
    last_s = seconds - config.settled_s
    for before, after in reversed(list(zip(words, [*words[1:], None], strict=True))):
        gap_end_s = last_s if after is None else min(last_s, after.end_s)
        if before.end_s < config.shortest_s / 2:
            break
        first, end = int(before.end_s * RATE / _HOP), int(gap_end_s * RATE / _HOP)
        places = np.flatnonzero(quiet[first:end])
        if len(places):
            return _middle(first + int(places[power[first + places].argmin()]))
    return None


def _power(audio: NDArray[np.float32]) -> NDArray[np.float32]:
    """Mean square of the samples around each place, [n / _HOP]."""
    sums = np.concatenate([[0.0], np.cumsum(np.square(audio, dtype=np.float64))])
    starts = np.arange(0, max(1, len(audio) - _SPAN), _HOP)
    power: NDArray[np.float32] = ((sums[np.minimum(starts + _SPAN, len(audio))] - sums[starts]) / _SPAN).astype(
        np.float32
    )
    return power


def _middle(place: int) -> int:
    return place * _HOP + _SPAN // 2
