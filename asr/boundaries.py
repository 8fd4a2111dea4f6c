"""Segment boundaries: long-form audio is cut in pauses between words, before a segment becomes too long."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from asr.audio import RATE
from asr.words import Word

_HOP = RATE // 50  # samples between two places that are looked at
_PLACES = 10  # that a pause takes at least
_SPAN = _PLACES * _HOP  # samples whose energy counts at each
_QUIET_DB = 18.0  # a pause is so much below the loud parts
_LONG_QUIET_DB = 25.0  # a long pause is so much below the loudest part
_LATE_S = 0.075  # the end of a word may be placed so late; the word after it ends later than that
_SPOKEN_PLACES = 6  # at most, between the end of a word and a pause: the end may be placed too early
_SILENT_PLACES = 2  # at most, of a pause


@dataclass(frozen=True)
class SegmentConfig:
    """How long a segment is, in seconds, and which pauses end it."""

    shortest_s: float = 8.0
    """A segment does not end before it is so long."""
    longest_s: float = 20.0
    """It ends then, pause or not: the recognizer was trained on clips of up to 16 s, and manages 30."""
    pause_s: float = 1.5
    """So long a pause ends a segment of any length: behind it the decoder often takes the audio for over, and
    loses what is said next. An assistant's turn ends in it anyway."""
    stability_delay_s: float = 0.8
    """No boundary is in the latest audio: its words may still change."""

    def __post_init__(self) -> None:
        if self.pause_s < 0.5:
            raise ValueError(f"pause_s must be at least 0.5, not {self.pause_s}")
        if not (
            1 <= self.shortest_s <= self.longest_s and 0 <= self.stability_delay_s < self.longest_s / 2 - 0.5
        ):
            raise ValueError(
                "1 <= shortest_s <= longest_s and 0 <= stability_delay_s < longest_s / 2 - 0.5 must hold"
            )


class Boundary(NamedTuple):
    """The end of a segment, and how many words are said before it."""

    sample: int
    words: int


def find_boundary(
    audio: NDArray[np.float32], words: Sequence[Word], config: SegmentConfig
) -> Boundary | None:
    """The boundary in `audio` [n], in which `words` are said; None if the segment need not end now.

    The quietest place of a pause between two words, the latest pause first; where a segment has become too
    long, the quietest place in its second half.
    """
    seconds = len(audio) / RATE
    if seconds < min(config.shortest_s, config.pause_s + config.stability_delay_s):
        return None
    blocks, last = _power(audio), _place(seconds - config.stability_delay_s) - _PLACES
    power = np.convolve(blocks, np.full(_PLACES, 1 / _PLACES), "valid")
    if words and (end := _end_of_long_pause(power[: max(0, last)], words, config)):
        sample = _middle(end)
        return Boundary(sample, sum(word.end_s <= sample / RATE for word in words))
    if seconds < config.shortest_s:
        return None
    if seconds >= config.longest_s:
        first = _place(seconds / 2)
        sample = _middle(first + int(power[first:last].argmin()))
        return Boundary(sample, sum(word.end_s <= sample / RATE + _LATE_S for word in words))
    weak = np.percentile(power, 90) * 10 ** (-_QUIET_DB / 10)
    quiet, loud = power < weak, blocks > weak
    for index in range(len(words) - 1, -1, -1):
        if words[index].end_s < config.shortest_s / 2:
            break
        first = _place(words[index].end_s)
        end = min(last, _place(words[index + 1].end_s) - _PLACES) if index + 1 < len(words) else last
        places = np.flatnonzero(quiet[first : max(first, end)])
        if len(places):
            sample = _middle(first + int(places[power[first + places].argmin()]))
            return Boundary(sample, index + 1 + _is_before(loud, words[index : index + 2], sample))
    return None


def _end_of_long_pause(
    power: NDArray[np.float64], words: Sequence[Word], config: SegmentConfig
) -> int | None:
    """The last quiet place of the latest long pause behind a word."""
    if not len(power):
        return None
    quiet = power < power.max() * 10 ** (-_LONG_QUIET_DB / 10)
    loud = np.flatnonzero(~quiet)
    for first, end in reversed(list(zip(loud, [*loud[1:], len(power)], strict=True))):
        if end - first > config.pause_s * RATE / _HOP and words[0].start_s * RATE < _middle(end - 1):
            return int(end - 1)
    return None


def _is_before(loud: NDArray[np.bool_], words: Sequence[Word], sample: int) -> bool:
    """Whether the second of two `words`, if there are two, is said before the pause at `sample` already.

    Its end is often placed behind the pause, as the decoder attends to what comes next.
    """
    if len(words) < 2:
        return False
    first, end = (_place(word.end_s) for word in words)
    before, after = loud[first : sample // _HOP].sum(), loud[sample // _HOP : end].sum()
    return bool(before > _SPOKEN_PLACES or after < _SILENT_PLACES)


def _place(seconds: float) -> int:
    return int(seconds * RATE / _HOP)


def _power(audio: NDArray[np.float32]) -> NDArray[np.float32]:
    """Mean square from each place to the next, [n / _HOP], without what is constant."""
    blocks = (audio - audio.mean())[: len(audio) // _HOP * _HOP].reshape(-1, _HOP)
    power: NDArray[np.float32] = np.square(blocks).mean(1)
    return power


def _middle(place: int) -> int:
    return place * _HOP + _SPAN // 2
