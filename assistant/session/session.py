"""One conversation: a TaskGroup that listens, takes turns and speaks, from one source to one sink."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from asr.stabilize import Partial
from asr.stream import StreamConfig
from assistant.runtime.clock import Clock
from assistant.runtime.graph import Channel
from assistant.runtime.spans import Recorder, Span, Value
from assistant.session import turn
from assistant.session.parts import Boundaries
from assistant.session.pipeline import GRAPH
from assistant.session.playback import Sink
from assistant.session.reply import Reply, Utterance
from assistant.session.ring import Ear, Frame
from assistant.session.stages import Stages
from assistant.session.turn import TurnConfig
from llm.decode.engine import EngineOutOfMemory
from llm.text.chat import Message


@dataclass(frozen=True)
class SessionConfig:
    """What a conversation is told at its start, and the delays of its parts."""

    system_prompt: str
    turn: TurnConfig = TurnConfig()
    asr: StreamConfig = StreamConfig()


@dataclass(frozen=True)
class TurnRecord:
    """A turn that was committed. `reply` is what was generated, `heard` what of it was played."""

    number: int
    transcript: str
    reply: str
    heard: str
    voice_end_ns: int  # the VAD's estimate
    decided_ns: int
    boundaries: Boundaries | None
    interrupted: bool
    reopened: bool  # the user went on before anything was heard: the next turn contains this one
    underruns: int


Observed = Partial | TurnRecord


class Session:
    """State of one conversation; `run` it once."""

    def __init__(
        self,
        stages: Stages,
        config: SessionConfig,
        clock: Clock,
        recorder: Recorder,
        observe: Callable[[Observed], None] = lambda _: None,
    ) -> None:
        self.history = [Message("system", config.system_prompt)]
        self._stages, self._config, self._clock, self._recorder = stages, config, clock, recorder
        self._observe = observe
        self._ear = Ear(config.asr.max_turn_s)
        self._state: turn.State = turn.Listening()
        self._reply: Reply | None = None
        self._reply_task: asyncio.Task[None] | None = None
        self._voice_end_sample = 0
        self._partial_sample = 0
        self._turn_sample: int | None = None  # where the utterance begins that the reader has begun
        self._read_sample = 0  # up to which it has heard all, at the least
        self._stable = ""  # the words that were read ahead
        self._partial_task: asyncio.Task[None] | None = None
        self._frames: Channel[Frame] = Channel(GRAPH.edge("frames"), clock, recorder)
        self._events: Channel[turn.Event] = Channel(GRAPH.edge("events"), clock, recorder)

    @property
    def idle(self) -> bool:
        """Nobody speaks, and everything that came in has been looked at."""
        return isinstance(self._state, turn.Listening) and not len(self._frames) and not len(self._events)

    @property
    def dropped_frames(self) -> int:
        """Frames lost because listening fell behind."""
        return self._frames.dropped

    async def run(self, source: AsyncIterator[Frame], sink: Sink) -> None:
        """Converse until `source` ends; a reply still playing then is cut off.

        An error of a model ends it, in an exception group, but for those that concern one reply only.
        """
        self._stages.vad.reset()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._deliver(source), name="source")
            group.create_task(self._listen(), name="listen")
            group.create_task(self._take_turns(group, sink), name="turn")

    async def _deliver(self, source: AsyncIterator[Frame]) -> None:
        async for frame in source:
            await self._frames.put(frame)
        await self._frames.close()

    async def _listen(self) -> None:
        vad, worker = self._stages.vad, self._stages.vad_worker
        async for frame in self._frames:
            self._ear.hear(frame)
            for end_sample, window in self._ear.windows():
                voice = await worker.run(vad.probability, window)
                await self._events.put(turn.Window(end_sample, voice))
        await self._events.close()

    async def _take_turns(self, group: asyncio.TaskGroup, sink: Sink) -> None:
        async for event in self._events:
            before = self._state
            self._state, commands = turn.step(self._state, event, self._config.turn)
            if isinstance(event, turn.ReplyFinished) and self._state is not before:
                self._finish(self._clock.now_ns(), interrupted=False)
            for command in commands:
                self._execute(command, group, sink)
            if isinstance(self._state, turn.Speaking) and isinstance(event, turn.Window):
                self._hypothesize(self._state, event, group)
        now_ns = self._clock.now_ns()
        self._cancel()
        self._finish(now_ns, interrupted=True)

    def _execute(self, command: turn.Command, group: asyncio.TaskGroup, sink: Sink) -> None:
        match command:
            case turn.Prepare():
                self._prepare(command, group, sink)
            case turn.Score(reply=number) if self._reply:
                group.create_task(self._score(command, self._reply), name=f"score-{number}")
            case turn.Abandon():
                self._cancel()
            case turn.Commit() if self._reply:
                self._reply.commit()
            case turn.Interrupt(heard=heard):
                now_ns = self._clock.now_ns()
                self._cancel()
                self._finish(now_ns, interrupted=True, reopened=not heard)

    def _prepare(self, command: turn.Prepare, group: asyncio.TaskGroup, sink: Sink) -> None:
        self._voice_end_sample = command.voice_end_sample
        stretch = self._ear.stretch(self._read_sample)
        self._reply = Reply(
            command.reply,
            tuple(self.history),
            self._stages,
            sink,
            self._clock,
            self._recorder,
            self._events.put,
        )
        run = self._run_reply(self._reply, Utterance(stretch))
        self._reply_task = group.create_task(run, name=f"reply-{command.reply}")

    async def _run_reply(self, reply: Reply, utterance: Utterance) -> None:
        await reply.run(utterance)
        await self._events.put(turn.ReplyFinished(reply.number))

    async def _score(self, command: turn.Score, reply: Reply) -> None:
        await reply.transcribed.wait()  # the language model needs the transcript sooner than we the score
        start_ns = self._clock.now_ns()
        audio = self._ear.audio(self._begin(command.start_sample))
        probability = await self._stages.asr_worker.run(self._stages.turn_end.probability, audio)
        span = Span("score", "turn_end", start_ns, self._clock.now_ns(), command.reply, {"p": probability})
        self._recorder.record(span)
        await self._events.put(turn.AudioScored(command.reply, probability))

    def _begin(self, voice_start: int) -> int:
        return max(0, voice_start - self._config.asr.pre_roll_ms * 16)

    def _hypothesize(self, state: turn.Speaking, window: turn.Window, group: asyncio.TaskGroup) -> None:
        """Let the reader hear on when enough is new and it is free; a reopened turn goes on where it was."""
        if state.start_sample != self._turn_sample:
            self._turn_sample = self._partial_sample = state.start_sample
            self._read_sample, self._stable = self._begin(state.start_sample), ""
            begin = self._stages.asr_worker.run(self._stages.reader.begin, self._read_sample)
            group.create_task(begin, name="asr-begin")
        due = window.end_sample - self._partial_sample >= self._config.asr.partial_ms * 16
        busy = self._partial_task is not None and not self._partial_task.done()
        if due and not busy and state.voice_end == window.end_sample:
            self._partial_sample = window.end_sample
            self._partial_task = group.create_task(self._read_partial(), name="partial")

    async def _read_partial(self) -> None:
        start_ns, turn_sample = self._clock.now_ns(), self._turn_sample
        stretch = self._ear.stretch(self._read_sample)
        partial = await self._stages.asr_worker.run(self._stages.reader.partial, stretch)
        if turn_sample == self._turn_sample:
            self._read_sample = stretch.end_sample
        self._recorder.record(Span("partial", "asr", start_ns, self._clock.now_ns()))
        self._observe(partial)
        if partial.stable != self._stable and isinstance(self._state, turn.Speaking):
            self._stable = partial.stable
            if partial.stable:
                await self._read_ahead(partial.stable)

    async def _read_ahead(self, words: str) -> None:
        """Let the language model read what the user will not take back, so that little is left at the end.

        Without the memory for it, that is left to the reply.
        """
        start_ns = self._clock.now_ns()
        outcome: dict[str, Value] = {}
        try:
            await self._stages.llm_worker.run(self._stages.writer.read_ahead, tuple(self.history), words)
        except EngineOutOfMemory as error:
            outcome = {"failed": str(error)}
        span = Span("read ahead", "llm", start_ns, self._clock.now_ns(), attributes=outcome)
        self._recorder.record(span)

    def _cancel(self) -> None:
        """Drop the present reply: silence first, then its tasks."""
        if self._reply is None or self._reply_task is None:
            return
        if self._reply.committed_ns is not None:
            self._reply.playback.stop()
        self._reply_task.cancel()
        self._reply.transcribed.set()  # nobody shall wait for it now

    def _finish(self, now_ns: int, *, interrupted: bool, reopened: bool = False) -> None:
        """Write the committed reply into the history, as far as it was heard."""
        reply = self._reply
        if reply is None or reply.committed_ns is None:
            return
        heard = "" if reopened else reply.playback.text(now_ns)
        del self.history[1 : 1 + reply.dropped]  # the system prompt stays
        if not reopened:
            self.history.append(Message("user", reply.transcript))
        if heard:
            self.history.append(Message("assistant", heard))
        self._reply = None
        self._observe(
            TurnRecord(
                number=reply.number,
                transcript=reply.transcript,
                reply=reply.text.strip(),
                heard=heard,
                voice_end_ns=self._ear.recorded_ns(self._voice_end_sample),
                decided_ns=reply.committed_ns,
                boundaries=reply.boundaries(),
                interrupted=interrupted,
                reopened=reopened,
                underruns=reply.playback.underruns,
            )
        )
