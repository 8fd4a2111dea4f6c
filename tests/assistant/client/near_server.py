"""The real server's connection and session, on scripted stages, at the other end of two queues.

The user's voices are tones, told apart by their amplitude, which the way over the wire keeps.
"""

import asyncio
import re
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from websockets.exceptions import ConnectionClosedError
from websockets.frames import Close

from asr.audio import RATE
from asr.stabilize import Partial
from asr.words import Hypothesis
from assistant.runtime import Clock, Recorder
from assistant.server import protocol
from assistant.server.connection import Connection, ConnectionLimits
from assistant.server.keeper import Keeper, Store, find
from assistant.server.kept import Writer
from assistant.server.settings import Limits
from assistant.session.session import Session, SessionConfig
from assistant.session.stages import AskUrgency, Audio, Hearing, Stages, Utterance
from assistant.session.turn import TurnConfig
from llm.decode.generate import Finished, Generated, Prefilled, Started, Token
from llm.decode.options import AS_CONFIGURED, ReplyOptions
from llm.decode.responder import Prompt
from llm.text.chat import Message
from tts.stream import SpeechChunk

LOUD = 0.02
WORD_MS = 300
VOICE_RATE = 24000


@dataclass(frozen=True)
class Voice:
    """The user says `words`, as loud as no other voice of the scene."""

    start_ms: int
    end_ms: int
    words: str
    level: float


def tone(start: int, count: int) -> Audio:
    """Samples of a tone of 250 Hz, of amplitude 1, from number `start` on at 16 kHz."""
    return np.sin(2 * np.pi * 250 * np.arange(start, start + count) / RATE).astype(np.float32)


def sound(voices: Sequence[Voice]) -> Callable[[int, int], Audio]:
    """What a microphone records of the voices; never exactly zero."""

    def record(start: int, count: int) -> Audio:
        ms = np.arange(start, start + count) * 1000 / RATE
        level = np.full(count, 1e-4, np.float32)
        for voice in voices:
            level[(ms >= voice.start_ms) & (ms < voice.end_ms)] = voice.level
        return level * tone(start, count)

    return record


def voiced(window: Audio) -> float:
    """The probability of voice."""
    return 0.9 if np.abs(window).max() > LOUD else 0.1


@dataclass
class Models:
    """All models of one session; `heard` are the levels of what the recognizer got."""

    voices: Sequence[Voice]
    replies: Mapping[str, str]
    heard: list[float] = field(default_factory=list)
    histories: list[list[tuple[str, str]]] = field(default_factory=list)
    takes_tools: bool = False
    tells_ends: bool = False
    _loudest: dict[int, float] = field(default_factory=dict)
    _asked: list[str] = field(default_factory=list)

    async def probability(self, audio: Audio) -> float:
        """Of a window's voice; a turn always sounds complete."""
        return voiced(audio) if len(audio) == 512 else 0.99

    async def partial(self, latest: Callable[[], Utterance | None]) -> Partial | None:
        utterance = latest()
        return None if utterance is None else Partial("", self._words(utterance))

    async def final(self, utterance: Utterance) -> Hypothesis:
        words = self._words(utterance)
        self.heard.append(self._loudest[utterance.start_sample])
        return Hypothesis(words, (), 0)

    def _words(self, utterance: Utterance) -> str:
        """Of the voice that is as loud as this, and all of it that came before."""
        start = utterance.start_sample
        loud = max(self._loudest.get(start, 0.0), float(np.abs(utterance.span.audio).max(initial=0.0)))
        self._loudest[start] = loud
        return min(self.voices, key=lambda voice: abs(voice.level - loud)).words

    async def read_ahead(self, *_: object, **__: object) -> None: ...

    def prompt(
        self, history: Sequence[Message], transcript: str | None, options: ReplyOptions = AS_CONFIGURED
    ) -> Prompt:
        self._asked.append(history[-1].content if transcript is None else transcript)
        self.histories.append([(message.role, message.content) for message in history[1:]])
        return Prompt([len(self._asked) - 1], tuple(history), options=options)

    async def reply(self, prompt: Prompt, urgency: AskUrgency) -> AsyncGenerator[Generated, None]:
        yield Started()
        yield Prefilled(np.zeros((1, 1), np.float32))
        for number, text in enumerate(re.findall(r"\s*\S+", self.replies[self._asked[prompt.ids[0]]])):
            yield Token(number, text)
        yield Finished("end", "")

    def completeness(self, prefilled: Prefilled) -> float:
        return 0.99

    async def speak(
        self, phrase: str, urgency: AskUrgency, speed: float = 1.0
    ) -> AsyncGenerator[SpeechChunk, None]:
        for text in re.findall(r"\s*\S+", phrase):
            count = WORD_MS * VOICE_RATE // 1000
            yield SpeechChunk(np.full(count, 0.25, np.float32), VOICE_RATE, text)

    def stages(self) -> Stages:
        return Stages(self, Hearing(self, self, self), self)  # type: ignore[arg-type]  # it is all of them


async def converse(
    websocket: Any,  # noqa: ANN401  # a connection of websockets, or an End
    models: Models,
    clock: Clock,
    draining: asyncio.Event,
    sent: Callable[[Mapping[str, Any]], None] = lambda _: None,
    name: str = "near",
    store: Store | None = None,
    resume: str = "",
) -> None:
    """One connection of the server, as `assistant.server.realtime` has them."""
    config = SessionConfig("Be brief.", TurnConfig(patience=0.5), live=False, item_prefix=f"item_{name}")
    session = Session(models.stages(), config, clock, Recorder(), name)
    state = protocol.open_state(name, "assistant", "Be brief.", 99, Limits(), can_call=False)
    keeper = Keeper(store, state.session["id"], Writer(state.session, 2**20), clock) if store else None
    connection = Connection(
        websocket,
        session,
        state,
        clock,
        TurnConfig(patience=0.5),
        ConnectionLimits(),
        sent=sent,
        resume=await find(store, resume, 60),
        keeper=keeper,
    )
    await connection.run(draining)


class End:
    """One end of a connection whose other end is `peer`."""

    def __init__(self) -> None:
        self.peer = self
        self.inbox: asyncio.Queue[str | Close] = asyncio.Queue()
        self.closed: Close | None = None

    async def send(self, message: str) -> None:
        if self.closed is not None:
            raise ConnectionClosedError(self.closed, None)
        self.peer.inbox.put_nowait(message)

    async def recv(self) -> str:
        if self.closed is None and not isinstance(message := await self.inbox.get(), Close):
            return message
        self.closed = self.closed or message
        raise ConnectionClosedError(self.closed, None)

    async def close(self, code: int = 1000, reason: str = "") -> None:
        if self.closed is None:
            self.closed = Close(code, reason)
            self.peer.inbox.put_nowait(self.closed)

    def abort(self) -> None:
        self.closed = Close(1006, "")


def wire() -> tuple[End, End]:
    """A connection's two ends."""
    one, other = End(), End()
    one.peer, other.peer = other, one
    return one, other
