"""A session without models; turn taking, exchanges and conversation are the real ones.

What the tasks of a session do in their own time is a method here, so that a test chooses the order.
"""

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from assistant.server import protocol
from assistant.server.from_session import ReplyAudio
from assistant.server.state import (
    AddItem,
    Append,
    Cancel,
    Clear,
    Command,
    Commit,
    Configure,
    RemoveItem,
    Request,
    State,
    Truncate,
)
from assistant.session import turn
from assistant.session.conversation import Conversation, Spoken, UserItem
from assistant.session.events import (
    Failed,
    ReplyRefused,
    SessionEvent,
    SpeechStarted,
    SpeechStopped,
    TextDelta,
)
from assistant.session.exchange import Exchange
from assistant.session.request import ReplyRequest, ReplySettings
from assistant.session.turn import TurnConfig
from assistant.session.turn_table import step
from llm.decode.generate import Called

WINDOW = 512
TURN = TurnConfig(reversible=False)  # as Connection has it


class Task:
    """In place of an asyncio.Task."""

    def __init__(self) -> None:
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


@dataclass
class UserTurn:
    """A turn that is being transcribed."""

    transcript: str | None = None
    first_ns: Mapping[Any, int] = field(default_factory=dict)

    @property
    def utterances(self) -> "UserTurn":
        return self

    def end(self) -> None:
        pass


class Reply:
    """A reply that is being made; it says what it is told to."""

    def __init__(self, number: int, settings: ReplySettings, emit: Callable[[Any], None]) -> None:
        self.number, self.settings, self._emit = number, settings, emit
        self.text, self.stopped, self.dropped = "", False, 0
        self.released_ns: int | None = None
        self.heard_ms, self.given_ms = 0.0, 0.0
        self.spoken: tuple[Spoken, ...] = ()
        self.reason, self.prompt_tokens, self.tokens, self.generating_ns = "end", 7, 0, 0
        self.calls: list[Called] = []
        self.playback = self.plan = None

    def boundaries(self, _transcribing_ns: int | None) -> None:
        return None

    def release(self) -> None:
        self.released_ns = 1
        if self.text:
            self._emit(TextDelta(self.number, self.text))

    def stop(self) -> None:
        self.stopped = True

    def say(self, text: str) -> None:
        self.text += text
        self.tokens += 1
        if self.released_ns is not None:
            self._emit(TextDelta(self.number, text))
        if not self.settings.spoken:
            self.spoken = (Spoken(self.text, 0.0),)


