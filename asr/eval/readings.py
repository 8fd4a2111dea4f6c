"""Reading a set of recordings with each reader in each condition, and scoring what was read."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, get_args

import numpy as np
from numpy.typing import NDArray

from asr.eval.degrade import Condition, degrade
from asr.eval.inventions import inventions, repetitions
from asr.eval.kinds import KindErrors, errors_by_kind
from asr.eval.latency import Latency, latency
from asr.eval.read import RATE, Clocks, FullReader, Reading, StreamReader, Word, read_stream, read_whole
from asr.eval.score import WordErrors, character_errors, word_errors

ReaderName = Literal["streaming", "final", "full"]
READERS: tuple[ReaderName, ...] = get_args(ReaderName)
Cell = tuple[ReaderName, Condition]


class Readers(Protocol):
    """The three readers that are compared."""

    @property
    def streaming(self) -> StreamReader:
        """Its final text is the streaming hypothesis."""
        ...

    @property
    def final(self) -> StreamReader:
        """Its final text is the one that the assistant uses."""
        ...

    @property
    def full(self) -> FullReader:
        """Full attention, over the whole recording at once."""
        ...


@dataclass(frozen=True)
class Recording:
    """What is read: audio [n] at 16 kHz, and what is said in it."""

    name: str
    audio: NDArray[np.float32]
    reference: str
    speech_start_sample: int | None = None


@dataclass(frozen=True)
class ClipResult:
    """What one reader made of one recording. Of an empty reference each inserted word counts 1."""

    name: str
    reference: str
    audio_s: float
    reading: Reading
    words: WordErrors
    characters: WordErrors
    kinds: KindErrors
    invented: tuple[str, ...]
    repeated: tuple[str, ...]
    latency: Latency | None  # of a reader that shows partials

    @property
    def word_edits(self) -> int:
        """Words that were replaced, put in or left out."""
        return self.words.substitutions + self.words.insertions + self.words.deletions


@dataclass(frozen=True)
class Plan:
    """What to read with what, and after how much audio a partial comes."""

    readers: Sequence[ReaderName] = READERS
    conditions: Sequence[Condition] = ("clean",)
    partial_ms: int = 480


def evaluate(
    recordings: Iterable[Recording], readers: Readers, plan: Plan, clocks: Clocks | None = None
) -> dict[Cell, tuple[ClipResult, ...]]:
    """The results of each reader and condition, in the order of the recordings."""
    cells: list[Cell] = [(reader, condition) for condition in plan.conditions for reader in plan.readers]
    results: dict[Cell, list[ClipResult]] = {cell: [] for cell in cells}
    for recording in recordings:
        readings = _readings(recording, readers, plan, clocks or Clocks())
        for cell in cells:
            # Words end where the full model hears them end in the clean recording: no condition moves them.
            said = None if cell[0] == "full" else readings["full", "clean"].words
            results[cell].append(score(recording, readings[cell], said))
    return {cell: tuple(clips) for cell, clips in results.items()}


def score(recording: Recording, reading: Reading, said: Sequence[Word] | None) -> ClipResult:
    """Hold a reading against the reference, and its partials against `said`, the words with their times.

    `said` is None for a reader that shows no partials.
    """
    reference, text, start = recording.reference, reading.text, recording.speech_start_sample
    start_s = None if start is None else start / RATE
    return ClipResult(
        recording.name,
        reference,
        len(recording.audio) / RATE,
        reading,
        word_errors(reference, text),
        character_errors(reference, text),
        errors_by_kind(reference, text),
        tuple(inventions(reference, text)),
        tuple(repetitions(reference, text)),
        None if said is None else latency(reading, said, start_s),
    )


def read(
    name: ReaderName, readers: Readers, audio: NDArray[np.float32], partial_ms: int, clocks: Clocks
) -> Reading:
    """Read one recording, [n] at 16 kHz, with the reader of this name."""
    if name == "full":
        return read_whole(readers.full, audio, clocks)
    return read_stream(readers.streaming if name == "streaming" else readers.final, audio, partial_ms, clocks)


def worst(clips: Sequence[ClipResult], count: int) -> list[ClipResult]:
    """At most `count` clips with errors, most word errors first."""
    return sorted((clip for clip in clips if clip.word_edits), key=lambda clip: -clip.word_edits)[:count]


def _readings(recording: Recording, readers: Readers, plan: Plan, clocks: Clocks) -> dict[Cell, Reading]:
    """What the plan asks for, and the words' times if it asks for partials."""
    readings: dict[Cell, Reading] = {}
    for condition in plan.conditions:
        audio = degrade(recording.audio, condition, recording.name)
        for name in plan.readers:
            readings[name, condition] = read(name, readers, audio, plan.partial_ms, clocks)
    if any(name != "full" for name in plan.readers) and ("full", "clean") not in readings:
        readings["full", "clean"] = read_whole(readers.full, recording.audio, clocks)
    return readings
