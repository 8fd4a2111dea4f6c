"""Scripted, strict fakes of the five models.

A scene says when the user speaks and what. The microphone's samples count up, so a fake reads off the
audio it is given which part of the scene that is: the transcript of an utterance is right only if the
session cut it out rightly. A call that the scene does not expect fails, and so does an unused line.
"""

import json
import re
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import log

import numpy as np

from asr.audio import AudioSpan
from asr.ending import Ending
from asr.stabilize import Partial
from asr.words import Hypothesis
from assistant.runtime import VirtualLoop
from assistant.session.reply import FALLBACK
from assistant.session.stages import Audio, Device
from llm.decode.generate import Called, Finished, Generated, Prefilled, Started, Token
from llm.decode.options import AS_CONFIGURED, ReplyOptions
from llm.decode.responder import Prompt
from llm.decode.served import Kernels, Operation, Served
from llm.decode.speculate import Speculated
from llm.text.chat import Message
from llm.text.message import Tool
from tts.stream import SpeechChunk

SERVED = (
    Served(Operation("qkv", "Triton", "[<=16, 576] x [960, 576]", "float16 x 4 bits"), 4),
    Served(Operation("head", "torch", "[1, 576] x [49152, 576]", "float16 x 8 bits"), 1),
)
PER_MS = 16
VOICE_RATE = 24000
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
    closes: float = 0
    vad: Mapping[int, float] = field(default_factory=dict)  # from the window at this many ms


@dataclass(frozen=True)
class Scene:
    """What the user says until the microphone is closed, and the reply, calls or error to each transcript.

    Where a reply is asked for without one, the last message of the history stands for it.
    """

    voices: tuple[Voice, ...]
    replies: Mapping[str, str | tuple[Called, ...] | Exception]
    end_ms: int
    timing: Timing = Timing()
    idle_end_ms: int | None = None  # the microphone is closed as early as this when the session is idle
    ahead: Exception | None = None  # what reading ahead raises
    closes: Mapping[str, float] | None = None  # log-odds that such words are a whole sentence, if it tells

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


class SharedVad:
    """Answers each window by the ScriptedVad that is its stream's state, as one batch."""

    def __init__(self) -> None:
        self.batches: list[int] = []

    def probabilities(self, windows: Sequence[Audio], states: "Sequence[ScriptedVad]") -> list[float]:
        assert len({id(state) for state in states}) == len(states), "two windows of one stream in a batch"
        self.batches.append(len(windows))
        return [state.probability(window) for window, state in zip(windows, states, strict=True)]


