"""A session's stages on the workers and models that all sessions share, and what is more urgent than what."""

import asyncio
from collections import OrderedDict, deque
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from asr.audio import AudioSpan
from asr.stabilize import Partial
from asr.words import Hypothesis
from assistant.runtime import Clock, Stopped, Urgency, Worker
from assistant.session.request import SPECULATIVE
from assistant.session.stages import AskUrgency, Audio, Utterance
from llm.decode.generate import Generated
from llm.decode.options import AS_CONFIGURED, ReplyOptions
from llm.decode.responder import Prompt
from llm.text.chat import Message
from tts.stream import SpeechChunk

# Ranks of recognition. The language model waits for the final transcript, the end of the turn for the score,
# and a partial only for the eye.
_FINAL, _SCORE, _PARTIAL = range(3)
_READ_AHEAD = 2  # behind replies that were released (0) and those that may be (1)

StateT = TypeVar("StateT", contravariant=True)


class VadModel(Protocol[StateT]):
    """See `asr.vad.Vad`."""

    def probabilities(self, windows: Sequence[Audio], states: Sequence[StateT]) -> Sequence[float]: ...  # noqa: D102


class ScorerModel(Protocol):
    """See `asr.turn_end.TurnEnd`."""

    def probability(self, turn: Audio) -> float: ...  # noqa: D102


class Transcriber(Protocol):
    """See `asr.stream.Transcriber`."""

    def begin(self, start_sample: int = 0) -> None: ...  # noqa: D102
    def partial(self, span: AudioSpan) -> Partial: ...  # noqa: D102
    def final(self, span: AudioSpan) -> Hypothesis: ...  # noqa: D102


class Generator(Protocol):
    """See `llm.decode.responder.Responder`."""

    @property
    def takes_tools(self) -> bool: ...  # noqa: D102
    def read_ahead(  # noqa: D102
        self, history: Sequence[Message], words: str, options: ReplyOptions = AS_CONFIGURED
    ) -> None: ...
    @property
    def tells_ends(self) -> bool: ...  # noqa: D102
    def closes(  # noqa: D102
        self, history: Sequence[Message], transcript: str, options: ReplyOptions = AS_CONFIGURED
    ) -> float | None: ...
    def prompt(  # noqa: D102
        self, history: Sequence[Message], transcript: str | None, options: ReplyOptions = AS_CONFIGURED
    ) -> Prompt: ...
    def reply(self, prompt: Prompt, stopped: Stopped) -> Iterator[Generated]: ...  # noqa: D102


class Speaker(Protocol):
    """See `tts.stream.Speaker`."""

    def speak(  # noqa: D102
        self, phrase: str, *, speed: float | None = None, should_stop: Stopped
    ) -> Iterator[SpeechChunk]: ...


@dataclass(eq=False)
class _Request(Generic[StateT]):
    window: Audio
    state: StateT
    voice: float | None = None


class VadBatcher(Generic[StateT]):
    """Runs the windows of all sessions that wait when its thread is free as one batch."""

    def __init__(self, model: VadModel[StateT], worker: Worker) -> None:
        self._model, self._worker = model, worker
        self._waiting: deque[_Request[StateT]] = deque()

    async def probability(self, window: Audio, state: StateT) -> float:
        """Probability that `window` is voiced; `state` moves on."""
        request = _Request(window, state)
        self._waiting.append(request)
        return await self._worker.run(lambda: self._answer(request))

    def _answer(self, request: _Request[StateT]) -> float:
        if request.voice is None:
            batch = [self._waiting.popleft() for _ in range(len(self._waiting))]
            voices = self._model.probabilities([r.window for r in batch], [r.state for r in batch])
            for waiting, voice in zip(batch, voices, strict=True):
                waiting.voice = voice
        assert request.voice is not None, "a batch that failed"
        return request.voice


class SessionDetector(Generic[StateT]):
    """The voice detector of one session."""

    def __init__(self, batcher: VadBatcher[StateT], state: StateT) -> None:
        self._batcher, self._state = batcher, state

    async def probability(self, window: Audio) -> float:
        """See VoiceDetector."""
        return await self._batcher.probability(window, self._state)


class SessionScorer:
    """The end-of-turn model on the recognition thread, behind transcripts: two at once are both late."""

    def __init__(self, model: ScorerModel, worker: Worker, clock: Clock) -> None:
        self._model, self._worker, self._clock = model, worker, clock

    async def probability(self, turn: Audio) -> float:
        """See TurnScorer."""
        return await self._worker.run(
            lambda: self._model.probability(turn), urgency=_rank(_SCORE, self._clock)
        )


class SessionRecognizer:
    """The transcriber of one session."""

    def __init__(self, transcriber: Transcriber, worker: Worker, clock: Clock) -> None:
        self._transcriber, self._worker, self._clock = transcriber, worker, clock
        self._begun: int | None = None

    async def partial(self, latest: Callable[[], Utterance | None]) -> Partial | None:
        """See Recognizer."""

        def decode() -> Partial | None:
            utterance = latest()
            if utterance is None:
                return None
            self._begin(utterance)
            return self._transcriber.partial(utterance.span)

        return await self._worker.run(decode, urgency=_rank(_PARTIAL, self._clock), lane=self)

    async def final(self, utterance: Utterance) -> Hypothesis:
        """See Recognizer."""

        def decode() -> Hypothesis:
            self._begin(utterance)
            return self._transcriber.final(utterance.span)

        return await self._worker.run(decode, urgency=_rank(_FINAL, self._clock), lane=self)

    def _begin(self, utterance: Utterance) -> None:
        if utterance.start_sample != self._begun:
            self._transcriber.begin(utterance.start_sample)
            self._begun = utterance.start_sample


