"""Long-form audio out of short recordings: whether its words survive, and what a minute of it costs."""

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from asr.audio import RATE, AudioSpan
from asr.eval.feed import Clocks
from asr.eval.score import WordErrors, word_errors
from asr.stream import Transcriber

_PAUSES_S = (0.4, 1.2)  # between two recordings
_HUM = 1e-4  # RMS of the noise in the pauses: a digital silence is no pause that a room makes


@dataclass(frozen=True)
class Minute:
    """One minute of long-form audio, while someone speaks. `cpu_share` is of one core."""

    cpu_share: float
    partial_ms: tuple[float, ...]  # of computing, each
    resident_mb: float


@dataclass(frozen=True)
class LongFormResult:
    """What was transcribed of long-form audio."""

    words: WordErrors
    minutes: tuple[Minute, ...]
    text: str


def join_recordings(
    recordings: Sequence[tuple[NDArray[np.float32], str]], minutes: float
) -> tuple[NDArray[np.float32], str]:
    """Audio and text: `recordings` ([n] at 16 kHz, and what is said) one after the other, again and again.

    Raises ValueError if there are none.
    """
    if not recordings:
        raise ValueError("long-form audio is made of recordings, and there are none")
    chance, noise = random.Random(0), np.random.default_rng(0)
    pieces: list[NDArray[np.float32]] = []
    texts, samples = [], 0
    while samples < minutes * 60 * RATE:
        for audio, text in chance.sample(recordings, len(recordings)):
            seconds = chance.uniform(*_PAUSES_S)
            pause = noise.normal(0, _HUM, int(seconds * RATE)).astype(np.float32)
            pieces += [audio, pause]
            texts.append(text)
            samples += len(audio) + len(pause)
            if samples >= minutes * 60 * RATE:
                break
    return np.concatenate(pieces), " ".join(texts)


def transcribe_long_form(
    transcriber: Transcriber,
    audio: NDArray[np.float32],
    text: str,
    partial_ms: int,
    clocks: Clocks,
    resident_mb: Callable[[], float],
) -> LongFormResult:
    """Push the audio in steps of `partial_ms`, with a partial after each."""
    transcriber.begin(0)
    minutes = [
        _minute(transcriber, audio, first, partial_ms, clocks, resident_mb)
        for first in range(0, len(audio), 60 * RATE)
    ]
    final = transcriber.final(AudioSpan(audio[len(audio) :], len(audio))).text
    return LongFormResult(word_errors(text, final), tuple(minutes), final)


def _minute(
    transcriber: Transcriber,
    audio: NDArray[np.float32],
    first: int,
    partial_ms: int,
    clocks: Clocks,
    resident_mb: Callable[[], float],
) -> Minute:
    end = min(first + 60 * RATE, len(audio))
    cpu_ns, took = clocks.cpu_ns(), []
    for at, until in _steps(first, end, partial_ms * RATE // 1000):
        start_ns = clocks.wall_ns()
        transcriber.partial(AudioSpan(audio[at:until], at))
        took.append((clocks.wall_ns() - start_ns) / 1e6)
    share = (clocks.cpu_ns() - cpu_ns) / 1e9 / ((end - first) / RATE)
    return Minute(share, tuple(took), resident_mb())


def _steps(first: int, end: int, step: int) -> Iterator[tuple[int, int]]:
    for at in range(first, end, step):
        yield at, min(at + step, end)
