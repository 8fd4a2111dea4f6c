"""The models, loaded once, and the sessions that share them."""

import gc
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from asr.vad import Vad, VadState
from assistant.runtime.clock import Clock
from assistant.runtime.worker import ThreadWorker, Worker
from assistant.session.scheduled import (
    Generator,
    ScorerModel,
    SessionDetector,
    SessionLanguageModel,
    SessionRecognizer,
    SessionScorer,
    SessionSynthesizer,
    Speaker,
    Transcriber,
    VadBatcher,
)
from assistant.session.stages import Hearing, Stages


class PoolBusy(RuntimeError):  # noqa: N818  # a condition with a name of its own
    """As many sessions are open as the models have places for."""

    def __init__(self, sessions: int) -> None:
        super().__init__(f"all {sessions} sessions are taken; [llm] sessions sets how many there are")
        self.sessions = sessions


@dataclass(frozen=True)
class Opened:
    """One session's generator, and what gives its place back."""

    generator: Generator
    close: Callable[[], None]


class LocalLanguage(Protocol):
    """A language model: `open` gives a session its own sequence and drafters."""

    def open(self) -> Opened: ...  # noqa: D102


@dataclass(frozen=True)
class HearingModels:
    """What is loaded once to listen; `transcriber` gives a session its own."""

    vad: Vad
    scorer: ScorerModel
    transcriber: Callable[[], Transcriber]


@dataclass(frozen=True)
class Models:
    """What is loaded once. Without `hearing` input is typed, without `speaker` output is text."""

    language: LocalLanguage
    hearing: HearingModels | None = None
    speaker: Speaker | None = None


@dataclass
class Workers:
    """The threads: one for each kind of model, but for the language model, whose sessions share passes."""

    sessions: int
    vad: Worker = field(default_factory=lambda: ThreadWorker("vad"))
    asr: Worker = field(default_factory=lambda: ThreadWorker("asr"))
    tts: Worker = field(default_factory=lambda: ThreadWorker("tts"))
    llm: Worker = field(init=False)

    def __post_init__(self) -> None:
        self.llm = ThreadWorker("llm", threads=self.sessions)

    def close(self) -> None:
        """End the threads, after the jobs they have."""
        for worker in (self.vad, self.asr, self.llm, self.tts):
            worker.close()


class ModelPool:
    """The loaded models and their threads; `open` gives a session its stages."""

    def __init__(self, models: Models, clock: Clock, sessions: int = 1) -> None:
        self.sessions, self.taken = sessions, 0
        self._models, self._clock = models, clock
        self._workers = Workers(sessions)
        self._detector = VadBatcher(models.hearing.vad, self._workers.vad) if models.hearing else None

    def open(self) -> Stages:
        """Stages of a session of its own; raises PoolBusy. `close` gives its place back."""
        if self.taken >= self.sessions:
            raise PoolBusy(self.sessions)
        opened, speaker = self._models.language.open(), self._models.speaker
        try:
            hearing = self._hearing()
        except BaseException:
            opened.close()
            raise
        self.taken += 1
        return Stages(
            SessionLanguageModel(opened.generator, self._workers.llm, self._clock),
            hearing,
            SessionSynthesizer(speaker, self._workers.tts) if speaker else None,
            self._returner(opened.close),
        )

    def _hearing(self) -> Hearing | None:
        models, asr, clock = self._models.hearing, self._workers.asr, self._clock
        if models is None or self._detector is None:
            return None
        return Hearing(
            SessionDetector(self._detector, VadState()),
            SessionScorer(models.scorer, asr, clock),
            SessionRecognizer(models.transcriber(), asr, clock),
        )

    def _returner(self, close: Callable[[], None]) -> Callable[[], None]:
        left = [close]

        def give_back() -> None:
            if left:  # once
                self.taken -= 1
                left.pop()()

        return give_back

    def close(self) -> None:
        """End the threads, after the jobs they have."""
        self._workers.close()


def frozen(load: Callable[[], Models]) -> Models:
    """What `load` gives, taken out of the garbage collector's sight.

    Else it would look at all the libraries' objects again and again, during loading (0.6 s in all) and,
    stopping the event loop, ever after.
    """
    gc.disable()
    try:
        models = load()
        gc.freeze()
    finally:
        gc.enable()
    return models
