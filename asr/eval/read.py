"""Feeding a recording to a reader as a live session would, and noting what it showed and when."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from asr.words import Stretch

RATE = 16000  # Hz


class Word(Protocol):
    """A word and when it is said, from the beginning of the audio."""

    @property
    def text(self) -> str: ...  # noqa: D102
    @property
    def start_s(self) -> float: ...  # noqa: D102
    @property
    def end_s(self) -> float: ...  # noqa: D102


class Hypothesis(Protocol):
    """What was read of a whole utterance."""

    @property
    def text(self) -> str: ...  # noqa: D102
    @property
    def words(self) -> Sequence[Word]: ...  # noqa: D102


class Partial(Protocol):
    """A transcript so far: `stable` will not change any more, `unstable` may."""

    @property
    def stable(self) -> str: ...  # noqa: D102
    @property
    def unstable(self) -> str: ...  # noqa: D102


class StreamReader(Protocol):
    """What reads while it hears, as `asr.stream.Transcriber` does."""

    def begin(self, start_sample: int = 0) -> None:
        """Start another utterance."""
        ...

    def partial(self, stretch: Stretch) -> Partial:
        """Read on to the end of `stretch`; what of it was heard before is skipped."""
        ...

    def final(self, stretch: Stretch) -> Hypothesis:
        """As `partial`, and the utterance ends there."""
        ...


class FullReader(Protocol):
    """What reads a whole utterance at once, [n] at 16 kHz."""

    def transcribe(self, audio: NDArray[np.float32]) -> Hypothesis: ...  # noqa: D102


@dataclass(frozen=True)
class Clocks:
    """Elapsed time, and the time that this process spent on all cores together."""

    wall_ns: Callable[[], int] = time.perf_counter_ns
    cpu_ns: Callable[[], int] = time.process_time_ns


@dataclass(frozen=True)
class Shown:
    """One partial. A reader that is still busy when audio comes shows it later: `shown_ms` counts that."""

    stable: tuple[str, ...]
    unstable: tuple[str, ...]
    compute_ms: float
    shown_ms: float  # from the beginning of the clip, in a session that runs in real time

    @property
    def words(self) -> tuple[str, ...]:
        """All words, the stable ones first."""
        return self.stable + self.unstable


@dataclass(frozen=True)
class Reading:
    """What a reader made of one recording."""

    text: str
    words: tuple[Word, ...]
    wall_ms: float  # of computing, waiting for audio not included
    cpu_ms: float
    final_ms: float  # of `wall_ms`, what was spent after the last partial
    final_shown_ms: float  # as Shown.shown_ms
    shown: tuple[Shown, ...] = ()


def read_stream(reader: StreamReader, audio: NDArray[np.float32], partial_ms: int, clocks: Clocks) -> Reading:
    """A partial after each `partial_ms` of `audio` ([n] at 16 kHz), then the final reading of all of it."""
    cpu_ns, shown, ready_ms, wall_ms = clocks.cpu_ns(), [], 0.0, 0.0
    reader.begin(0)
    for end in _ends(len(audio), partial_ms):
        start_ns = clocks.wall_ns()
        partial = reader.partial(Stretch(audio[:end], 0))
        ms = (clocks.wall_ns() - start_ns) / 1e6
        ready_ms = max(ready_ms, end * 1000 / RATE) + ms
        wall_ms += ms
        shown.append(Shown(tuple(partial.stable.split()), tuple(partial.unstable.split()), ms, ready_ms))
    start_ns = clocks.wall_ns()
    final = reader.final(Stretch(audio, 0))
    ms = (clocks.wall_ns() - start_ns) / 1e6
    ready_ms = max(ready_ms, len(audio) * 1000 / RATE) + ms
    cpu_ms = (clocks.cpu_ns() - cpu_ns) / 1e6
    return Reading(final.text, tuple(final.words), wall_ms + ms, cpu_ms, ms, ready_ms, tuple(shown))


def read_whole(reader: FullReader, audio: NDArray[np.float32], clocks: Clocks) -> Reading:
    """Everything at once, after the end."""
    wall_ns, cpu_ns = clocks.wall_ns(), clocks.cpu_ns()
    result = reader.transcribe(audio)
    ms, cpu_ms = (clocks.wall_ns() - wall_ns) / 1e6, (clocks.cpu_ns() - cpu_ns) / 1e6
    return Reading(result.text, tuple(result.words), ms, cpu_ms, ms, len(audio) * 1000 / RATE + ms)


def _ends(samples: int, partial_ms: int) -> Iterator[int]:
    step = partial_ms * RATE // 1000
    yield from range(step, samples, step)
