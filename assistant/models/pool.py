"""The models, loaded once, and the sessions that share them."""

import asyncio
import gc
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from threading import Lock
from typing import Protocol

from asr.vad import VadState
from assistant.runtime import Clock, ThreadWorker, Worker
from assistant.runtime.machine import usable_threads
from assistant.session.scheduled import (
    Generator,
    PhraseCache,
    ScorerModel,
    SessionDetector,
    SessionLanguageModel,
    SessionRecognizer,
    SessionScorer,
    SessionSynthesizer,
    Speaker,
    Transcriber,
    VadBatcher,
    VadModel,
)
from assistant.session.stages import Hearing, LanguageModel, Skills, Stages


class PoolBusy(RuntimeError):  # noqa: N818  # a condition with a name of its own
    """As many sessions are open as the models have places for."""

    def __init__(self, sessions: int) -> None:
        super().__init__(f"all {sessions} sessions are taken; [llm] sessions sets how many there are")
        self.sessions = sessions


@dataclass(frozen=True)
class Opened:
    """One session's language model. `close` gives its place back and calls back, perhaps
    from a thread, with what was raised."""

    language: LanguageModel
    close: Callable[[Callable[[Exception | None], None]], None]


def on_worker(
    generator: Generator,
    close: Callable[[], None],
    worker: Worker,
    clock: Clock,
    first: Callable[[], None] | None = None,
) -> Opened:
    """A language model in this process: `first` is called before all else, `close` behind the last step."""
    language = SessionLanguageModel(generator, worker, clock)
    if first is not None:
        worker.post(first, lane=language)

    def close_behind(then: Callable[[Exception | None], None]) -> None:
        def both() -> None:
            error = None
            try:
                close()
            except Exception as caught:  # noqa: BLE001  # carried to who closes
                error = caught
            then(error)

        worker.post(both, lane=language)

    return Opened(language, close_behind)


class LanguageModels(Protocol):
    """A language model here or elsewhere: `open` gives a session its own state."""

    @property
    def kv_bytes(self) -> int:
        """What the keys and values of all sessions take here."""
        ...

    def open(self, worker: Worker, clock: Clock) -> Opened: ...  # noqa: D102


@dataclass(frozen=True)
class HearingModels:
    """What is loaded once to listen; `transcriber` gives a session its own."""

    vad: VadModel[VadState]
    scorer: ScorerModel
    transcriber: Callable[[], Transcriber]
    expect: Callable[[Sequence[str]], None] = lambda _: None
    """Names that are likely to be said from now on, besides the configuration's phrases."""


@dataclass(frozen=True)
class Models:
    """What is loaded once. Without `hearing` input is typed, without `speaker` output is text."""

    language: LanguageModels
    hearing: HearingModels | None = None
    speaker: Speaker | None = None
    skills: Callable[[], Skills] | None = None
    """What a conversation asks before the language model, opened for each."""


class Tap:
    """What sees the calls of a pool's models: each method gives what is called in the model's place.

    This one sees nothing. `session` is the name under which a session was opened.
    """

    def vad(self, model: VadModel[VadState]) -> VadModel[VadState]:
        """The voice detector of all sessions."""
        return model

    def vad_state(self, session: str) -> VadState:  # noqa: ARG002
        """The detector's state of one session."""
        return VadState()

    def scorer(self, model: ScorerModel, session: str) -> ScorerModel:  # noqa: ARG002
        """The end-of-turn model, for one session."""
        return model

    def transcriber(self, model: Transcriber, session: str) -> Transcriber:  # noqa: ARG002
        """The transcriber of one session."""
        return model

    def generator(self, model: Generator, session: str) -> Generator:  # noqa: ARG002
        """The language model of one session, where that is in this process."""
        return model

    def speaker(self, model: Speaker, session: str) -> Speaker:  # noqa: ARG002
        """The voice, for one session."""
        return model

    def skills(self, skills: Skills | None, session: str) -> Skills | None:  # noqa: ARG002
        """The skills of one session."""
        return skills


