"""The Realtime protocol on each connection, with a session of its own, on models that all share."""

import asyncio
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from urllib.parse import parse_qs, urlsplit

from assistant.config import Config
from assistant.models.pool import ModelPool, PoolBusy
from assistant.runtime import Clock, Recorder, read_traceparent
from assistant.server import protocol
from assistant.server.connection import Connection, ConnectionLimits
from assistant.server.keeper import Keeper, Store, find
from assistant.server.kept import Writer
from assistant.server.logs import logger, tally
from assistant.server.metrics import FinishedReply, Metrics
from assistant.server.settings import Limits, Object
from assistant.server.socket import Socket
from assistant.server.state import State
from assistant.server.wire import WireError, error_event, write_event
from assistant.session.events import ReplyDone, SessionEvent
from assistant.session.parts import split, ttfa_ms
from assistant.session.session import Session, SessionConfig
from assistant.trace.recording import Recording
from llm.decode import CudaBroken

_OTHERS = ("gpt-", "whisper-", "assistant")  # what clients call the model unless they are told a name
_POLICY = 1008  # the WebSocket close code
_SECRET_BYTES = 16  # of a session's id, by which it can be resumed: 128 bits cannot be guessed


@dataclass(frozen=True)
class Realtime:
    """The Realtime protocol on every connection; see Application."""

    pool: ModelPool
    config: Config
    clock: Clock
    recorder: Recorder
    metrics: Metrics
    model: str
    """Its name to clients."""
    recording: Recording | None = None
    """Of the pool's tap."""
    beside: Callable[[], AbstractAsyncContextManager[object]] = nullcontext
    """What is open while it serves: the home that its skills know, and the store."""
    store: Store | None = None
    """Keeps conversations for clients that come back."""
    _broken: asyncio.Event = field(default_factory=asyncio.Event, init=False)
    """A conversation has met a GPU that only another process can use."""

    @property
    def ready(self) -> bool:
        """Whether conversations can be held."""
        return not self._broken.is_set()

    @property
    def capacity(self) -> int:
        """How many conversations there can be at once."""
        return self.pool.sessions

    def taken(self) -> int:
        """How many there are."""
        return self.pool.taken

    async def converse(self, websocket: Socket, draining: asyncio.Event) -> None:
        """Converse until the client is gone, or, once `draining` is set, until the present turn is over."""
        try:
            await self._converse(websocket, draining)
        except* CudaBroken:
            self._broken.set()
            raise

    async def _converse(self, websocket: Socket, draining: asyncio.Event) -> None:
        model = _asked(websocket, "model")
        if (
            model
            and model not in (self.model, self.model.partition(":")[0])
            and not model.startswith(_OTHERS)
        ):
            error = WireError(
                "model_not_found", f"there is no model {model!r:.80}; this is {self.model}", "model"
            )
            await _turn_away(websocket, error)
            return
        name, session_id = secrets.token_hex(6), f"sess_{secrets.token_hex(_SECRET_BYTES)}"
        try:
            stages = self.pool.open(name)
        except PoolBusy as busy:
            await _turn_away(
                websocket, WireError("session_limit_reached", str(busy), type="session_limit_reached")
            )
            return
        try:
            resume = await find(self.store, _asked(websocket, "resume"), self.config.server.resume_s)
            settings = SessionConfig(
                self.config.llm.system_prompt,
                self.config.turn,
                self.config.asr,
                live=False,
                item_prefix=f"item_{name}",
            )
            session = Session(stages, settings, self.clock, self.recorder, name)
            limits = self._limits()
            expires_at = int(time.time() + self.config.server.session_s)
            state = protocol.open_state(
                name,
                self.model,
                settings.system_prompt,
                expires_at,
                limits,
                can_call=stages.language.takes_tools,
                speed=self.config.tts.speed,
                session_id=session_id,
            )
            connection = Connection(
                websocket,
                session,
                state,
                self.clock,
                self.config.turn,
                self._pace(),
                self._watch,
                self._sent,
                resume,
                self._keeper(state),
            )
            if self.recording is not None:
                connection.run_session = partial(self.recording.run, session, name)
            try:
                with self._traced(name, websocket):
                    await connection.run(draining)
            finally:
                self.metrics.dropped_frames(session.dropped_frames)
        finally:
            await stages.close()

    @contextmanager
    def _traced(self, name: str, websocket: Socket) -> Iterator[None]:
        """The session is in the trace that its client or a proxy has begun, or in its own."""
        traces = self.recorder.traces
        if traces is None:
            yield
            return
        traces.begin(name, read_traceparent(websocket.headers))
        try:
            yield
        finally:
            traces.end(name)

    def _keeper(self, state: State) -> Keeper | None:
        if self.store is None:
            return None
        writer = Writer(state.session, self.config.server.resume_bytes)
        return Keeper(self.store, state.session["id"], writer, self.clock)

    def _limits(self) -> Limits:
        server = self.config.server
        return Limits(
            instructions=server.instructions_bytes,
            tools=server.tools,
            item=server.item_bytes,
            items=server.items,
            history=server.history_bytes,
            buffer_ms=self.config.asr.max_turn_s * 1000,
        )

    def _pace(self) -> ConnectionLimits:
        server = self.config.server
        return ConnectionLimits(
            server.events_per_s, server.audio_ahead_s, server.unread_s, server.idle_s, server.session_s
        )

    def _sent(self, event: Object) -> None:
        if event["type"] == "error":
            tally().errors += 1
            self.metrics.event_error(event["error"]["code"])

    def _watch(self, event: SessionEvent) -> None:
        if isinstance(event, ReplyDone) and not event.reopened:
            tally().turns += 1
            note_reply(event, self.model, self.metrics)


def note_reply(event: ReplyDone, model: str, metrics: Metrics) -> None:
    """Count a reply that is over, and log it; what was said is logged only where that is wanted."""
    parts = split(event.voice_end_ns, event.boundaries) if event.boundaries else []
    waited_ms = ttfa_ms(parts) if parts else None
    metrics.reply_done(
        FinishedReply(
            model,
            waited_ms,
            {part.name: part.ms for part in parts},
            event.tokens,
            event.generating_s,
            event.interrupted,
            event.underruns,
        )
    )
    logger().info(
        "reply",
        ttfa_ms=None if waited_ms is None else round(waited_ms),
        interrupted=event.interrupted,
        tokens=event.tokens,
        transcript=event.transcript,
        reply=event.heard,
    )


def _asked(websocket: Socket, key: str) -> str:
    """What the address has behind its question mark; empty if there is none."""
    return parse_qs(urlsplit(websocket.path).query).get(key, [""])[0]


async def _turn_away(websocket: Socket, error: WireError) -> None:
    """Say why there is no session, and close."""
    await websocket.send(write_event(error_event(error, f"event_{secrets.token_hex(6)}")))
    await websocket.close(_POLICY, error.code)
