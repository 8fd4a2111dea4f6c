"""Word and character error rate of a reader over a set of recordings, and how long it took."""

import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from asr.moonshine import Hypothesis
from asr.score import WordErrors, character_errors, total, word_errors

_RATE = 16000  # Hz

Recording = tuple[str, NDArray[np.float32], str]
"""Name, audio [n] at 16 kHz, what is said in it."""


class Reader(Protocol):
    """What writes down one utterance at a time, as `asr.stream.Transcriber` does."""

    def begin(self) -> None:
        """Start another utterance."""
        ...

    def final(self, audio: NDArray[np.float32]) -> Hypothesis:
        """Read the whole utterance, [n] at 16 kHz."""
        ...


@dataclass(frozen=True)
class ClipResult:
    """What was read of one recording. Of an empty reference each inserted word counts 1."""

    name: str
    reference: str
    transcript: str
    words: WordErrors
    characters: WordErrors
    audio_s: float
    ms: float

    @property
    def word_edits(self) -> int:
        """Words that were replaced, put in or left out."""
        return self.words.substitutions + self.words.insertions + self.words.deletions


@dataclass(frozen=True)
class Evaluation:
    """All recordings in their order. Rates are weighted by the length of the references."""

    clips: tuple[ClipResult, ...]

    @property
    def words(self) -> WordErrors:
        """The sum of all clips' word errors."""
        return total(clip.words for clip in self.clips)

    @property
    def characters(self) -> WordErrors:
        """The sum of all clips' character errors."""
        return total(clip.characters for clip in self.clips)

    @property
    def real_time_factor(self) -> float:
        """Seconds of reading per second of audio."""
        audio_s = sum(clip.audio_s for clip in self.clips)
        return sum(clip.ms for clip in self.clips) / 1000 / audio_s if audio_s else 0.0

    def worst(self, count: int) -> list[ClipResult]:
        """At most `count` clips with errors, most word errors first."""
        wrong = [clip for clip in self.clips if clip.word_edits]
        return sorted(wrong, key=lambda clip: -clip.word_edits)[:count]

    def to_dict(self) -> dict[str, Any]:
        """Everything, ready for JSON."""
        summary = {
            "clips": len(self.clips),
            "audio_s": sum(clip.audio_s for clip in self.clips),
            "wer": self.words.wer,
            "cer": self.characters.wer,
            "words": asdict(self.words),
            "characters": asdict(self.characters),
            "real_time_factor": self.real_time_factor,
            "ms": _quantiles([clip.ms for clip in self.clips]),
        }
        return {"clips": [_clip_to_dict(clip) for clip in self.clips], "summary": summary}


def evaluate(
    recordings: Iterable[Recording], reader: Reader, now_ns: Callable[[], int] = time.perf_counter_ns
) -> Evaluation:
    """Read each recording as one utterance of its own, without partials, and score it."""
    return Evaluation(tuple(_read(recording, reader, now_ns) for recording in recordings))


def _read(recording: Recording, reader: Reader, now_ns: Callable[[], int]) -> ClipResult:
    name, audio, reference = recording
    start_ns = now_ns()
    reader.begin()
    text = reader.final(audio).text
    ms = (now_ns() - start_ns) / 1e6
    words, characters = word_errors(reference, text), character_errors(reference, text)
    return ClipResult(name, reference, text, words, characters, len(audio) / _RATE, ms)


def _clip_to_dict(clip: ClipResult) -> dict[str, Any]:
    return {
        "file": clip.name,
        "reference": clip.reference,
        "transcript": clip.transcript,
        "wer": clip.words.wer,
        "cer": clip.characters.wer,
        "words": asdict(clip.words),
        "audio_s": clip.audio_s,
        "ms": clip.ms,
    }


def _quantiles(values: list[float]) -> dict[str, float | None]:
    if not values:
        return {"p50": None, "p95": None}
    return {"p50": float(np.percentile(values, 50)), "p95": float(np.percentile(values, 95))}
