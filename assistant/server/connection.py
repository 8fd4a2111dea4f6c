"""One client: a WebSocket at one side, a session at the other, the protocol's state between them."""

import asyncio
from collections.abc import AsyncIterable, Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, replace

from websockets.exceptions import ConnectionClosed

from assistant.runtime import Clock
from assistant.server import protocol
from assistant.server.formats import Outgoing
from assistant.server.from_session import ReplyAudio
from assistant.server.inputs import Inputs, TooFast
from assistant.server.keeper import Keeper
from assistant.server.outbox import Outbox, Unread
from assistant.server.resume import NOTHING, Resume
from assistant.server.settings import Object
from assistant.server.socket import Socket
from assistant.server.state import (
    AddItem,
    Append,
    Cancel,
    Clear,
    Command,
    Commit,
    Configure,
    Outcome,
    RemoveItem,
    Request,
    State,
    Truncate,
)
from assistant.server.wire import WireError, read_event, write_event
from assistant.session.events import AudioDelta, ListenerLagged, ReplyDone, SessionEvent, SpeechStopped
from assistant.session.session import Input, Session
from assistant.session.sink import PacedSink, Sink
from assistant.session.turn import ReplyCancelled, ReplyRequested, TurnConfig

_AHEAD_MS = 2000  # audio that is sent ahead of what sounds: an interruption wastes no more
_ONE_EVENT = 4096  # characters; a longer message counts as several: reading it takes as much longer
_DRAIN_POLL_NS = 50_000_000
_RESTART = 1012  # the close code of a service that restarts: come back
_GRACE_NS = 30_000_000_000  # in which a session that has lasted long enough may finish its reply


@dataclass(frozen=True)
class ConnectionLimits:
    """How long and how fast."""

    events_per_s: float = 500
    """Messages of up to 4 KB that are read a second; a client that sends more waits."""
    audio_ahead_s: float = 30
    """How far audio may be ahead of the clock."""
    unread_s: float = 2
    idle_s: float = 600
    """Without a message of the client, and without a reply."""
    session_s: float = 3600


class _Over(Exception):  # noqa: N818  # it ends the tasks of a connection
    """The connection is over: the client has closed it, or is to be told why."""

    def __init__(self, code: int = 1000, why: str = "") -> None:
        super().__init__(why)
        self.code = code


