"""One conversation: a TaskGroup that listens, takes turns and speaks, from one source to one sink."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

from asr.stream import StreamConfig
from assistant.runtime.clock import Clock
from assistant.runtime.graph import Channel
from assistant.runtime.spans import Recorder, Tracer
from assistant.session import turn
from assistant.session.context import Context, one_line
from assistant.session.conversation import AssistantItem, Conversation, UserItem
from assistant.session.events import (
    Failed,
    Listener,
    ReplyDiscarded,
    ReplyDone,
    ReplyStarted,
    SessionEvent,
    SpeechStarted,
    SpeechStopped,
)
from assistant.session.listening import Listening
from assistant.session.pipeline import EVENTS, TRANSCRIPTS, Transcript
from assistant.session.reply import Reply
from assistant.session.ring import Frame
from assistant.session.sink import Sink
from assistant.session.stages import Stages, Utterance
from assistant.session.turn import TurnConfig
from assistant.session.turn_table import step
from assistant.session.user_turn import UserTurn
from llm.decode.engine import CudaBroken


@dataclass(frozen=True)
class SessionConfig:
    """What a conversation is told at its start, and the delays of its parts."""

    system_prompt: str
    turn: TurnConfig = TurnConfig()
    asr: StreamConfig = StreamConfig()


@dataclass(frozen=True)
class Typed:
    """A message that the user typed: answered at once, or, while the user speaks, with what they say."""

    text: str


Input = Frame | Typed | turn.External


@dataclass
class _Exchange:
    """A turn, the reply to it, and their items and tasks, as far as there are any yet."""

    number: int
    turn: UserTurn | None = None
    reply: Reply | None = None
    turn_task: asyncio.Task[None] | None = None
    reply_task: asyncio.Task[None] | None = None
    user_item: str | None = None
    reply_item: str | None = None
    voice_end_sample: int = 0
    voice_end_ns: int | None = None  # None if nobody spoke
    transcript: str = ""


class Session:
    """State of one conversation; `run` it once."""

    def __init__(
        self, stages: Stages, config: SessionConfig, clock: Clock, recorder: Recorder, name: str = ""
    ) -> None:
        """`name` stands in the session's spans."""
        self.conversation = Conversation(config.system_prompt, self._emit)
        self.turn_config = config.turn
        self._stages, self._config, self._clock = stages, config, clock
        self._tracer = Tracer(clock, recorder, name)
        self._listeners: list[Listener] = []
        self._over = False
        self._state: turn.State = turn.Listening()
        self._exchange: _Exchange | None = None
        self._last_turn: asyncio.Task[None] | None = None  # it may end after its reply was stopped
        self._events: Channel[turn.Event] = Channel(EVENTS, self._tracer)
        self._context = Context(stages, None, self._tracer, self._events.put, self._emit)
        self._listening = (
            Listening(self._context, stages.hearing, config.asr, self.conversation.messages)
            if stages.hearing
            else None
        )

    @property
    def idle(self) -> bool:
        """Nobody speaks, and everything that came in has been looked at."""
        waiting = len(self._events) + (len(self._listening.frames) if self._listening else 0)
        return isinstance(self._state, turn.Listening) and not waiting

    @property
    def dropped_frames(self) -> int:
        """Frames lost because listening fell behind."""
        return self._listening.frames.dropped if self._listening else 0

    def subscribe(self) -> Listener:
        """The events of this session from now on."""
        listener = Listener()
        if self._over:
            listener.close()
        self._listeners.append(listener)
        return listener

    def _emit(self, event: SessionEvent) -> None:
        for listener in self._listeners:
            listener.push(event)

    async def run(self, source: AsyncIterator[Input], sink: Sink | None = None) -> None:
        """Converse until `source` ends; a reply still playing then is cut off. Without a sink, reply in text.

        A model's error is an event (Failed), but for one after which no reply will ever come: that ends it,
        in an exception group.
        """
        self._context = replace(self._context, sink=sink)
        try:
            async with asyncio.TaskGroup() as group:
                if self._listening:
                    group.create_task(self._listening.run(), name="listening")
                group.create_task(self._deliver(source), name="source")
                group.create_task(self._take_turns(group), name="turn")
        finally:
            self._over = True
            for listener in self._listeners:
                listener.close()

    async def _deliver(self, source: AsyncIterator[Input]) -> None:
        frames = self._listening.frames if self._listening else None
        async for item in source:
            if isinstance(item, Frame):
                if frames is not None:
                    await frames.put(item)
                continue
            if frames is not None:
                await frames.drained()  # it comes behind the audio that came before it
            if isinstance(item, Typed):
                await self._events.put(turn.ReplyCancelled())
                await self._events.drained()
                self.conversation.add(UserItem(self.conversation.new_id(), item.text))
                await self._events.put(turn.ReplyRequested())
            else:
                await self._events.put(item)
        if frames is not None:
            frames.close()
            await frames.drained()
        self._events.close()

    async def _take_turns(self, group: asyncio.TaskGroup) -> None:
        async for event in self._events:
            before = self._state
            self._state, commands = step(before, event, self.turn_config)
            if isinstance(event, turn.ReplyFinished) and self._state is not before:
                self._finish(interrupted=False)
            if isinstance(self._state, turn.Speaking) and not isinstance(
                before, turn.Speaking | turn.Pausing
            ):
                self._emit(SpeechStarted(self._state.start_sample))
            for command in commands:
                self._execute(command, group)
            if self._listening and isinstance(event, turn.Window):
                self._listening.follow(self._state, event)
        self._cancel()
        self._finish(interrupted=True)

    def _execute(self, command: turn.Command, group: asyncio.TaskGroup) -> None:
        match command:
            case turn.Speculate():
                self._speculate(command, group)
            case turn.Score(start_sample=start) if self._exchange and self._exchange.turn:
                self._exchange.turn.score(start)
            case turn.Discard():
                self._discard()
            case turn.EndTurn():
                self._end_turn()
            case turn.Respond(number=number):
                self._exchange = _Exchange(number)
                answer = self._respond(self._exchange)
                self._exchange.reply_task = group.create_task(answer, name=f"reply-{number}")
            case turn.Release():
                self._release()
            case turn.Stop():
                self._cancel(turn_too=False)  # what was said is said
                self._finish(interrupted=True)
            case turn.Reopen():
                self._cancel()
                self._finish(interrupted=True, reopened=True)

    def _speculate(self, command: turn.Speculate, group: asyncio.TaskGroup) -> None:
        listening, hearing = self._listening, self._stages.hearing
        assert listening and hearing, "a turn that was heard"
        start, number = command.start_sample, command.number
        user = UserTurn(number, self._context, hearing, lambda: listening.ring.audio(listening.begin(start)))
        exchange = _Exchange(number, user)
        exchange.voice_end_sample = command.voice_end_sample
        exchange.voice_end_ns = listening.ring.recorded_ns(command.voice_end_sample)
        self._exchange = exchange
        exchange.turn_task = self._last_turn = group.create_task(
            self._run_turn(exchange, user, listening.utterance(start)), name=f"turn-{number}"
        )
        if self.turn_config.create_response or self.turn_config.detection == "semantic":
            exchange.reply = Reply(
                number, self._context, self.conversation.messages(), user.transcripts, self._grow
            )
            exchange.reply_task = group.create_task(self._run_reply(exchange.reply), name=f"reply-{number}")

    async def _run_turn(self, exchange: _Exchange, user: UserTurn, utterance: Utterance) -> None:
        await user.run(utterance)
        item = exchange.user_item
        if item is None or item not in self.conversation:
            return
        if user.transcript:  # it may have come after the end of the turn
            self.conversation.replace(UserItem(item, user.transcript))
        else:
            self.conversation.remove(item)

    async def _respond(self, exchange: _Exchange) -> None:
        """Answer the conversation as it stands once the turn before is transcribed."""
        if self._last_turn is not None:
            await asyncio.wait([self._last_turn])
        *history, last = self.conversation.messages()
        transcripts = Channel(TRANSCRIPTS, self._tracer.of_reply(exchange.number))
        exchange.reply = Reply(exchange.number, self._context, history, transcripts, self._grow)
        self._release()
        if last.role != "user":
            self._emit(Failed("assemble", "there is nothing to answer", exchange.number))
            await self._events.put(turn.ReplyFinished(exchange.number))
            return
        exchange.transcript = last.content
        transcripts.put_now(Transcript(last.content))
        transcripts.close()
        await self._run_reply(exchange.reply)

    async def _run_reply(self, reply: Reply) -> None:
        try:
            await reply.run()
        except* CudaBroken:
            raise
        except* Exception as group:  # noqa: BLE001  # a model may raise anything; the session goes on
            self._emit(Failed("reply", one_line(group), reply.number))
            await self._events.put(turn.TextScored(reply.number, 1.0))  # nothing to wait for
            await reply.released()
        await self._events.put(turn.ReplyFinished(reply.number))

    def _end_turn(self) -> None:
        exchange = self._exchange
        assert exchange and exchange.turn, "a turn that was begun"
        exchange.turn.end()
        exchange.user_item = self.conversation.new_id()
        text = exchange.turn.transcript
        self._emit(SpeechStopped(exchange.voice_end_sample))
        self.conversation.add(UserItem(exchange.user_item, text or "", complete=text is not None))

    def _release(self) -> None:
        exchange = self._exchange
        if exchange is None or exchange.reply is None or exchange.reply.released_ns is not None:
            return  # of a reply to be made yet: it is released as soon as it is
        exchange.reply_item = self.conversation.new_id()
        self.conversation.add(AssistantItem(exchange.reply_item))
        self._emit(ReplyStarted(exchange.number, exchange.reply_item))
        exchange.reply.release()

    def _discard(self) -> None:
        """Drop the reply, and the turn with it unless that has ended."""
        self._cancel(turn_too=self._exchange is not None and self._exchange.user_item is None)
        exchange = self._exchange
        if exchange and exchange.reply_item is not None:  # nothing was said, after all
            self._remove(exchange.reply_item)
            exchange.reply_item = None
            self._emit(ReplyDiscarded(exchange.number))

    def _remove(self, item: str) -> None:
        if item in self.conversation:  # a client may have deleted it
            self.conversation.remove(item)

    def _cancel(self, *, turn_too: bool = True) -> None:
        """Drop the present reply: silence first, then its tasks."""
        exchange = self._exchange
        if exchange is None:
            return
        if exchange.reply and exchange.reply.released_ns is not None and exchange.reply.playback:
            exchange.reply.playback.stop()
        for task in (exchange.reply_task, exchange.turn_task if turn_too else None):
            if task is not None:
                task.cancel()

    def _grow(self, reply: Reply) -> None:
        """More of the present reply was heard: so much of it is in the conversation."""
        name = self._exchange.reply_item if self._exchange and self._exchange.reply is reply else None
        if name is not None and name in self.conversation:
            self.conversation.replace(AssistantItem(name, reply.spoken, reply.heard_ms))

    def _finish(self, *, interrupted: bool, reopened: bool = False) -> None:
        """Close the items of the released reply; of one that is reopened nothing remains."""
        exchange = self._exchange
        if exchange is None or exchange.reply is None or exchange.reply_item is None:
            return
        self._exchange, reply = None, exchange.reply
        item = AssistantItem(exchange.reply_item, reply.spoken, reply.heard_ms, complete=not interrupted)
        if reopened or not item.text:
            self._remove(item.id)
        elif item.id in self.conversation:
            self.conversation.replace(item)
        if reopened and exchange.user_item is not None:
            self._remove(exchange.user_item)
        self.conversation.forget(reply.dropped)
        self._emit(_done(exchange, reply, "" if reopened else item.text, interrupted, reopened))


def _done(exchange: _Exchange, reply: Reply, heard: str, interrupted: bool, reopened: bool) -> ReplyDone:
    user, released_ns = exchange.turn, reply.released_ns
    assert released_ns is not None, "a reply that was released"
    transcribing_ns = user.utterances.first_ns.get(Utterance) if user else None  # or it has not begun yet
    return ReplyDone(
        number=exchange.number,
        transcript=(user.transcript or "") if user else exchange.transcript,
        reply=reply.text.strip(),
        heard=heard,
        voice_end_ns=released_ns if exchange.voice_end_ns is None else exchange.voice_end_ns,
        decided_ns=released_ns,
        boundaries=reply.boundaries(transcribing_ns),
        interrupted=interrupted,
        reopened=reopened,
        underruns=reply.playback.underruns if reply.playback else 0,
    )
