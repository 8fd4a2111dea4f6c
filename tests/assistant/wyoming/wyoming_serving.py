"""A Wyoming server on a free port of this machine, over scripted models or over a pool that is given."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace

import numpy as np
from wyoming.client import AsyncTcpClient
from wyoming.event import Event

from asr.audio import AudioSpan
from asr.stabilize import Partial
from asr.words import Hypothesis
from assistant.config import Config, ServerConfig
from assistant.models.pool import HearingModels, ModelPool, Models, Opened, on_worker
from assistant.runtime import Clock, Worker
from assistant.server.metrics import Metrics
from assistant.session.stages import Audio, Skills
from assistant.wyoming.answering import Conversations, by_language_model, by_skills
from assistant.wyoming.describing import describe
from assistant.wyoming.server import listen_wyoming, run_wyoming
from assistant.wyoming.service import Limits, Service
from llm.decode import Finished, Generated, Prompt, Token
from llm.decode.options import AS_CONFIGURED, ReplyOptions
from llm.text.chat import Message
from tts.stream import SpeechChunk

PATIENCE_S = 60
SYSTEM = "Be brief."
ENDLESS = "Never stop."
LIMIT = "Say too much."
SILENCE = "Say nothing."


class LoudIsVoice:
    def probabilities(self, windows: Sequence[Audio], states: Sequence[object]) -> list[float]:
        return [float(np.abs(window).max() > 0.1) for window in windows]


class NobodyAsks:
    def probability(self, turn: Audio) -> float:
        raise AssertionError("the client says where its turn ends")


@dataclass
class Meter:
    """Its transcript is how much it was given, and how loud that is; a partial has the first word of it."""

    fails: bool = False

    def begin(self, start_sample: int = 0) -> None:
        pass

    def partial(self, span: AudioSpan) -> Partial:
        return Partial("heard", "")

    def final(self, span: AudioSpan) -> Hypothesis:
        if self.fails:
            raise ValueError("the model is broken")
        level = float(np.median(span.audio))
        return Hypothesis(f"heard {len(span.audio)} samples at {level:.2f}", (), 0)


@dataclass
class Echo:
    """Says what it was asked, and how much was said before. `stopped` is set when it is cut off."""

    stopped: threading.Event = field(default_factory=threading.Event)
    begun: threading.Event = field(default_factory=threading.Event)
    takes_tools: bool = False
    tells_ends: bool = False

    def read_ahead(self, *_: object) -> None:
        raise AssertionError("nobody reads ahead")

    def prompt(
        self, history: Sequence[Message], transcript: str | None, options: ReplyOptions = AS_CONFIGURED
    ) -> Prompt:
        assert transcript and history[0] == Message("system", SYSTEM)
        return Prompt([0], (*history, Message("user", transcript)))

    def reply(self, prompt: Prompt, stopped: Callable[[], bool]) -> Iterator[Generated]:
        self.begun.set()
        asked = prompt.history[-1].content
        if asked == ENDLESS:
            try:
                while not stopped():
                    yield Token(0, "on ")
            finally:
                self.stopped.set()
        elif asked == SILENCE:
            yield Finished("end", "")
        elif asked == LIMIT:
            yield Token(0, "This is whole. This is")
            yield Finished("length", " cut")
        else:
            yield Token(0, f"You said {asked!r}")
            yield Finished("end", f" after {len(prompt.history) - 2} messages.")


@dataclass
class EchoModels:
    echo: Echo
    kv_bytes: int = 0

    def open(self, worker: Worker, clock: Clock) -> Opened:
        return on_worker(self.echo, lambda: None, worker, clock)


class OneSampleALetter:
    def speak(
        self, phrase: str, *, speed: float | None = None, should_stop: Callable[[], bool]
    ) -> Iterator[SpeechChunk]:
        letters = sum(map(str.isalpha, phrase))
        yield SpeechChunk(np.full(letters, 0.5, np.float32), 24000, phrase)


@dataclass
class Serving:
    port: int
    pool: ModelPool
    echo: Echo
    metrics: Metrics
    stop: asyncio.Event
    task: "asyncio.Task[None]"

    async def all_places_free(self) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while self.pool.taken:  # noqa: ASYNC110  # the pool tells nobody
                await asyncio.sleep(0)


def scripted(echo: Echo, sessions: int, meter: Meter) -> ModelPool:
    hearing = HearingModels(LoudIsVoice(), NobodyAsks(), lambda: meter)
    return ModelPool(Models(EchoModels(echo), hearing, OneSampleALetter()), Clock(), sessions)


@asynccontextmanager
async def serving(
    *,
    sessions: int = 2,
    limits: Limits | None = None,
    meter: Meter | None = None,
    pool: ModelPool | None = None,
    config: Config | None = None,
    skills: Skills | None = None,
    **server: object,
) -> AsyncIterator[Serving]:
    """A server that has ended, and left no task and no place taken, when the block is left."""
    before = asyncio.all_tasks()
    echo, metrics, stop, clock = Echo(), Metrics(), asyncio.Event(), Clock()
    settings = replace(ServerConfig(wyoming="tcp://127.0.0.1:0"), **server)  # type: ignore[arg-type]
    config = replace(config or Config(), server=settings)
    models = pool or scripted(echo, sessions, meter or Meter())
    system = config.llm.system_prompt if pool else SYSTEM
    conversations, info = Conversations(system, clock, lambda: skills), describe(config, "echo")
    responder = by_skills(by_language_model)
    service = Service(models, config, clock, metrics, info, conversations, responder, limits or Limits())
    sock = listen_wyoming(settings)
    task = asyncio.create_task(run_wyoming(service, sock, stop))
    served = Serving(sock.getsockname()[1], models, echo, metrics, stop, task)
    try:
        yield served
    finally:
        stop.set()
        async with asyncio.timeout(PATIENCE_S):
            await task
        taken = models.taken
        if pool is None:
            models.close()
    assert asyncio.all_tasks() == before and taken == 0


@asynccontextmanager
async def client(port: int) -> AsyncIterator[AsyncTcpClient]:
    """The protocol's own client; servers that hang up on it are no error when it leaves."""
    talking = AsyncTcpClient("127.0.0.1", port, connect_timeout=PATIENCE_S, read_timeout=PATIENCE_S)
    await talking.connect()
    try:
        yield talking
    finally:
        with suppress(ConnectionError):
            await talking.disconnect()


async def until(talking: AsyncTcpClient, last: str) -> list[Event]:
    """The events up to one of the type `last`; an error, and a connection that is closed, end it, too."""
    events = []
    while (event := await talking.read_event()) is not None:
        events.append(event)
        if event.type in (last, "error"):
            break
    return events


async def error_of(talking: AsyncTcpClient) -> str:
    """The code of the error that comes next, or behind other events; the connection is closed then."""
    error = (await until(talking, "error"))[-1]
    assert error.type == "error" and error.data["text"]
    assert await talking.read_event() is None
    code: str = error.data["code"]
    return code