class SessionLanguageModel:
    """The language model's sequence of one session; sessions share its passes."""

    def __init__(self, generator: Generator, worker: Worker, clock: Clock) -> None:
        self.generator = generator
        self._worker, self._clock = worker, clock

    @property
    def takes_tools(self) -> bool:
        """See LanguageModel."""
        return self.generator.takes_tools

    async def read_ahead(
        self,
        history: Sequence[Message],
        words: str,
        wanted: Callable[[], bool],
        options: ReplyOptions = AS_CONFIGURED,
    ) -> None:
        """See LanguageModel."""

        def read() -> None:
            if wanted():
                self.generator.read_ahead(history, words, options)

        await self._worker.run(read, urgency=_rank(_READ_AHEAD, self._clock), lane=self)

    @property
    def tells_ends(self) -> bool:
        """See LanguageModel."""
        return self.generator.tells_ends

    async def closes(
        self, history: Sequence[Message], transcript: str, options: ReplyOptions = AS_CONFIGURED
    ) -> float | None:
        """See LanguageModel."""
        return await self._worker.run(
            lambda: self.generator.closes(history, transcript, options),
            urgency=_rank(SPECULATIVE, self._clock),
            lane=self,
        )

    def prompt(
        self, history: Sequence[Message], transcript: str | None, options: ReplyOptions = AS_CONFIGURED
    ) -> Prompt:
        """See LanguageModel."""
        return self.generator.prompt(history, transcript, options)

    def reply(self, prompt: Prompt, urgency: AskUrgency) -> AsyncGenerator[Generated, None]:
        """See LanguageModel."""
        return self._worker.stream(
            lambda stopped: self.generator.reply(prompt, stopped), urgency=urgency, lane=self
        )


_Key = tuple[str, float | None]


@dataclass(eq=False)
class _UnderWay:
    """A phrase that is being synthesized, and how urgent it is to each who waits for it."""

    asked: list[AskUrgency]
    over: asyncio.Event

    def urgency(self) -> Urgency:
        return min(ask() for ask in self.asked)


class PhraseCache:
    """Audio of the phrases that were prepared last, of all sessions: answers that need no model recur."""

    def __init__(self, seconds: float = 180) -> None:
        """`seconds` of audio are kept: at 24 kHz that is 17 MB."""
        self._seconds = seconds
        self._chunks: OrderedDict[_Key, tuple[SpeechChunk, ...]] = OrderedDict()
        self._under_way: dict[_Key, _UnderWay] = {}

    def get(self, phrase: str, speed: float | None) -> tuple[SpeechChunk, ...] | None:
        """All of a phrase's audio, if it is there."""
        if (phrase, speed) in self._chunks:
            self._chunks.move_to_end((phrase, speed))
        return self._chunks.get((phrase, speed))

    async def fill(
        self,
        phrase: str,
        speed: float | None,
        urgency: AskUrgency,
        synthesize: Callable[[AskUrgency], AsyncGenerator[SpeechChunk, None]],
    ) -> None:
        """Have a phrase's audio there. What somebody else is waiting for already is not made twice."""
        key = phrase, speed
        while self.get(phrase, speed) is None:
            if (other := self._under_way.get(key)) is not None:
                other.asked.append(urgency)
                try:
                    await other.over.wait()
                finally:
                    other.asked.remove(urgency)
                continue  # it may have been cancelled
            mine = self._under_way[key] = _UnderWay([urgency], asyncio.Event())
            try:
                async with aclosing(synthesize(mine.urgency)) as chunks:
                    self._keep(key, [chunk async for chunk in chunks])
            finally:
                del self._under_way[key]
                mine.over.set()

    def _keep(self, key: _Key, chunks: Iterable[SpeechChunk]) -> None:
        """Keep a phrase, in place of the one that was wanted longest ago if need be."""
        self._chunks[key] = tuple(chunks)
        while self._kept_s > self._seconds:
            self._chunks.popitem(last=False)

    @property
    def _kept_s(self) -> float:
        chunks = (chunk for phrase in self._chunks.values() for chunk in phrase)
        return sum(len(chunk.audio) / chunk.sample_rate for chunk in chunks)


class SessionSynthesizer:
    """The voice that all sessions share: each step is a chunk, the most urgent session's first."""

    def __init__(self, speaker: Speaker, worker: Worker, cache: PhraseCache | None = None) -> None:
        self._speaker, self._worker = speaker, worker
        self._cache = cache or PhraseCache()

    async def prepare(self, phrase: str, urgency: AskUrgency, speed: float | None = None) -> None:
        """See Synthesizer."""
        await self._cache.fill(phrase, speed, urgency, lambda ask: self._synthesize(phrase, ask, speed))

    async def speak(
        self, phrase: str, urgency: AskUrgency, speed: float | None = None
    ) -> AsyncGenerator[SpeechChunk, None]:
        """See Synthesizer."""
        prepared = self._cache.get(phrase, speed)
        if prepared is not None:
            for chunk in prepared:
                yield chunk
            return
        async with aclosing(self._synthesize(phrase, urgency, speed)) as chunks:
            async for chunk in chunks:
                yield chunk

    def _synthesize(
        self, phrase: str, urgency: AskUrgency, speed: float | None
    ) -> AsyncGenerator[SpeechChunk, None]:
        return self._worker.stream(
            lambda stopped: self._speaker.speak(phrase, speed=speed, should_stop=stopped), urgency=urgency
        )


def _rank(rank: int, clock: Clock) -> Callable[[], Urgency]:
    asked = (rank, clock.now_ns())
    return lambda: asked