class ScriptedVad:
    """Voice where the middle of a window is inside a voice of the scene."""

    def __init__(self, scene: Scene, loop: VirtualLoop) -> None:
        self._scene, self._loop = scene, loop
        self._heard: set[Voice] = set()

    def probability(self, window: Audio) -> float:
        assert window.shape == (512,) and window.dtype == np.float32
        middle = round(float(window[256]) * _SCALE)
        self._loop.spend(self._scene.timing.vad.get(middle // PER_MS // 32 * 32, 0))
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
        self._loop.spend(self._scene.timing.score)
        return [v for v in self._scene.voices if start <= v.start_ms * PER_MS < end][-1].sounds


class ScriptedReader:
    """The words of the scene that were heard; wants `begin` before another utterance, and no hole in it."""

    def __init__(self, scene: Scene, loop: VirtualLoop) -> None:
        self._scene, self._loop = scene, loop
        self._start, self._heard, self._last = -1, -1, ""
        self._first: int | None = None
        self.begun: list[int] = []
        self.finals: list[str] = []

    def begin(self, start_sample: int = 0) -> None:
        assert start_sample not in self.begun[-1:], "begun twice"
        self.begun.append(start_sample)
        self._start = self._heard = start_sample
        self._first = None
        self._last = ""

    def partial(self, span: AudioSpan) -> Partial:
        stable, self._last = self._last, self._read(span)
        assert self._last.startswith(stable), "the scene's words do not change"
        return Partial(stable, self._last[len(stable) :].strip())

    def final(self, span: AudioSpan) -> Hypothesis:
        text = self._read(span)
        self.finals.append(text)
        voices = [v for v in self._scene.voices if v.words and text.endswith(v.words)]
        reads = voices[-1].reads if voices else 0.01
        return Hypothesis(text, (), 0, ending=Ending(log(reads), log(1 - reads)))

    def _read(self, span: AudioSpan) -> str:
        start, end = position(span.audio)  # of the scene; the session does not count what it lost
        assert self._start <= span.start_sample <= self._heard, "a hole in the utterance, or no begin()"
        if self._first is None:
            self._first = start
        self._heard = max(self._heard, span.end_sample)
        self._loop.spend(self._scene.timing.read)
        return self._scene.words(self._first, end)

    def check(self) -> None:
        said = " ".join(self.finals)
        unread = [v.words for v in self._scene.voices if v.words not in said]
        assert not unread, f"never read: {unread}"


class ScriptedWriter:
    """The scene's reply to each transcript, word by word. `history()` is what it must be asked with."""

    takes_tools = True

    def __init__(self, scene: Scene, loop: VirtualLoop, history: Callable[[], list[Message]]) -> None:
        self._scene, self._loop, self._history = scene, loop, history
        self.transcripts: list[str] = []
        self.ahead: list[str] = []
        self.doubted: list[str] = []

    def read_ahead(
        self, history: Sequence[Message], words: str, options: ReplyOptions = AS_CONFIGURED
    ) -> None:
        assert list(history) == self._history(), "something unsaid is in the history"
        self.ahead.append(words)
        if self._scene.ahead:
            raise self._scene.ahead

    @property
    def tells_ends(self) -> bool:
        return self._scene.closes is not None

    def closes(
        self, history: Sequence[Message], transcript: str, options: ReplyOptions = AS_CONFIGURED
    ) -> float | None:
        assert list(history) == self._history(), "something unsaid is in the history"
        self.doubted.append(transcript)
        if self._scene.ahead:
            raise self._scene.ahead
        self._loop.spend(self._scene.timing.closes)
        assert self._scene.closes is not None, "it tells"
        return self._scene.closes.get(transcript)

    def prompt(
        self, history: Sequence[Message], transcript: str | None, options: ReplyOptions = AS_CONFIGURED
    ) -> Prompt:
        assert list(history) == self._history(), "something unsaid is in the history"
        if transcript is None:
            transcript = history[-1].content
        assert transcript in self._scene.replies, f"no reply in the scene to {transcript!r}"
        self.transcripts.append(transcript)
        return Prompt([len(self.transcripts) - 1], tuple(history), options=options)

    def reply(self, prompt: Prompt, stopped: Callable[[], bool]) -> Iterator[Generated]:
        yield Started()
        reply = self._scene.replies[self.transcripts[prompt.ids[0]]]
        self._loop.spend(self._scene.timing.prefill)
        if isinstance(reply, Exception):
            raise reply
        yield Prefilled(np.array([prompt.ids], np.float32))
        words = re.findall(r"\s*\S+", reply) if isinstance(reply, str) else []
        limit = prompt.options.max_tokens or len(words)
        for number, text in enumerate(words[:limit]):
            if stopped():
                return
            self._loop.spend(self._scene.timing.token)
            yield Token(number, text)
        for call in () if isinstance(reply, str) else reply:
            assert call.name in prompt.options.callable, "a tool nobody declared"
            self._loop.spend(self._scene.timing.token)
            yield call
        yield Speculated(drafted=8, accepted=6, passes=4, length=3)
        yield Kernels(SERVED)
        reason = "end" if isinstance(reply, str) else "tool_calls"
        yield Finished("length" if limit < len(words) else reason, "")

    def check(self) -> None:
        assert set(self.transcripts) == set(self._scene.replies), "a reply that nobody asked for"


@dataclass
class ScriptedPlan:
    """Says `text`, or `says` once it is carried out; an exception is raised. Notes what was done."""

    text: str
    says: str | Exception | None = None
    complete: bool = True
    intent: str = "Scripted"
    slots: Mapping[str, object] = field(default_factory=dict)
    done: list[str] = field(default_factory=list)

    async def act(self) -> str:
        self.done.append("act")
        if isinstance(self.says, Exception):
            raise self.says
        return self.text if self.says is None else self.says

    async def undo(self) -> None:
        self.done.append("undo")


class ScriptedSkills:
    """Understands the scene's commands."""

    def __init__(self, plans: Mapping[str, ScriptedPlan]) -> None:
        self.plans, self.forgotten = plans, 0

    def answer(self, transcript: str, history: Sequence[Message], device: Device) -> ScriptedPlan | None:
        return self.plans.get(transcript)

    async def announcements(self) -> AsyncIterator[str]:
        for text in ():
            yield text

    async def run(self) -> None:
        """Nothing."""

    tools: tuple[Tool, ...] = ()

    @property
    def calls(self) -> tuple[str, ...]:
        return ("do",)

    def call(self, name: str, arguments: str, device: Device) -> ScriptedPlan | None:
        assert name == "do", "a function nobody declared"
        return self.plans.get(json.loads(arguments)["what"])

    def forget(self) -> None:
        self.forgotten += 1


class ScriptedSpeaker:
    """One chunk a word, each word at a level of its own, so that a recording shows what was said."""

    def __init__(self, scene: Scene, loop: VirtualLoop) -> None:
        self._scene, self._loop = scene, loop
        self.words: list[str] = []
        self.also: list[str] = []  # that may be said besides the scene's replies

    def speak(
        self, phrase: str, *, speed: float | None = None, should_stop: Callable[[], bool]
    ) -> Iterator[SpeechChunk]:
        replies = [FALLBACK, *self.also, *(r for r in self._scene.replies.values() if isinstance(r, str))]
        assert any(phrase in reply for reply in replies), f"{phrase!r} is of no reply"
        for text in re.findall(r"\s*\S+", phrase):
            if should_stop():
                return
            self._loop.spend(self._scene.timing.chunk)
            yield SpeechChunk(self._sound(text, speed), VOICE_RATE, text)

    def _sound(self, text: str, speed: float | None) -> Audio:
        if not any(map(str.isalnum, text)):
            return np.zeros(0, np.float32)
        self.words.append(text)
        timing = self._scene.timing
        audio = np.zeros(round(timing.word * VOICE_RATE / 1000 / (speed or 1.0)), np.float32)
        audio[timing.lead * VOICE_RATE // 1000 :] = 0.25 + len(self.words) / 2**16
        return audio

    def word(self, audio: Audio) -> str:
        """The word that a piece of recording belongs to."""
        return self.words[round((float(audio.max()) - 0.25) * 2**16) - 1]
