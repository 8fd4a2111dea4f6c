"""Readers that say what they were told to, and a clock that only they move."""

from dataclasses import dataclass, field

import numpy as np

from asr.audio import AudioSpan
from asr.eval.feed import Clocks

SECOND = 16000


@dataclass(frozen=True)
class Said:
    """A word and its time."""

    text: str
    start_s: float
    end_s: float


@dataclass(frozen=True)
class Part:
    """A partial."""

    stable: str
    unstable: str


@dataclass(frozen=True)
class Text:
    """A final reading."""

    text: str
    words: tuple[Said, ...] = ()


@dataclass
class Ticker:
    """Elapsed time, and twice as much of the processor's: two cores are at work."""

    ms: float = 0

    @property
    def clocks(self) -> Clocks:
        return Clocks(lambda: int(self.ms * 1e6), lambda: int(self.ms * 2e6))


@dataclass
class ScriptedStream:
    """Answers with its steps in turn, (what, ms); every step has to be of the kind that is asked for."""

    ticker: Ticker
    steps: list[tuple[Part | Text, float]]
    heard: list[int] = field(default_factory=list)  # where each span ended
    _open: bool = False

    def begin(self, start_sample: int = 0) -> None:
        assert start_sample == 0
        assert not self._open, "the last utterance was not finished"
        self._open = True

    def partial(self, span: AudioSpan) -> Part:
        part = self._next(span)
        assert isinstance(part, Part)
        return part

    def final(self, span: AudioSpan) -> Text:
        text = self._next(span)
        assert isinstance(text, Text)
        self._open = False
        return text

    def _next(self, span: AudioSpan) -> Part | Text:
        assert self._open
        assert span.start_sample == 0
        self.heard.append(len(span.audio))
        step, ms = self.steps.pop(0)
        self.ticker.ms += ms
        return step


@dataclass
class ScriptedFull:
    """Answers with its texts in turn."""

    ticker: Ticker
    steps: list[tuple[Text, float]]
    heard: list[np.ndarray] = field(default_factory=list)

    def transcribe(self, audio: np.ndarray) -> Text:
        self.heard.append(audio)
        text, ms = self.steps.pop(0)
        self.ticker.ms += ms
        return text


@dataclass(frozen=True)
class ScriptedRecognizers:
    """All three."""

    streaming: ScriptedStream
    final: ScriptedStream
    full: ScriptedFull
