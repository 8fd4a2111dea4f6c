"""What a simulation puts in the place of each model: one that answers as recorded and takes as long."""

from collections import deque
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import blake2b

import numpy as np

from asr.audio import RATE, AudioSpan
from asr.stabilize import Partial
from asr.vad import VadState
from asr.words import Hypothesis
from assistant.models.pool import HearingModels, Tap
from assistant.runtime import Stopped
from assistant.session.scheduled import (
    Generator,
    ScorerModel,
    Speaker,
    Transcriber,
    VadModel,
)
from assistant.session.stages import Audio, Device, Plan, Skills
from assistant.trace.digest import UtteranceDigest, audio_digest, digest
from assistant.trace.items import Json, generated_of, hypothesis_of, partial_of, prompt_of
from assistant.trace.reading import Reading
from assistant.trace.scene import Scene
from assistant.trace.taps import asked_digest, prompt_digest, speech_digest
from llm.decode.generate import Generated, Token
from llm.decode.options import AS_CONFIGURED, ReplyOptions
from llm.decode.responder import Prompt
from llm.text.chat import Message
from tts.stream import SpeechChunk

_WINDOWS = 256  # that the real voice detector is given before the first that was not recorded: 8 s


class SimulatedTap(Tap):
    """Puts simulated models in the place of a pool's; `scenes` by session, `voice` by sample rate."""

    def __init__(self, scenes: Mapping[str, Scene], voice: Mapping[int, Audio]) -> None:
        self._scenes, self._voice = scenes, voice

    def vad(self, model: VadModel[VadState]) -> VadModel[VadState]:  # noqa: ARG002
        """See Tap."""
        return _Vad()

    def vad_state(self, session: str) -> VadState:
        """See Tap."""
        return _State(scene=self._scenes[session])

    def scorer(self, model: ScorerModel, session: str) -> ScorerModel:  # noqa: ARG002
        """See Tap."""
        return _Scorer(self._scenes[session])

    def transcriber(self, model: Transcriber, session: str) -> Transcriber:  # noqa: ARG002
        """See Tap."""
        return _Transcriber(self._scenes[session])

    def generator(self, model: Generator, session: str) -> Generator:  # noqa: ARG002
        """See Tap."""
        return _Generator(self._scenes[session])

    def speaker(self, model: Speaker, session: str) -> Speaker:  # noqa: ARG002
        """See Tap."""
        return _Speaker(self._scenes[session], self._voice)

    def skills(self, skills: Skills | None, session: str) -> Skills:  # noqa: ARG002
        """See Tap."""
        return _Skills(self._scenes[session])


@dataclass(eq=False)
class _State(VadState):
    """The voice detector's state of one session, which `advance`s only once the real one is asked."""

    scene: Scene = field(kw_only=True)
    before: deque[Audio] = field(default_factory=lambda: deque(maxlen=_WINDOWS), kw_only=True)
    heard: blake2b = field(default_factory=blake2b, kw_only=True)
    """All windows up to now."""

    def answer(self, window: Audio) -> tuple[float, float]:
        """How probable voice is, and what that takes in ms."""
        given = audio_digest(window)
        call = self.scene.recorded.take("vad", given)
        self.before.append(window)
        self.heard.update(given.encode())
        if call is not None:
            return float(call.steps[0].gave), self.scene.times.recorded_ms(call, 0)
        voice = self.scene.unrecorded.answer("vad", self.heard.hexdigest(), self._really)
        return voice, self.scene.times.fitted_ms("vad")

    def _really(self) -> float:
        vad = _hearing(self.scene).vad
        voices = [vad.probabilities([window], [self])[0] for window in self.before]
        self.before.clear()
        return voices[-1]


class _Vad:
    def probabilities(self, windows: Sequence[Audio], states: Sequence[VadState]) -> Sequence[float]:
        answers = []
        for window, state in zip(windows, states, strict=True):
            assert isinstance(state, _State), "a state that the tap made"
            answers.append((state.answer(window), state.scene.loop))
        answers[0][1].spend(max(ms for (_, ms), _ in answers), "vad")  # one batch
        return [voice for (voice, _), _ in answers]


class _Scorer:
    def __init__(self, scene: Scene) -> None:
        self._scene = scene

    def probability(self, turn: Audio) -> float:
        def really() -> float:
            return _hearing(self._scene).scorer.probability(turn)

        return self._scene.answer("score", audio_digest(turn), 1, float, really)


class _Transcriber:
    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._heard = UtteranceDigest(0)
        self._spans: list[AudioSpan] = []  # of this utterance that the real one was not given
        self._is_new = True  # to the real one

    def begin(self, start_sample: int = 0) -> None:
        self._heard = UtteranceDigest(start_sample)
        self._spans, self._is_new = [], True

    def partial(self, span: AudioSpan) -> Partial:
        work = self._heard.push(span) / RATE
        given = self._heard.hexdigest
        answer = self._scene.answer(
            "asr.partial", given, round(work, 4), partial_of, lambda: self._real_one.partial(span)
        )
        self._spans.append(span)
        return answer

    def final(self, span: AudioSpan) -> Hypothesis:
        self._heard.push(span)
        given, work = self._heard.hexdigest, self._heard.samples / RATE
        answer = self._scene.answer(
            "asr.final", given, round(work, 4), hypothesis_of, lambda: self._real_one.final(span)
        )
        self._spans.append(span)
        return answer

    @cached_property
    def _real(self) -> Transcriber:
        return _hearing(self._scene).transcriber()

    @property
    def _real_one(self) -> Transcriber:
        """The real transcriber, as far as this one is."""
        if self._is_new:
            self._real.begin(self._heard.start_sample)
            self._is_new = False
        for span in self._spans:
            self._real.partial(span)
        self._spans.clear()
        return self._real


