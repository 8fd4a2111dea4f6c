"""One conversation: a TaskGroup that listens, takes turns and speaks, from one source to one sink."""

import asyncio
from collections import deque
from collections.abc import AsyncIterable, Callable, Sequence
from dataclasses import dataclass, replace

from asr.stream import StreamConfig
from assistant.runtime import Channel, Clock, Recorder, Tracer
from assistant.session import turn
from assistant.session.acts import Acts
from assistant.session.announcement import Announced, Announcement
from assistant.session.backchannels import is_backchannel
from assistant.session.completeness import complete_phrases
from assistant.session.context import Context, one_line
from assistant.session.conversation import Conversation, UserItem, messages
from assistant.session.device import SessionDevice
from assistant.session.events import (
    Failed,
    Listener,
    ReplyRefused,
    SessionEvent,
    SpeechStarted,
    SpeechStopped,
)
from assistant.session.exchange import Exchange
from assistant.session.listening import Listening
from assistant.session.pipeline import EVENTS, TRANSCRIPTS, Transcript
from assistant.session.reply import Reply
from assistant.session.request import ReplyRequest, ReplySettings
from assistant.session.ring import Frame
from assistant.session.session_skills import SessionSkills
from assistant.session.sink import Sink
from assistant.session.stages import Plan, Stages
from assistant.session.turn import TurnConfig
from assistant.session.turn_table import Decide, step
from assistant.session.user_turn import UserTurn
from llm.decode.engine import CudaBroken
from llm.text.chat import Message

_ANNOUNCEMENTS = 16  # that wait for a silence; older ones are dropped
_BEHIND = 50  # frames that may wait for the detector: what a client sends faster than it is heard waits there


@dataclass(frozen=True)
class SessionConfig:
    """What a conversation is told at its start, and the delays of its parts."""

    system_prompt: str
    turn: TurnConfig = TurnConfig()
    asr: StreamConfig = StreamConfig()
    live: bool = True
    """Frames that nobody has time for are dropped, as a microphone does not wait; a client can."""
    item_prefix: str = "item"
    """Of the ids of what is said; see Conversation."""


@dataclass(frozen=True)
class Typed:
    """A message that the user typed: answered at once, or, while the user speaks, with what they say."""

    text: str


Input = Frame | Typed | Announcement | turn.External


