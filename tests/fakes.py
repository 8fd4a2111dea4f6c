"""Scripted, strict fakes of the five models, and a world in which a session runs on them.

A scene says when the user speaks and what. The microphone's samples count up, so a fake reads off the
audio it is given which part of the scene that is: the transcript of an utterance is right only if the
session cut it out rightly. A call that the scene does not expect fails, and so does an unused line.
"""

import re
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from virtual import VirtualLoop, VirtualWorker, run_virtual

from asr.moonshine import Hypothesis
from asr.stabilize import Partial
from assistant.ear import Frame
from assistant.parts import split, ttfa_ms
from assistant.playback import PacedSink
from assistant.reply import FALLBACK
from assistant.session import Observed, Session, SessionConfig, TurnRecord
from assistant.spans import Recorder
from assistant.stages import Audio, Stages
from assistant.turn import TurnConfig
from llm.chat import Message
from llm.engine import ContextFull
from llm.generate import Finished, Generated, Prefilled, Started, Token
from llm.responder import Prompt
from tts.stream import SpeechChunk

PER_MS = 16
VOICE_RATE = 24000
SYSTEM = "Be brief."
_SCALE = 2**20  # samples that a float32 can count: 65 s


@dataclass(frozen=True)
class Voice:
    """The user says `words` (nothing: noise); `sounds` and `reads` are how complete the turn is then."""

    start_ms: int
    end_ms: int
    words: str
    sounds: float = 0.99
    reads: float = 0.99


@dataclass(frozen=True)
class Timing:
    """What the models' work takes, in virtual milliseconds, and how long the words of a reply sound."""

    score: float = 60
    read: float = 100
    prefill: float = 70
    token: float = 15
    chunk: float = 30
    word: int = 300
    lead: int = 10
    vad: Mapping[int, float] = field(default_factory=dict)  # from the window at this many ms


@dataclass(frozen=True)
class Scene:
    """What the user says until the microphone is closed, and the reply to each possible transcript."""

    voices: tuple[Voice, ...]
    replies: Mapping[str, str | ContextFull]
    end_ms: int
    timing: Timing = Timing()

    def words(self, start: int, end: int) -> str:
        """What is said from sample `start` to `end`; the words of one voice are of equal length."""
        said = []
        for voice in self.voices:
            words = voice.words.split()
            for index, word in enumerate(words, 1):
                over = voice.start_ms + (voice.end_ms - voice.start_ms) * index / len(words)
                if start <= voice.start_ms * PER_MS and over * PER_MS <= end:
                    said.append(word)
        return " ".join(said)


def microphone(start: int, count: int) -> Audio:
    """Samples `start` onwards of a recording in which every sample is its own number."""
    return (np.arange(start, start + count) / _SCALE).astype(np.float32)


def position(audio: Audio) -> tuple[int, int]:
    """Which samples of the microphone these are; fails if there is a hole in them."""
    assert audio.dtype == np.float32 and audio.ndim == 1 and len(audio)
    samples = (audio.astype(np.float64) * _SCALE).astype(int)
    assert (np.diff(samples) == 1).all()
    return int(samples[0]), int(samples[-1]) + 1