class _Generator:
    def __init__(self, scene: Scene) -> None:
        self._scene, self.takes_tools, self.tells_ends = scene, False, scene.tells_ends
        self._reading = Reading()

    def read_ahead(
        self, history: Sequence[Message], words: str, options: ReplyOptions = AS_CONFIGURED
    ) -> None:
        work = self._reading.ahead(history, words)
        given = asked_digest(history, words, options)
        self._scene.answer("llm.read_ahead", given, work, lambda _: None, lambda: None)

    def closes(
        self, history: Sequence[Message], transcript: str, options: ReplyOptions = AS_CONFIGURED
    ) -> float | None:
        work = self._reading.ahead(history, transcript)
        given = asked_digest(history, transcript, options)

        def really() -> float | None:
            with self._real() as generator:
                return generator.closes(history, transcript, options)

        return self._scene.answer("llm.closes", given, work, _log_odds, really)

    def prompt(
        self, history: Sequence[Message], transcript: str | None, options: ReplyOptions = AS_CONFIGURED
    ) -> Prompt:
        given = asked_digest(history, transcript, options)
        return self._scene.answer_on_loop(
            "llm.prompt",
            given,
            lambda plain: prompt_of(plain, options),
            lambda: self._prompt(history, transcript, options),
        )

    def reply(self, prompt: Prompt, stopped: Stopped) -> Iterator[Generated]:
        given, unread, text = prompt_digest(prompt), self._reading.prompt(prompt), ""
        kinds = (("llm.start", 1), ("llm.prefill", unread), ("llm.token", 1))
        items = self._scene.stream(
            "llm.reply",
            given,
            kinds,
            generated_of,
            lambda: self._really(prompt),
        )
        try:
            for item in items:
                if stopped():
                    return
                text += item.text if isinstance(item, Token) else ""
                yield item
        finally:
            self._reading.reply(text)

    def _prompt(self, history: Sequence[Message], transcript: str | None, options: ReplyOptions) -> Prompt:
        with self._real() as generator:
            return generator.prompt(history, transcript, options)

    def _really(self, prompt: Prompt) -> Iterator[Generated]:
        """What the real model replies, whoever stops listening: others may ask for it again."""
        with self._real() as generator:
            yield from generator.reply(prompt, lambda: False)

    def _real(self) -> AbstractContextManager[Generator]:
        return self._scene.unrecorded.generator()


class _Speaker:
    def __init__(self, scene: Scene, voice: Mapping[int, Audio]) -> None:
        self._scene, self._voice = scene, voice

    def speak(
        self, phrase: str, *, speed: float | None = None, should_stop: Stopped
    ) -> Iterator[SpeechChunk]:
        def really() -> Iterator[SpeechChunk]:
            speaker = self._scene.unrecorded.models.speaker
            assert speaker is not None, "a session that speaks"
            return speaker.speak(phrase, speed=speed, should_stop=lambda: False)

        kinds = (("tts.first", len(phrase)), ("tts.next", None))
        for chunk in self._scene.stream(
            "tts.speak", speech_digest(phrase, speed), kinds, self._chunk, really
        ):
            if should_stop():
                return
            yield chunk

    def _chunk(self, plain: Json) -> SpeechChunk:
        start, samples = plain["audio"]
        rate = plain["rate"]
        audio = self._voice[rate][start : start + samples] if samples else np.zeros(0, np.float32)
        return SpeechChunk(audio, rate, plain["text"])


class _Skills:
    """Understands what was understood in the recording; all else is the language model's."""

    tools = calls = ()

    def __init__(self, scene: Scene) -> None:
        self._scene = scene

    def answer(self, transcript: str, history: Sequence[Message], device: Device) -> Plan | None:  # noqa: ARG002
        gave = self._scene.recorded_on_loop("skill", digest(transcript))
        return None if gave is None else _Plan(self._scene, digest(transcript), **gave)

    def call(self, name: str, arguments: str, device: Device) -> Plan | None:  # noqa: ARG002
        given = digest(f"{name}({arguments})")
        gave = self._scene.recorded_on_loop("skill.call", given)
        return None if gave is None else _Plan(self._scene, given, **gave)

    async def announcements(self) -> AsyncIterator[str]:
        """They are inputs of the recording."""
        for text in list[str]():
            yield text

    async def run(self) -> None:
        """What it announced is an input of the recording."""

    def forget(self) -> None:
        """Nothing is remembered."""


@dataclass(frozen=True)
class _Plan:
    scene: Scene
    given: str
    intent: str
    slots: Mapping[str, object]
    text: str
    complete: bool

    async def act(self) -> str:
        said = self.scene.recorded_on_loop("skill.act", self.given)
        return self.text if said is None else str(said)

    async def undo(self) -> None:
        """Nothing was done."""


def _hearing(scene: Scene) -> HearingModels:
    hearing = scene.unrecorded.models.hearing
    assert hearing is not None, "a session that listens"
    return hearing


def _log_odds(plain: Json) -> float | None:
    return None if plain is None else float(plain)