class SessionModel:
    """Carries out commands, and has events to tell; see `assistant.session.session.Session`."""

    def __init__(self, name: str) -> None:
        self.events: deque[SessionEvent | ReplyAudio] = deque()
        self.inputs: deque[turn.External] = deque()
        """What the client has asked for and the session has not looked at yet."""
        self.conversation = Conversation("Be brief.", self.events.append, f"item_{name}")
        self.turn_config, self.reply_settings = TURN, ReplySettings()
        self.state: turn.State = turn.Listening()
        self.exchange: Exchange | None = None
        self.turns: list[tuple[Exchange, UserTurn, Task]] = []
        """Those that are not transcribed yet, the oldest first."""
        self.sample = 0
        self._speech_item = ""

    # What a client's commands do: see `Connection`

    def carry_out(self, command: Command, state: State) -> None:
        conversation = self.conversation
        match command:
            case Append(data=data):
                self.sample += len(data)
            case Commit():
                self.inputs.append(turn.AudioCommitted(0, self.sample))
            case Clear():
                self.inputs.append(turn.AudioCleared())
            case Request(request=request):
                self.inputs.append(turn.ReplyRequested(request))
            case Cancel():
                self.inputs.append(turn.ReplyCancelled())
            case AddItem(item=item, after=after):
                conversation.add(item, after)
            case RemoveItem(id=name) if name in conversation:
                conversation.remove(name)
            case Truncate(id=name, ms=ms) if name in conversation:
                conversation.truncate(name, ms)
            case Configure():
                self.turn_config = state.settings.turn_config(TURN)
                self.reply_settings = state.settings.reply

    # What happens in a session

    def look(self) -> None:
        """Look at the next of what the client asked for."""
        if self.inputs:
            self._take(self.inputs.popleft())

    def hear(self, windows: int, voice: float) -> None:
        for _ in range(windows):
            self.sample += WINDOW
            self._take(turn.Window(self.sample, voice))

    def score(self, probability: float) -> None:
        if isinstance(self.state, turn.Pausing):
            self._take(turn.AudioScored(self.state.number, probability))
        if isinstance(self.state, turn.Pausing):
            self._take(turn.TextScored(self.state.number, probability))

    def transcribe(self, text: str, *, fails: bool = False) -> None:
        """The oldest turn is transcribed; see UserTurn.run and Exchange.run_turn."""
        self.turns = [entry for entry in self.turns if not entry[2].cancelled]
        if not self.turns:
            return
        exchange, user, _ = self.turns.pop(0)
        if fails:
            self.events.append(Failed("transcribe", "no memory", exchange.number))
            text = ""
        user.transcript = text
        if not text:
            self._take(turn.NothingSaid(exchange.number))
        item = exchange.user_item
        if item is None or item not in self.conversation:
            return
        if text:
            self.conversation.replace(UserItem(item, text, spoken=True))
        else:
            self.conversation.remove(item)

    def answer(self) -> None:
        """See Session._answer: a reply that was asked for begins once what was said is transcribed."""
        self.turns = [entry for entry in self.turns if not entry[2].cancelled]
        exchange = self.exchange
        if exchange is None or exchange.request is None or exchange.reply is not None or self.turns:
            return
        if isinstance(exchange.reply_task, Task) and not exchange.reply_task.cancelled:
            settings = exchange.request.settings or self.reply_settings
            exchange.reply = Reply(exchange.number, settings, self.events.append)
            exchange.release()

    @property
    def reply(self) -> Reply | None:
        """The reply that is being made."""
        reply = self.exchange.reply if self.exchange else None
        busy = isinstance(self.state, turn.Pausing | turn.Replying)
        return reply if isinstance(reply, Reply) and busy and not reply.stopped else None

    def play(self, ms: int, words: str, *, heard: bool) -> None:
        """Audio was given to the sink; see Reply._play. Half of it stays behind, as in a resampler."""
        reply, exchange = self.reply, self.exchange
        if reply is None or exchange is None or reply.released_ns is None or not reply.settings.spoken:
            return
        if not reply.text:
            return  # its words come first
        self.events.append(ReplyAudio(reply.number, bytes(ms * 4)))
        reply.given_ms += ms
        reply.spoken += (Spoken(words, reply.given_ms),)
        if heard:
            reply.heard_ms = reply.given_ms
            exchange.grow(reply)
            self._take(turn.ReplyHeard(reply.number))

    def fail(self, stage: str) -> None:
        reply = self.reply
        if reply is not None:
            self.events.append(Failed(stage, "no memory", reply.number))

    def call(self, name: str) -> None:
        reply = self.reply
        if reply is not None:
            reply.calls.append(Called(f"call_{reply.number}_{len(reply.calls)}", name, "{}"))

    def say(self, text: str) -> None:
        if self.reply is not None:
            self.reply.say(text)

    def finish(self, dropped: int, reason: str = "end") -> None:
        """The reply has sounded to its end."""
        reply = self.reply
        if reply is not None and reply.released_ns is not None:
            reply.heard_ms, reply.dropped, reply.reason = reply.given_ms, dropped, reason
            self._take(turn.ReplyFinished(reply.number))

    # As the session does

    def _take(self, event: turn.Event) -> None:
        before = self.state
        self.state, commands = step(before, event, self.turn_config)
        if isinstance(event, turn.ReplyFinished) and self.state is not before and self.exchange:
            self.exchange.finish(interrupted=False)
        self._begin_speech()
        for command in commands:
            self._execute(command)
        if self._speech_item and _speech_start(self.state) is None:
            end = 0 if isinstance(before, turn.Listening) else before.voice_end
            self.events.append(SpeechStopped(end or 0, self._speech_item))
            self._speech_item = ""

    def _begin_speech(self) -> None:
        start = _speech_start(self.state)
        if start is not None and not self._speech_item:
            self._speech_item = self.conversation.new_id()
            self.events.append(SpeechStarted(start, self._speech_item))

    def _execute(self, command: turn.Command) -> None:
        exchange = self.exchange
        match command:
            case turn.Speculate():
                self._speculate(command)
            case turn.Respond(number=number, request=request):
                self._respond(number, request)
            case turn.Refuse(request=request):
                self.events.append(ReplyRefused(request))
            case turn.Discard() if exchange:
                exchange.discard()
            case turn.EndTurn() if exchange:
                exchange.end_turn()
                self._speech_item = ""
            case turn.Release() if exchange:
                exchange.release()
            case turn.Stop() if exchange:
                exchange.cancel(turn_too=False)
                exchange.finish(interrupted=True)
            case turn.Reopen() if exchange:
                exchange.cancel()
                exchange.finish(interrupted=True, reopened=True)

    def _speculate(self, command: turn.Speculate) -> None:
        user, task = UserTurn(), Task()
        exchange = Exchange(command.number, self.conversation, self.events.append, user)
        exchange.turn_item = self._speech_item or self.conversation.new_id()
        exchange.voice_end_sample, exchange.voice_end_ns = command.voice_end_sample, 0
        exchange.turn_task = task
        self.turns.append((exchange, user, task))
        if self.turn_config.create_response or self.turn_config.detection == "semantic":
            exchange.reply = Reply(command.number, self.reply_settings, self.events.append)
        self.exchange = exchange

    def _respond(self, number: int, request: ReplyRequest) -> None:
        conversation = self.conversation if request.in_conversation else self.conversation.aside()
        self.exchange = Exchange(number, conversation, self.events.append, request=request)
        self.exchange.reply_task = Task()

    def tell(self, state: State) -> protocol.Outcome:
        """Tell the client of the oldest event."""
        return protocol.tell(state, self.events.popleft())


def _speech_start(state: turn.State) -> int | None:
    if isinstance(state, turn.Speaking | turn.Pausing):
        return state.start_sample
    over_reply = isinstance(state, turn.Replying) and state.voice_end is not None
    return state.voice_start if over_reply else None