class Connection:
    """Run it once. `watch` is shown every event of the session, `sent` every one that the client is sent.

    It begins with the conversation that `resume` has, and a `keeper` keeps it.
    """

    def __init__(
        self,
        websocket: Socket,
        session: Session,
        state: State,
        clock: Clock,
        turn: TurnConfig,
        limits: ConnectionLimits,
        watch: Callable[[SessionEvent], None] = lambda _: None,
        sent: Callable[[Object], None] = lambda _: None,
        resume: Resume = NOTHING,
        keeper: Keeper | None = None,
    ) -> None:
        self._resume, self._keeper = resume, keeper
        self._websocket, self._session, self._state, self._clock = websocket, session, state, clock
        self._turn = replace(turn, reversible=False)  # nobody can hold what a client has been sent already
        self._limits, self._watch, self._sent = limits, watch, sent
        self._instructions = state.settings.instructions
        self.run_session: Callable[[AsyncIterable[Input], Sink], Coroutine[None, None, None]] = session.run
        """A recording may be put around it."""
        self._inputs = Inputs(clock, state.settings.input_format, limits.audio_ahead_s)
        self._outbox = Outbox(websocket, limits.unread_s)
        self._happened = session.subscribe(state.limits.items)
        self._outgoing: tuple[int, Outgoing] | None = None  # of the reply with this number
        self._heard_ns = clock.now_ns()  # when the client sent something last

    async def run(self, draining: asyncio.Event) -> None:
        """Converse until the client is gone, or, once `draining` is set, until the present turn is over."""
        code, why, reads = 1000, "", True
        self._configure(self._state)
        self._follow(protocol.greet(self._state, self._resume))
        if self._state.items:
            self._session.read_instructions()
        try:
            async with asyncio.TaskGroup() as group:
                sink = PacedSink(self._clock, latency_ms=0, ahead_ms=_AHEAD_MS, keep=False)
                group.create_task(self.run_session(self._inputs, sink), name="session")
                for task in (self._read, self._write, self._tell, self._expire):
                    group.create_task(task(), name=task.__name__.strip("_"))
                group.create_task(self._drain(draining), name="drain")
                if self._keeper is not None:
                    group.create_task(self._keeper.run(), name="keep")
        except* _Over as over:
            code, why = _first(over)
        except* Unread:
            reads = False
        if self._keeper is not None:  # a client that is told to come back finds all of it
            with suppress(ListenerLagged):
                self._catch_up()
            await self._keeper.settle()
        if reads:
            await self._websocket.close(code, why)
        else:
            self._websocket.abort()

    async def _read(self) -> None:
        pace = _Pace(self._clock, self._limits.events_per_s)
        while True:
            try:
                message = await self._websocket.recv()
            except ConnectionClosed:
                raise _Over from None
            self._heard_ns = self._clock.now_ns()
            self._receive(message)
            await pace.next(1 + len(message) // _ONE_EVENT)

    async def _write(self) -> None:
        await self._outbox.run()
        raise _Over  # the client is gone, whatever it sent before has not been read yet

    def _receive(self, message: str | bytes) -> None:
        if isinstance(message, bytes):
            self._refuse(WireError("unsupported_frame", "events are text frames of JSON"))
            return
        try:
            event = read_event(message)
        except WireError as error:
            self._refuse(error)
            return
        self._catch_up()
        self._follow(protocol.take(self._state, event), event.get("event_id"))
        self._catch_up()

    async def _tell(self) -> None:
        async for event in self._happened:
            self._happen(event)

    def _catch_up(self) -> None:
        """What has changed is told before an event of the client's is taken, and again behind it."""
        for event in self._happened.drain():
            self._happen(event)

    def _happen(self, event: SessionEvent) -> None:
        self._watch(event)
        if isinstance(event, SpeechStopped):
            self._inputs.turn_ended(event.sample)
        if isinstance(event, AudioDelta):
            self._speak(event)
            return
        if isinstance(event, ReplyDone) and not event.interrupted:
            self._speak_rest(event.number)
        self._follow(protocol.tell(self._state, event))

    def _speak(self, event: AudioDelta) -> None:
        response = self._state.response
        if response is None or response.number != event.number:
            return
        if self._outgoing is None or self._outgoing[0] != event.number:
            self._outgoing = event.number, Outgoing(response.audio_format, event.chunk.sample_rate)
        data = self._outgoing[1].push(event.chunk.audio)
        self._follow(protocol.tell(self._state, ReplyAudio(event.number, data)))

    def _speak_rest(self, number: int) -> None:
        if self._outgoing is not None and self._outgoing[0] == number:
            self._follow(protocol.tell(self._state, ReplyAudio(number, self._outgoing[1].flush())))

    def _follow(self, outcome: Outcome, event_id: str | None = None) -> None:
        """Send and do what a step of the protocol came to."""
        self._state, events, commands = outcome
        if self._keeper is not None:
            self._keeper.note(self._state)
        for event in events:
            self._sent(event)
            self._outbox.put(write_event(event))
        for command in commands:
            self._carry_out(command, event_id)

    def _refuse(self, error: WireError) -> None:
        self._follow(protocol.refuse(self._state, error))

    def _carry_out(self, command: Command, event_id: str | None) -> None:
        conversation = self._session.conversation
        match command:
            case Append(data=data):
                try:
                    self._inputs.append(data)
                except TooFast as error:
                    refusal = WireError("rate_limited", str(error), "audio", event_id)
                    self._follow(protocol.refuse_audio(self._state, refusal, len(data)))
            case Commit():
                self._inputs.commit()
            case Clear():
                self._inputs.clear()
            case Request(request=request):
                self._inputs.put(ReplyRequested(request))
            case Cancel():
                self._inputs.put(ReplyCancelled())
            case AddItem(item=item, after=after):
                conversation.add(item, after)
            case RemoveItem(id=name) if name in conversation:
                conversation.remove(name)
            case Truncate(id=name, ms=ms) if name in conversation:
                conversation.truncate(name, ms)
            case Configure():
                self._configure(self._state)

    def _configure(self, state: State) -> None:
        settings, session = state.settings, self._session
        read = session.conversation.instructions, session.reply_settings.options
        session.turn_config = settings.turn_config(self._turn)
        # A client with functions or instructions of its own has an assistant of its own.
        own = settings.reply.options.tools or settings.instructions != self._instructions
        session.reply_settings = replace(settings.reply, skilled=not own)
        session.pre_roll_ms = settings.pre_roll_ms
        self._inputs.change_format(settings.input_format)
        session.conversation.instructions = settings.instructions
        if read != (settings.instructions, settings.reply.options):  # functions stand beside them in a prompt
            session.read_instructions()

    async def _expire(self) -> None:
        """End a session that is idle, or has lasted long enough: once no reply is made, or a while later."""
        limits, now_ns = self._limits, self._clock.now_ns
        end_ns = now_ns() + int(limits.session_s * 1e9)
        while True:
            due_ns = min(self._heard_ns + int(limits.idle_s * 1e9), end_ns)
            if due_ns <= now_ns() and (self._state.quiet or end_ns + _GRACE_NS <= now_ns()):
                break
            await self._clock.sleep_until(max(due_ns, now_ns() + 1_000_000_000))
        why = "nothing was said for long" if due_ns < end_ns else "it has lasted long"
        self._refuse(WireError("session_expired", f"the session is over: {why}", type="server_error"))
        await self._outbox.sent()
        raise _Over(1000, "session expired")

    async def _drain(self, draining: asyncio.Event) -> None:
        await draining.wait()
        while not (self._state.quiet and self._session.idle):
            await self._clock.sleep_until(self._clock.now_ns() + _DRAIN_POLL_NS)
        await self._outbox.sent()
        if self._keeper is not None:
            raise _Over(_RESTART, "the server is shutting down: resume the conversation")
        raise _Over(1001, "the server is shutting down")


def _first(group: BaseExceptionGroup[_Over]) -> tuple[int, str]:
    over = next(error for error in group.exceptions if isinstance(error, _Over))
    return over.code, str(over)


class _Pace:
    """Lets through so many events a second, and as many at once after a quiet second."""

    def __init__(self, clock: Clock, per_s: float) -> None:
        self._clock, self._each_ns = clock, int(1e9 / per_s)
        self._due_ns = clock.now_ns()

    async def next(self, events: int = 1) -> None:
        """Wait until another may be read after so many."""
        earliest_ns = self._clock.now_ns() - 1_000_000_000
        self._due_ns = max(self._due_ns, earliest_ns) + events * self._each_ns
        await self._clock.sleep_until(self._due_ns)  # others have a turn after each event, whatever it took
