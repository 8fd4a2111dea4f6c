"""Feeding a recording to a recognizer as a live session would, and noting what it showed and when."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from asr.audio import RATE, AudioSpan
from asr.recognizer import Recognizer
from asr.stream import Transcriber
from asr.words import Word


@dataclass(frozen=True)
class Clocks:
    """Elapsed time, and the time that this process spent on all cores together."""

    wall_ns: Callable[[], int] = time.perf_counter_ns
    cpu_ns: Callable[[], int] = time.process_time_ns


@dataclass(frozen=True)
class Shown:
    """One partial. A recognizer that is still busy when audio comes shows it later: see `shown_ms`."""

    stable: tuple[str, ...]
    unstable: tuple[str, ...]
    compute_ms: float
    shown_ms: float  # from the beginning of the clip, in a session that runs in real time

    @property
    def words(self) -> tuple[str, ...]:
        """All words, the stable ones first."""
        return self.stable + self.unstable


@dataclass(frozen=True)
class Transcript:
    """What was transcribed of one recording."""

    text: str
    words: tuple[Word, ...]
    wall_ms: float  # of computing, waiting for audio not included
    cpu_ms: float
    final_ms: float  # of `wall_ms`, what was spent after the last partial
    final_shown_ms: float  # as Shown.shown_ms
    shown: tuple[Shown, ...] = ()


def feed_stream(
    transcriber: Transcriber, audio: NDArray[np.float32], partial_ms: int, clocks: Clocks
) -> Transcript:
    """A partial after each `partial_ms` of `audio` ([n] at 16 kHz), then the final text of all of it."""
    cpu_ns, shown, ready_ms, wall_ms = clocks.cpu_ns(), [], 0.0, 0.0
    transcriber.begin(0)
    for end in _ends(len(audio), partial_ms):
        start_ns = clocks.wall_ns()
        partial = transcriber.partial(AudioSpan(audio[:end], 0))
        ms = (clocks.wall_ns() - start_ns) / 1e6
        ready_ms = max(ready_ms, end * 1000 / RATE) + ms
        wall_ms += ms
        shown.append(Shown(tuple(partial.stable.split()), tuple(partial.unstable.split()), ms, ready_ms))
    start_ns = clocks.wall_ns()
    final = transcriber.final(AudioSpan(audio, 0))
    ms = (clocks.wall_ns() - start_ns) / 1e6
    ready_ms = max(ready_ms, len(audio) * 1000 / RATE) + ms
    cpu_ms = (clocks.cpu_ns() - cpu_ns) / 1e6
    return Transcript(final.text, tuple(final.words), wall_ms + ms, cpu_ms, ms, ready_ms, tuple(shown))


def feed_whole(recognizer: Recognizer, audio: NDArray[np.float32], clocks: Clocks) -> Transcript:
    """Everything at once, after the end."""
    wall_ns, cpu_ns = clocks.wall_ns(), clocks.cpu_ns()
    result = recognizer.transcribe(audio)
    ms, cpu_ms = (clocks.wall_ns() - wall_ns) / 1e6, (clocks.cpu_ns() - cpu_ns) / 1e6
    return Transcript(result.text, tuple(result.words), ms, cpu_ms, ms, len(audio) * 1000 / RATE + ms)


def _ends(samples: int, partial_ms: int) -> Iterator[int]:
    step = partial_ms * RATE // 1000
    yield from range(step, samples, step)
