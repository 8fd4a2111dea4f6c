"""One conversation by microphone and loudspeaker with the models of this machine."""

import asyncio
from collections.abc import Callable
from dataclasses import replace

from assistant.microphone.capture import ECHO_MS
from assistant.microphone.devices.feed import FADE_MS
from assistant.microphone.devices.sink import SpeakerSink
from assistant.microphone.devices.streams import Streams
from assistant.microphone.echo.canceller import EchoCanceller, open_canceller
from assistant.microphone.echo.duplex import NO_ECHO
from assistant.microphone.echo.repeats import repeats
from assistant.microphone.front_end import FrontEnd, TalkOptions
from assistant.microphone.screen import Output
from assistant.microphone.turns import Turns
from assistant.runtime import Clock, Recorder
from assistant.session.conversation import AssistantItem
from assistant.session.events import Failed, Listener, ReplyDone, ReplyStarted, SessionEvent
from assistant.session.session import Session, SessionConfig
from assistant.session.stages import Stages
from assistant.session.turn import ReplyCancelled, TurnConfig
from assistant.trace.recording import Recording
from assistant.trace.replay import Replay

SESSION = "talk"
_PLAYED_NS = 2_000_000_000  # so long after a reply a transcript may still be its echo


def turn_config(
    config: TurnConfig, barge_in_ms: int, *, cancelling: bool, push_to_talk: bool = False
) -> TurnConfig:
    """`config` beside a loudspeaker: with a canceller less voice is proof of somebody else's."""
    return replace(
        config,
        detection="none" if push_to_talk else config.detection,
        barge_in_ms=barge_in_ms if cancelling else config.barge_in_ms,
        echo_ms=max(config.echo_ms, ECHO_MS),
    )


class Talk(FrontEnd):
    """A session behind the front end."""

    def __init__(
        self,
        stages: Stages,
        config: SessionConfig,
        streams: Streams,
        sink: SpeakerSink,
        clock: Clock,
        output: Output,
        options: TalkOptions,
        *,
        recorder: Recorder | None = None,
        recording: Recording | None = None,
        open_canceller: Callable[[], EchoCanceller] = open_canceller,
    ) -> None:
        super().__init__(streams, sink, clock, output, options, recorder, open_canceller)
        self.session = Session(stages, config, clock, self._recorder, SESSION, self._is_echo)
        self.watch: Callable[[SessionEvent], None] = lambda _: None
        """Shown every event of the session."""
        self._recording = recording
        self._events = self.session.subscribe()
        self._turns = Turns()
        self.echoes = 0  # turns that were dropped, for they were the loudspeaker's
        self._reply: tuple[str, int] | None = None  # item and the sink's position at its begin
        self._last = "", 0  # what was heard of the last reply, and when it was over

    async def run(self) -> Replay:
        """See FrontEnd."""
        cpu = await self._run(self._converse())
        return self._replay(self._turns.turns, self.session.dropped_frames, cpu)

    async def _converse(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._follow(self._events), name="events")
            if self._recording is None:
                await self.session.run(self.source, self._sink)
            else:
                await self._recording.run(self.session, SESSION, self.source, self._sink)

    def stop_reply(self) -> None:
        """See FrontEnd."""
        self.source.ask(ReplyCancelled(self._silent_sample()))

    def _silent_sample(self) -> int:
        """The sample of the microphone's at which a reply that is stopped now is silent."""
        playing, now_ns = self._sink.playing, self._clock.now_ns()
        silent_ns = playing.sounds_at_ns(0) if playing else now_ns
        return self.sample_at(max(now_ns, silent_ns) + FADE_MS * 1_000_000)

    def sample_at(self, time_ns: int) -> int:
        """See FrontEnd."""
        return self.session.sample_at(time_ns)

    async def _follow(self, events: Listener) -> None:
        async for event in events:
            self._happen(event)

    def _happen(self, event: SessionEvent) -> None:
        self._show(event)
        self.watch(event)
        match event:
            case ReplyStarted(item=item):
                self._reply = item, self._sink.position
            case ReplyDone():
                self._reply, self._last = None, (event.heard, self._clock.now_ns())
                turn = self._turns.note(event)
                if turn is not None:
                    self._tell(turn)
            case Failed(stage=stage, why=why):
                self._fail(stage, why)

    def heard(self) -> str:
        """See FrontEnd."""
        if self._reply is None or self._reply[0] not in self.session.conversation:
            return ""
        item = self.session.conversation.get(self._reply[0])
        if not isinstance(item, AssistantItem):
            return ""
        heard_ms = (self._sink.position - self._reply[1]) * 1000 / self._sink.rate
        return replace(item, heard_ms=max(heard_ms, item.heard_ms)).text

    def _is_echo(self, transcript: str) -> bool:
        if self.source.duplex == NO_ECHO:
            return False  # users may say again what they were told
        # Of an echo that is cancelled little is heard; "What is the capital of France?" asks again.
        cancelled = self.source.duplex.mode == "cancelling"
        echo = repeats(transcript, self._played(), to_the_word=cancelled)
        self.echoes += echo
        return echo

    def _played(self) -> str:
        """What the loudspeaker has just said."""
        text, over_ns = self._last
        recent = self._clock.now_ns() - over_ns < _PLAYED_NS
        return f"{text if recent else ''} {self.heard()}"
