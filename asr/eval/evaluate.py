"""Transcribing a set of recordings in each mode and condition, and scoring the transcripts."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from asr.audio import RATE
from asr.eval.degrade import Condition, degrade
from asr.eval.feed import Clocks, Transcript, feed_stream, feed_whole
from asr.eval.hallucinations import hallucinations, repetitions
from asr.eval.kinds import KindErrors, errors_by_kind
from asr.eval.latency import Latency, latency
from asr.eval.score import WordErrors, character_errors, word_errors
from asr.recognizer import Recognizer
from asr.stream import Transcriber
from asr.words import Word

Mode = Literal["streaming", "final", "full"]
MODES: tuple[Mode, ...] = get_args(Mode)
Cell = tuple[Mode, Condition]


@dataclass(frozen=True)
class Recognizers:
    """The three modes that are compared."""

    streaming: Transcriber
    """Its final text is the streaming hypothesis."""
    final: Transcriber
    """Its final text is the one that the assistant uses."""
    full: Recognizer
    """Full attention, over the whole recording at once."""


@dataclass(frozen=True)
class Recording:
    """What is transcribed: audio [n] at 16 kHz, and what is said in it."""

    name: str
    audio: NDArray[np.float32]
    reference: str
    speech_start_sample: int | None = None


@dataclass(frozen=True)
class ClipResult:
    """What one mode made of one recording. Of an empty reference each inserted word counts 1."""

    name: str
    reference: str
    audio_s: float
    transcript: Transcript
    words: WordErrors
    characters: WordErrors
    kinds: KindErrors
    hallucinated: tuple[str, ...]
    repeated: tuple[str, ...]
    latency: Latency | None  # of a mode that shows partials

    @property
    def word_edits(self) -> int:
        """Substitutions, insertions and deletions."""
        return self.words.substitutions + self.words.insertions + self.words.deletions


@dataclass(frozen=True)
class Plan:
    """The modes and conditions, and after how much audio a partial comes."""

    modes: Sequence[Mode] = MODES
    conditions: Sequence[Condition] = ("clean",)
    partial_ms: int = 480


def evaluate(
    recordings: Iterable[Recording], recognizers: Recognizers, plan: Plan, clocks: Clocks | None = None
) -> dict[Cell, tuple[ClipResult, ...]]:
    """The results of each mode and condition, in the order of the recordings."""
    cells: list[Cell] = [(mode, condition) for condition in plan.conditions for mode in plan.modes]
    results: dict[Cell, list[ClipResult]] = {cell: [] for cell in cells}
    for recording in recordings:
        transcripts = _transcripts(recording, recognizers, plan, clocks or Clocks())
        for cell in cells:
            # Word ends are those of the full model on the clean recording: no condition moves them.
            said = None if cell[0] == "full" else transcripts["full", "clean"].words
            results[cell].append(score(recording, transcripts[cell], said))
    return {cell: tuple(clips) for cell, clips in results.items()}


def score(recording: Recording, transcript: Transcript, said: Sequence[Word] | None) -> ClipResult:
    """Hold a transcript against the reference, and its partials against `said`, the words with their times.

    `said` is None for a mode that shows no partials.
    """
    reference, text, start = recording.reference, transcript.text, recording.speech_start_sample
    start_s = None if start is None else start / RATE
    return ClipResult(
        recording.name,
        reference,
        len(recording.audio) / RATE,
        transcript,
        word_errors(reference, text),
        character_errors(reference, text),
        errors_by_kind(reference, text),
        tuple(hallucinations(reference, text)),
        tuple(repetitions(reference, text)),
        None if said is None else latency(transcript, said, start_s),
    )


def transcribe(
    mode: Mode, recognizers: Recognizers, audio: NDArray[np.float32], partial_ms: int, clocks: Clocks
) -> Transcript:
    """Transcribe one recording, [n] at 16 kHz, in one mode."""
    if mode == "full":
        return feed_whole(recognizers.full, audio, clocks)
    streaming = recognizers.streaming if mode == "streaming" else recognizers.final
    return feed_stream(streaming, audio, partial_ms, clocks)


def worst(clips: Sequence[ClipResult], count: int) -> list[ClipResult]:
    """At most `count` clips with errors, most word errors first."""
    return sorted((clip for clip in clips if clip.word_edits), key=lambda clip: -clip.word_edits)[:count]


def _transcripts(
    recording: Recording, recognizers: Recognizers, plan: Plan, clocks: Clocks
) -> dict[Cell, Transcript]:
    """What the plan asks for, and the words' times if it asks for partials."""
    transcripts: dict[Cell, Transcript] = {}
    for condition in plan.conditions:
        audio = degrade(recording.audio, condition, recording.name)
        for mode in plan.modes:
            transcripts[mode, condition] = transcribe(mode, recognizers, audio, plan.partial_ms, clocks)
    if any(mode != "full" for mode in plan.modes) and ("full", "clean") not in transcripts:
        transcripts["full", "clean"] = feed_whole(recognizers.full, recording.audio, clocks)
    return transcripts
