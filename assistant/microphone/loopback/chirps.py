"""Chirps in what was played and in what was recorded, to fractions of a sample at 16 kHz."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from asr.audio import RATE
from assistant.microphone.loopback.signals import SLOT_S, Audio, chirp

Number = TypeVar("Number", bound=np.generic)

Matched = NDArray[np.complex64]
"""What a matched filter makes of a signal [n]: at each sample the amplitude of a chirp that begins there,
against the one that is played, with its phase."""

LATEST_MS = 650
EARLIEST, LATEST = -RATE // 10, RATE * LATEST_MS // 1000
"""Samples by which an echo may come before its time (stated times are wrong at times) and behind it."""
_CLEAR = 6.0  # times the RMS of noise alone, which a search of 0.75 s exceeds once in 10^12
_SAME = RATE * 3 // 1000  # samples by which echoes of one group agree: reflections may change places
_ENOUGH = 4  # chirps, of six
_ONSET = 0.5  # of the loudest: the sound that came straight, before reflections
_STRAIGHT = RATE * 40 // 1000  # samples before the loudest in which it may have come
_AROUND = RATE // 16


@dataclass(frozen=True)
class Heard:
    """Chirps that were played and recorded: where each begins, samples at 16 kHz."""

    played: tuple[int, ...]
    recorded: tuple[int, ...]
    """Where each is loudest."""
    straight: int
    """By how many samples it begins earlier than that: some came straight, not by a reflection."""


def matched(signal: Audio) -> Matched:
    """See Matched; `signal` [n] is at 16 kHz."""
    sweep = chirp(RATE)
    size = fft.next_fast_len(len(signal) + len(sweep))
    spectrum = fft.fft(signal, size) * fft.fft(sweep, size).conj()
    spectrum[size // 2 + 1 :] = 0  # analytic: its magnitude does not go up and down with the wave
    spectrum[1 : size // 2] *= 2
    whole = fft.ifft(spectrum)[: len(signal)] / float(sweep.astype(np.float64) @ sweep)
    result: Matched = whole.astype(np.complex64)
    return result


def in_played(filtered: Matched) -> list[int]:
    """Where chirps begin in what was played, in order."""
    level, found = np.abs(filtered), []
    while level.max(initial=0.0) > 0.5:
        found.append(int(level.argmax()))
        level[max(0, found[-1] - RATE // 2) : found[-1] + RATE // 2] = 0
    return sorted(found)


def groups(played: Sequence[int]) -> Iterator[range]:
    """The numbers of chirps that follow each other without the reply between them."""
    cuts = [n for n in range(1, len(played)) if played[n] - played[n - 1] > 1.5 * SLOT_S * RATE]
    edges = [0, *cuts, len(played)]
    return (range(*edge) for edge in pairwise(edges))


def find(filtered: Matched, played: Sequence[int], shift: float) -> Heard | None:
    """The chirps at `played` in what was recorded, where sample n of the one is at n + `shift` of the other.

    Found is what stands clearly out of the noise at most of them, and at the same place in each group:
    voices stand out at times, but not there.
    """
    level = np.abs(filtered)
    peaks = {number: _peak(level, round(at + shift)) for number, at in enumerate(played)}
    agreeing: list[int] = []
    for group in groups(played):
        late = {number: peak - played[number] for number in group if (peak := peaks[number]) is not None}
        middle = np.median([*late.values()]) if late else 0.0
        agreeing += [number for number in late if abs(late[number] - middle) <= _SAME]
    if len(agreeing) < _ENOUGH:
        return None
    recorded = tuple(peak for number in agreeing if (peak := peaks[number]) is not None)
    return Heard(tuple(played[number] for number in agreeing), recorded, _straight(level, recorded))


def _peak(level: NDArray[np.float32], expected: int) -> int | None:
    """Where `level` stands clearly out, about `expected`; None where it nowhere does, or was not recorded."""
    start, end = expected + EARLIEST, expected + LATEST
    if start < 0 or end > len(level):
        return None
    searched = level[start:end]
    noise = np.sqrt(np.median(searched**2) / np.log(2))  # the median does not see the chirp and its echoes
    at = int(searched.argmax())
    return start + at if searched[at] > max(_CLEAR * noise, 1e-9) else None


def _straight(level: NDArray[np.float32], recorded: Sequence[int]) -> int:
    """From what came straight to what is loudest: of the median of all, for somebody may speak over one."""
    power = np.median([_window(level, at, _STRAIGHT, 1) ** 2 for at in recorded], axis=0)
    loud = np.flatnonzero(power > _ONSET**2 * power[-1])
    first = int(loud[0]) if len(loud) else _STRAIGHT
    while first < _STRAIGHT and power[first + 1] > power[first]:
        first += 1
    return _STRAIGHT - first


def fine(filtered: Matched, at: Sequence[int]) -> NDArray[np.float64]:
    """Where chirps begin, with fractions: each is compared with one of them, all reflections included.

    That is the quietest, over which nobody spoke.
    """
    windows = [_window(filtered, place, _AROUND, _AROUND) for place in at]
    quietest = min(windows, key=lambda window: float(np.abs(window).sum()))
    size = fft.next_fast_len(2 * len(quietest))
    reference = fft.fft(quietest, size).conj()
    moved = [_vertex(fft.ifft(fft.fft(window, size) * reference).real) for window in windows]
    places: NDArray[np.float64] = np.array(at) + np.array(moved)
    return places


def _vertex(correlation: NDArray[np.floating]) -> float:
    """The shift at which `correlation` is largest, of those that can be: the vertex of a parabola there."""
    shifts = np.arange(-2 * _SAME, 2 * _SAME + 1)
    shift = int(shifts[correlation[shifts].argmax()])
    before, top, after = (float(correlation[shift + step]) for step in (-1, 0, 1))
    bend = before - 2 * top + after
    return shift + (0.5 * (before - after) / bend if bend else 0.0)


def _window(signal: NDArray[Number], at: int, before: int, after: int) -> NDArray[Number]:
    """`signal` about `at`, [before + after]; zeros beyond its ends."""
    start, end = at - before, at + after
    inside = signal[max(0, start) : max(0, end)]
    return np.pad(inside, (max(0, -start), max(0, end - max(0, start) - len(inside))))