@dataclass
class Workers:
    """The threads of each kind of model.

    Recognition has as many as there are cores: with one, four sessions waited for each other's transcripts
    and scores while half of the processor was idle. Sessions share the language model's passes: it has a
    thread for each.
    """

    vad: Worker
    asr: Worker
    llm: Worker
    tts: Worker

    @classmethod
    def in_threads(cls, sessions: int) -> "Workers":
        """Threads for so many sessions."""
        asr = ThreadWorker("asr", threads=recognition_threads(sessions))
        return cls(ThreadWorker("vad"), asr, ThreadWorker("llm", threads=sessions), ThreadWorker("tts"))

    def __iter__(self) -> Iterator[tuple[str, Worker]]:
        return iter((("vad", self.vad), ("asr", self.asr), ("llm", self.llm), ("tts", self.tts)))

    def close(self) -> None:
        """End the threads, after the jobs they have."""
        for _, worker in self:
            worker.close()


def recognition_threads(sessions: int) -> int:
    """How many threads recognition has for so many sessions."""
    return min(sessions, usable_threads())


class ModelPool:
    """The loaded models and their threads; `open` gives a session its stages."""

    def __init__(
        self,
        models: Models,
        clock: Clock,
        sessions: int = 1,
        tap: Tap | None = None,
        workers: Workers | None = None,
    ) -> None:
        """`workers` are threads of the pool's own unless others are given."""
        self.sessions, self.taken = sessions, 0
        self._lock = Lock()  # guards `taken`
        self._models, self._clock, self._tap = models, clock, tap or Tap()
        self._workers = workers or Workers.in_threads(sessions)
        self._phrases = PhraseCache()
        hearing = models.hearing
        self._detector = VadBatcher(self._tap.vad(hearing.vad), self._workers.vad) if hearing else None

    def open(self, name: str = "") -> Stages:
        """Stages of a session of its own; raises PoolBusy. `close` gives its place back.

        `name` is what the pool's tap knows the session by.
        """
        with self._lock:
            if self.taken >= self.sessions:
                raise PoolBusy(self.sessions)
            self.taken += 1
        try:
            hearing = self._hearing(name)
            skills = self._tap.skills(self.open_skills(), name)
            opened = self._models.language.open(self._workers.llm, self._clock)
        except BaseException:
            self._give_back()
            raise
        language, speaker = opened.language, self._models.speaker
        if isinstance(language, SessionLanguageModel):
            language.generator = self._tap.generator(language.generator, name)
        voice = None
        if speaker:
            voice = SessionSynthesizer(self._tap.speaker(speaker, name), self._workers.tts, self._phrases)
        return Stages(language, hearing, voice, skills, self._closer(opened))

    def expect(self, names: Sequence[str]) -> None:
        """Names that are likely to be said from the next utterance on. From any thread; takes some time."""
        if self._models.hearing is not None:
            self._models.hearing.expect(names)

    def open_skills(self) -> Skills | None:
        """Those of one conversation, if there are any."""
        return self._models.skills() if self._models.skills else None

    @property
    def kv_bytes(self) -> int:
        """What the keys and values of all sessions take."""
        return self._models.language.kv_bytes

    def pending(self) -> Mapping[str, int]:
        """How many jobs each kind of thread has."""
        return {name: worker.pending for name, worker in self._workers}

    def _hearing(self, name: str) -> Hearing | None:
        models, asr, clock = self._models.hearing, self._workers.asr, self._clock
        if models is None or self._detector is None:
            return None
        return Hearing(
            SessionDetector(self._detector, self._tap.vad_state(name)),
            SessionScorer(self._tap.scorer(models.scorer, name), asr, clock),
            SessionRecognizer(self._tap.transcriber(models.transcriber(), name), asr, clock),
        )

    def _closer(self, opened: Opened) -> Callable[[], Awaitable[None]]:
        """Gives a session's place back, once; the wait for it may be cancelled."""
        left = [opened]

        async def close() -> None:
            if not left:
                return
            loop = asyncio.get_running_loop()
            done: asyncio.Future[None] = loop.create_future()

            def closed(error: Exception | None) -> None:
                self._give_back()
                with suppress(RuntimeError):  # the loop is closed: nobody waits
                    loop.call_soon_threadsafe(_settle, done, error)

            left.pop().close(closed)
            await done

        return close

    def _give_back(self) -> None:
        with self._lock:
            self.taken -= 1

    def close(self) -> None:
        """End the threads, after the jobs they have."""
        self._workers.close()


def _settle(done: asyncio.Future[None], error: Exception | None) -> None:
    if done.done():
        return  # the wait was cancelled
    if error is None:
        done.set_result(None)
    else:
        done.set_exception(error)


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