class Session:
    """State of one conversation; `run` it once."""

    def __init__(
        self,
        stages: Stages,
        config: SessionConfig,
        clock: Clock,
        recorder: Recorder,
        name: str = "",
        is_echo: Callable[[str], bool] = lambda _: False,
        decide: Decide = step,
    ) -> None:
        """`name` stands in the session's spans; a transcript that `is_echo` is dropped with its turn.

        `decide` takes turns, by default as `turn_table` says.
        """
        self.conversation = Conversation(config.system_prompt, self._emit, config.item_prefix)
        self.turn_config = config.turn
        self._decide = decide
        self._reply_settings = ReplySettings()
        self._live, self._asr = config.live, config.asr
        self._commands = complete_phrases(config.asr.phrases)
        self._stages = stages
        self._tracer = Tracer(clock, recorder, name)
        self._listeners: list[Listener] = []
        self._over = False
        self._state: turn.State = turn.Listening()
        self._speech_item = ""  # what the user now says will be called
        self._exchange: Exchange | None = None
        self._held: Exchange | None = None  # whose reply is held: that, or the one before it
        self._turn_tasks: set[asyncio.Task[None]] = set()  # some outlive their reply
        self._acting = asyncio.Lock()
        self._announcements: deque[str] = deque(maxlen=_ANNOUNCEMENTS)
        self._events: Channel[turn.Event] = Channel(EVENTS, self._tracer)
        self._skills = SessionSkills(
            stages.skills,
            SessionDevice(lambda: self._context.sink, lambda: self.reply_settings, self._configure),
            self._tracer,
            self._emit,
            lambda: self.reply_settings,
            self.conversation.messages,
        )
        self._context = Context(
            stages,
            None,
            self._tracer,
            self._events.put,
            self._emit,
            is_echo,
            self._is_backchannel,
            self.sample_at,
        )
        self._listening = (
            Listening(
                self._context,
                stages.hearing,
                config.asr,
                self.conversation.messages,
                lambda: self._skills.with_calls(self.reply_settings),
                self._skills.expected,
            )
            if stages.hearing
            else None
        )

    @property
    def idle(self) -> bool:
        """Nobody speaks, and everything that came in has been looked at and transcribed."""
        waiting = len(self._events) + (len(self._listening.frames) if self._listening else 0)
        transcribed = all(task.done() for task in self._turn_tasks)
        return isinstance(self._state, turn.Listening) and not waiting and transcribed

    def sample_at(self, time_ns: int) -> int:
        """The sample of the user's audio that is recorded at `time_ns`; it may be still to come."""
        return self._listening.ring.sample_at(time_ns) if self._listening else 0

    @property
    def dropped_frames(self) -> int:
        """Frames lost because listening fell behind."""
        return self._listening.frames.dropped if self._listening else 0

    @property
    def reply_settings(self) -> ReplySettings:
        """Of replies from now on."""
        return self._reply_settings

    @reply_settings.setter
    def reply_settings(self, settings: ReplySettings) -> None:
        self._reply_settings = settings
        self._skills.configured()

    @property
    def pre_roll_ms(self) -> int:
        """Audio that is read before the first that was taken for voice."""
        return self._listening.pre_roll_ms if self._listening else 0

    @pre_roll_ms.setter
    def pre_roll_ms(self, value: int | None) -> None:
        """None is what the configuration says."""
        if self._listening:
            self._listening.pre_roll_ms = self._asr.pre_roll_ms if value is None else value

    def read_instructions(self) -> None:
        """Let the language model read the conversation's instructions before there is a turn."""
        if self._listening:
            self._listening.read_history()

    def subscribe(self, items: int = 0) -> Listener:
        """The events of this session from now on; so many `items` may be taken out at once."""
        listener = Listener(items)
        self.attach(listener)
        return listener

    def attach(self, listener: Listener) -> None:
        """Tell `listener` the events of this session from now on."""
        if self._over:
            listener.close()
        self._listeners.append(listener)

    def _emit(self, event: SessionEvent) -> None:
        for listener in self._listeners:
            listener.push(event)
        self._listeners = [listener for listener in self._listeners if not listener.lagged]

    async def run(self, source: AsyncIterable[Input], sink: Sink | None = None) -> None:
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
                beside = group.create_task(self._skills.run(self._announce), name="assist")
                turns = group.create_task(self._take_turns(group), name="turn")
                turns.add_done_callback(lambda _: beside.cancel())
        finally:
            self._over = True
            for listener in self._listeners:
                listener.close()

    async def _deliver(self, source: AsyncIterable[Input]) -> None:
        frames = self._listening.frames if self._listening else None
        async for item in source:
            if isinstance(item, Frame):
                if frames is not None:
                    await frames.put(item)
                    if not self._live and len(frames) > _BEHIND:
                        await frames.drained()
                continue
            if frames is not None:
                await frames.drained()  # it comes behind the audio that came before it
            if isinstance(item, turn.AudioCommitted) and frames is None:
                continue  # nobody listens
            if isinstance(item, Announcement):
                await self._announce(item.text)
            elif isinstance(item, Typed):
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

    def _configure(self, settings: ReplySettings) -> None:
        self.reply_settings = settings

    async def _take_turns(self, group: asyncio.TaskGroup) -> None:
        try:
            await self._follow_events(group)
        finally:  # however it ends: silence, and what was heard
            for exchange in (self._held, self._exchange):
                if exchange:
                    exchange.cancel(turn_too=exchange.user_item is None)
                    exchange.finish(interrupted=True)

    async def _follow_events(self, group: asyncio.TaskGroup) -> None:
        async for event in self._events:
            if isinstance(event, turn.ReplyRequested) and event.request.say is not None:
                self._announcements.append(event.request.say)
            else:
                self._follow(event, group)
            if self._announcements and self._nobody_speaks():
                said = ReplyRequest(say=self._announcements.popleft())
                self._follow(turn.ReplyRequested(said), group)

    def _nobody_speaks(self) -> bool:
        return isinstance(self._state, turn.Listening) and self._state.voice_start is None

    def _follow(self, event: turn.Event, group: asyncio.TaskGroup) -> None:
        before = self._state
        self._state, commands = self._decide(before, event, self.turn_config)
        if isinstance(event, turn.ReplyFinished) and self._state is not before:
            self._finish(event.number)
        self._begin_speech()
        for command in commands:
            self._execute(command, group)
        self._end_speech(before)
        if self._listening and isinstance(event, turn.Window):
            self._listening.follow(self._state, event)

    def _begin_speech(self) -> None:
        start = _speech_start(self._state)
        if start is not None and not self._speech_item:
            self._speech_item = self.conversation.new_id()
            self._emit(SpeechStarted(start, self._speech_item))

    def _end_speech(self, before: turn.State) -> None:
        """Of speech that came to nothing: a turn's end is told by its exchange."""
        if self._speech_item and _speech_start(self._state) is None:
            end = 0 if isinstance(before, turn.Listening) else before.voice_end
            self._emit(SpeechStopped(end or 0, self._speech_item))
            self._speech_item = ""

    def _execute(self, command: turn.Command, group: asyncio.TaskGroup) -> None:
        match command:
            case turn.Speculate():
                self._exchange = self._speculate(command, group)
            case turn.Respond(number=number, request=request):
                self._exchange = self._respond(number, request, group)
            case turn.Refuse(request=request):
                self._emit(ReplyRefused(request))
            case _ if (exchange := self._exchange_of(command.number)) is not None:
                _carry_out(command, exchange)
                if isinstance(command, turn.EndTurn):
                    self._speech_item = ""
                if isinstance(command, turn.Continue):
                    self._exchange = exchange
                if isinstance(command, turn.Hold):
                    self._held = exchange
                elif exchange is self._held:
                    self._held = None

    def _exchange_of(self, number: int) -> Exchange | None:
        known = (exchange for exchange in (self._exchange, self._held) if exchange is not None)
        return next((exchange for exchange in known if exchange.number == number), None)

    def _finish(self, number: int) -> None:
        if (exchange := self._exchange_of(number)) is not None:
            exchange.finish(interrupted=False)

    def _is_backchannel(self, transcript: str) -> bool:
        """Whether a held reply may go on; "yes" over the end of a question is an answer."""
        held = self._held.reply if self._held else None
        return is_backchannel(transcript) and not (held is not None and held.asks)

    def _speculate(self, command: turn.Speculate, group: asyncio.TaskGroup) -> Exchange:
        listening, hearing = self._listening, self._stages.hearing
        assert listening and hearing, "a turn that was heard"
        start, number = command.start_sample, command.number
        history, settings = self.conversation.messages(), self._skills.with_calls(self.reply_settings)
        language = self._stages.language
        user = UserTurn(
            number,
            self._context,
            hearing,
            lambda end: listening.ring.audio(listening.begin(start), end),
            self._commands,
            self._skills.plan_spoken,
            (lambda text: language.closes(history, text, settings.options)) if language.tells_ends else None,
        )
        exchange = Exchange(number, self.conversation, self._emit, user, settle=self._settle)
        exchange.turn_item = self._speech_item or self.conversation.new_id()
        exchange.voice_end_sample = command.voice_end_sample
        exchange.voice_end_ns = listening.ring.recorded_ns(command.voice_end_sample)
        exchange.turn_task = group.create_task(
            exchange.run_turn(user, listening.utterance(start)), name=f"turn-{number}"
        )
        self._turn_tasks = {task for task in self._turn_tasks if not task.done()} | {exchange.turn_task}
        if self._held and self._held.reply:
            self._held.grow(self._held.reply)  # a device goes on for a moment after it was told to pause
        if self.turn_config.create_response:
            exchange.forgotten = self.conversation.forgotten
            acts = Acts(self._context, number, group, self._acting)
            exchange.reply = Reply(
                number,
                self._context,
                history,
                user.transcripts,
                exchange.grow,
                settings,
                acts,
                self._skills.plan_call,
            )
            exchange.reply_task = group.create_task(self._run_reply(exchange.reply), name=f"reply-{number}")
        return exchange

    def _respond(self, number: int, request: ReplyRequest, group: asyncio.TaskGroup) -> Exchange:
        conversation = self.conversation if request.in_conversation else self.conversation.aside()
        exchange = Exchange(number, conversation, self._emit, request=request, settle=self._settle)
        acts = Acts(self._context, number, group, self._acting)
        exchange.reply_task = group.create_task(self._answer(exchange, request, acts), name=f"reply-{number}")
        return exchange

    async def _answer(self, exchange: Exchange, request: ReplyRequest, acts: Acts) -> None:
        """Answer what is asked, or the conversation as it stands once the turns before are transcribed."""
        settings = request.settings or self.reply_settings
        skilled = request.instructions is None and request.items is None and self._skills.are_asked(settings)
        settings = self._skills.with_calls(settings) if skilled else settings
        if self._turn_tasks:
            await asyncio.wait(self._turn_tasks)
        exchange.forgotten = exchange.conversation.forgotten
        history, text = self._asked(request)
        plan: Plan | None = None
        if request.say is not None:
            text, plan = None, Announced(request.say)
        elif text is not None and skilled:
            plan = self._skills.plan(text, history)
        exchange.transcript = text or ""
        transcripts = Channel(TRANSCRIPTS, self._tracer.of_reply(exchange.number))
        number, grow = exchange.number, exchange.grow
        exchange.reply = Reply(
            number, self._context, history, transcripts, grow, settings, acts, self._skills.plan_call
        )
        exchange.release()
        transcripts.put_now(None if text is None and plan is None else Transcript(text or "", plan))
        transcripts.close()
        await self._run_reply(exchange.reply)

    def _settle(self, reply: Reply, reopened: bool) -> None:
        if reopened:
            reply.acts.take_back()
        elif reply.plan is None:
            self._skills.forget()

    async def _announce(self, text: str) -> None:
        await self._events.put(turn.ReplyRequested(ReplyRequest(say=text)))

    def _asked(self, request: ReplyRequest) -> tuple[Sequence[Message], str | None]:
        """What came before, and what the user said last; None if they did not speak last."""
        instructions = self.conversation.instructions
        asked = messages(
            instructions if request.instructions is None else request.instructions,
            self.conversation.items if request.items is None else request.items,
        )
        return (asked[:-1], asked[-1].content) if asked[-1].role == "user" else (asked, None)

    async def _run_reply(self, reply: Reply) -> None:
        failure: BaseException | None = None
        try:
            await reply.run()
        except* CudaBroken:
            raise
        except* Exception as group:  # noqa: BLE001  # a model may raise anything; the session goes on
            failure = group
        if reply.stopped:
            return  # it failed while it was cancelled, and asyncio lets the failure win
        if failure is not None:
            self._emit(Failed("reply", one_line(failure), reply.number))
            await reply.released()
        await self._events.put(turn.ReplyFinished(reply.number, self.sample_at(self._tracer.clock.now_ns())))


def _speech_start(state: turn.State) -> int | None:
    """Where what the user now says began; None while they are silent."""
    if isinstance(state, turn.Speaking | turn.Pausing):
        return state.start_sample
    over_reply = isinstance(state, turn.Replying) and state.voice_end is not None
    return state.voice_start if over_reply else None


def _carry_out(command: turn.Command, exchange: Exchange) -> None:
    match command:
        case turn.Score(start_sample=start, end_sample=end) if exchange.turn:
            exchange.turn.score(start, end)
        case turn.Discard():
            exchange.discard()
        case turn.EndTurn():
            exchange.end_turn()
        case turn.Release():
            exchange.release()
        case turn.Stop():
            exchange.cancel(turn_too=False)  # what was said is said
            exchange.finish(interrupted=True)
        case turn.Reopen():
            exchange.cancel()
            exchange.finish(interrupted=True, reopened=True)
        case turn.Hold():
            exchange.hold()
        case turn.Continue():
            exchange.go_on()
        case turn.Duck() if exchange.reply:
            exchange.reply.duck()
        case turn.Unduck() if exchange.reply:
            exchange.reply.unduck()