class ScriptedVad:
    """Voice where the middle of a window is inside a voice of the scene."""

    def __init__(self, scene: Scene, loop: VirtualLoop) -> None:
        self._scene, self._loop = scene, loop
        self._fresh = False
        self._heard: set[Voice] = set()

    def reset(self) -> None:
        assert not self._fresh, "reset twice"
        self._fresh = True

    def probability(self, window: Audio) -> float:
        assert self._fresh, "the state of another stream"
        assert window.shape == (512,) and window.dtype == np.float32
        middle = round(float(window[256]) * _SCALE)
        self._loop.work(self._scene.timing.vad.get(middle // PER_MS // 32 * 32, 0))
        voices = [v for v in self._scene.voices if v.start_ms * PER_MS <= middle < v.end_ms * PER_MS]
        self._heard.update(voices)
        return 0.9 if voices else 0.1

    def check(self) -> None:
        assert self._heard == set(self._scene.voices), "a voice that nobody listened to"


class ScriptedScorer:
    """`sounds` of the last voice that has ended in the turn."""

    def __init__(self, scene: Scene, loop: VirtualLoop) -> None:
        self._scene, self._loop = scene, loop
        self.turns: list[tuple[int, int]] = []

    def probability(self, turn: Audio) -> float:
        start, end = position(turn)
        self.turns.append((start, end))
        self._loop.work(self._scene.timing.score)
        return [v for v in self._scene.voices if start <= v.start_ms * PER_MS < end][-1].sounds


class ScriptedReader:
    """The words of the scene that the audio covers; wants `begin` before another utterance."""

    def __init__(self, scene: Scene, loop: VirtualLoop) -> None:
        self._scene, self._loop = scene, loop
        self._start: int | None = None
        self._begun = False
        self.finals: list[str] = []

    def begin(self) -> None:
        self._begun, self._start = True, None

    def partial(self, audio: Audio) -> Partial:
        return Partial("", self._read(audio))

    def final(self, audio: Audio) -> Hypothesis:
        self.finals.append(self._read(audio))
        return Hypothesis(self.finals[-1], (), 0)

    def _read(self, audio: Audio) -> str:
        start, end = position(audio)
        assert self._begun and self._start in (None, start), "another utterance without begin()"
        self._start = start
        self._loop.work(self._scene.timing.read)
        return self._scene.words(start, end)

    def check(self) -> None:
        said = " ".join(self.finals)
        unread = [v.words for v in self._scene.voices if v.words not in said]
        assert not unread, f"never read: {unread}"


class ScriptedWriter:
    """The scene's reply to each transcript, word by word. `history()` is what it must be asked with."""

    def __init__(self, scene: Scene, loop: VirtualLoop, history: Callable[[], list[Message]]) -> None:
        self._scene, self._loop, self._history = scene, loop, history
        self.transcripts: list[str] = []

    def prompt(self, history: Sequence[Message], transcript: str) -> Prompt:
        assert list(history) == self._history(), "something unsaid is in the history"
        assert transcript in self._scene.replies, f"no reply in the scene to {transcript!r}"
        self.transcripts.append(transcript)
        return Prompt([len(self.transcripts) - 1], tuple(history))

    def reply(self, prompt: Prompt, stopped: Callable[[], bool]) -> Iterator[Generated]:
        yield Started()
        reply = self._scene.replies[self.transcripts[prompt.ids[0]]]
        self._loop.work(self._scene.timing.prefill)
        if isinstance(reply, ContextFull):
            raise reply
        yield Prefilled(np.array([prompt.ids], np.float32))
        for number, text in enumerate(re.findall(r"\s*\S+", reply)):
            if stopped():
                return
            self._loop.work(self._scene.timing.token)
            yield Token(number, text)
        yield Finished("end", "")

    def completeness(self, prefilled: Prefilled) -> float:
        transcript = self.transcripts[int(prefilled.logits[0, 0])]
        return [v for v in self._scene.voices if v.words and transcript.endswith(v.words)][-1].reads

    def check(self) -> None:
        assert set(self.transcripts) == set(self._scene.replies), "a reply that nobody asked for"


class ScriptedSpeaker:
    """One chunk a word, each word at a level of its own, so that a recording shows what was said."""

    def __init__(self, scene: Scene, loop: VirtualLoop) -> None:
        self._timing, self._loop = scene.timing, loop
        replies = [reply for reply in scene.replies.values() if isinstance(reply, str)]
        self._known = [*replies, FALLBACK]
        self.words: list[str] = []

    def speak(self, phrase: str, *, should_stop: Callable[[], bool]) -> Iterator[SpeechChunk]:
        assert any(phrase in reply for reply in self._known), f"{phrase!r} is of no reply"
        for text in re.findall(r"\s*\S+", phrase):
            if should_stop():
                return
            self._loop.work(self._timing.chunk)
            yield SpeechChunk(self._sound(text), VOICE_RATE, text)

    def _sound(self, text: str) -> Audio:
        if not any(map(str.isalnum, text)):
            return np.zeros(0, np.float32)
        self.words.append(text)
        audio = np.zeros(self._timing.word * VOICE_RATE // 1000, np.float32)
        audio[self._timing.lead * VOICE_RATE // 1000 :] = 0.25 + len(self.words) / 2**16
        return audio

    def word(self, audio: Audio) -> str:
        """The word that a piece of recording belongs to."""
        return self.words[round((float(audio.max()) - 0.25) * 2**16) - 1]


class WatchedSink(PacedSink):
    """Notes when it was given what."""

    def __init__(self, loop: VirtualLoop) -> None:
        super().__init__(loop.clock)
        self._now_ns = loop.clock.now_ns
        self.given: list[tuple[int, Audio]] = []

    async def write(self, audio: Audio, sample_rate: int) -> int:
        self.given.append((self._now_ns(), audio))
        return await super().write(audio, sample_rate)


class World:
    """A session in a scene: after `run`, what came of it."""

    def __init__(
        self,
        scene: Scene,
        turn: TurnConfig | None = None,
        loop: VirtualLoop | None = None,
        workers: tuple[VirtualWorker, ...] = (),
    ) -> None:
        self.scene, self.loop = scene, loop or VirtualLoop()
        self.records: list[TurnRecord] = []
        self.partials: list[Partial] = []
        self.recorder = Recorder()
        self.sink = WatchedSink(self.loop)
        self.vad, self.scorer = ScriptedVad(scene, self.loop), ScriptedScorer(scene, self.loop)
        self.reader, self.speaker = ScriptedReader(scene, self.loop), ScriptedSpeaker(scene, self.loop)
        self.writer = ScriptedWriter(scene, self.loop, self.spoken_history)
        self._workers = workers or start_workers(self.loop)
        self._owns_workers = not workers
        models = (self.vad, self.scorer, self.reader, self.writer, self.speaker)
        self.stages = Stages(*models, *self._workers)
        config = SessionConfig(SYSTEM, turn or TurnConfig())
        self.session = Session(self.stages, config, self.loop.clock, self.recorder, self._observe)
        self.start_ns = 0

    def _observe(self, event: Observed) -> None:
        if isinstance(event, TurnRecord):
            self.records.append(event)
        else:
            self.partials.append(event)

    def run(self) -> "World":
        """The whole scene on virtual time, then every check that holds for any scene."""
        try:
            run_virtual(self.converse(), self.loop)
        finally:
            if self._owns_workers:
                self.stages.close()
        return self

    async def converse(self) -> None:
        """The same on a loop that runs already."""
        self.start_ns = self.loop.clock.now_ns()
        await self.session.run(self.frames(), self.sink)
        self.check()

    async def frames(self) -> AsyncIterator[Frame]:
        """What the microphone records, 20 ms at a time, as it is recorded."""
        for end_ms in range(20, self.scene.end_ms + 1, 20):
            end_ns = self.start_ns + end_ms * 1_000_000
            await self.loop.clock.sleep_until(end_ns)
            assert self.session.history == self.spoken_history(), "something unsaid is in the history"
            yield Frame(microphone((end_ms - 20) * PER_MS, 20 * PER_MS), end_ns)

    def spoken_history(self) -> list[Message]:
        """The history that the turns recorded so far must have left."""
        history = [Message("system", SYSTEM)]
        for record in self.records:
            if not record.reopened:
                history.append(Message("user", record.transcript))
            if record.heard and not record.reopened:
                history.append(Message("assistant", record.heard))
        return history

    def check(self) -> None:
        """The scene was played to its end, and nobody was given what had not been committed."""
        for model in (self.vad, self.reader, self.writer):
            model.check()
        assert self.session.history == self.spoken_history()
        assert [r.number for r in self.records] == sorted({r.number for r in self.records})
        for record in self.records:
            if record.boundaries is not None:
                parts = split(record.voice_end_ns, record.boundaries)
                whole_ms = (record.boundaries.ends_ns["playback.start"] - record.voice_end_ns) / 1e6
                assert abs(ttfa_ms(parts) - whole_ms) < 1e-6

    def check_sink(self) -> None:
        """Every word that the sink was given belongs to a recorded turn, and came after its commit."""
        for now_ns, audio in self.sink.given:
            begun = [record for record in self.records if record.decided_ns <= now_ns]
            assert begun, f"{self.speaker.word(audio)!r} before anything was committed"
            assert self.speaker.word(audio).strip() in f"{begun[-1].reply} {FALLBACK}"

    def sounded(self) -> list[tuple[str, int, int]]:
        """What became sound: each word, when it began and when it was over or cut off, in ms."""
        pieces = []
        for start_ns, audio in self.sink.recorded:
            start_ms = (start_ns - self.start_ns) / 1e6
            length_ms = len(audio) * 1000 / VOICE_RATE
            pieces.append((self.speaker.word(audio).strip(), round(start_ms), round(start_ms + length_ms)))
        return pieces

    def ms(self, time_ns: int) -> float:
        """A time of the session in milliseconds since it began."""
        return (time_ns - self.start_ns) / 1e6


def start_workers(loop: VirtualLoop) -> tuple[VirtualWorker, ...]:
    """The five threads of `Stages`; `loop` waits for them."""
    workers = tuple(VirtualWorker(name) for name in ("vad", "turn_end", "asr", "llm", "tts"))
    loop.workers.extend(workers)
    return workers
