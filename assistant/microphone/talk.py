"""One conversation by microphone and loudspeaker: what is said in it, shown, and asked for by keys."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from time import process_time

from assistant.microphone import view as views
from assistant.microphone.canceller import open_canceller
from assistant.microphone.duplex import NO_ECHO
from assistant.microphone.echo import EchoCanceller
from assistant.microphone.feed import FADE_MS
from assistant.microphone.levels import Levels
from assistant.microphone.repeats import repeats
from assistant.microphone.screen import Output, Status
from assistant.microphone.sink import SpeakerSink
from assistant.microphone.source import ECHO_MS, MicrophoneSource
from assistant.microphone.streams import Streams
from assistant.microphone.turns import Turns
from assistant.microphone.view import View
from assistant.runtime import Clock, LagProbe, Recorder
from assistant.session.conversation import AssistantItem
from assistant.session.events import Failed, Listener, ReplyDone, ReplyStarted, SessionEvent
from assistant.session.session import Session, SessionConfig
from assistant.session.stages import Stages
from assistant.session.turn import ReplyCancelled, TurnConfig
from assistant.trace.replay import Replay

_DRAW_NS = 125_000_000
_VOLUME_STEP = 10  # percent
_PLAYED_NS = 2_000_000_000  # so long after a reply a transcript may still be its echo


@dataclass(frozen=True)
class TalkOptions:
    """How one talks."""

    seconds: float | None = None
    push_to_talk: bool = False
    keys: bool = False
    """Whether there is someone to press them."""


def turn_config(
    config: TurnConfig, options: TalkOptions, barge_in_ms: int, *, cancelling: bool
) -> TurnConfig:
    """`config` beside a loudspeaker: with a canceller less voice is proof of somebody else's."""
    return replace(
        config,
        detection="none" if options.push_to_talk else config.detection,
        barge_in_ms=barge_in_ms if cancelling else config.barge_in_ms,
        echo_ms=max(config.echo_ms, ECHO_MS),
    )


class Talk:
    """Run it once. The streams are open already, and closed by who opened them."""

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
        open_canceller: Callable[[], EchoCanceller] = open_canceller,
    ) -> None:
        recorder = Recorder()
        self.session = Session(stages, config, clock, recorder, "talk", self._is_echo)
        self.source = MicrophoneSource(
            streams,
            open_canceller=open_canceller,
            on_levels=self._note_levels,
            on_awake=self._begin,
            tell=output.say,
        )
        self._streams, self._sink, self._clock = streams, sink, clock
        self._output, self._options = output, options
        self._probe = LagProbe(clock, recorder)
        self._events = self.session.subscribe()
        self._turns = Turns()
        self._failures = 0
        self.echoes = 0  # turns that were dropped, for they were the loudspeaker's
        self._view, self._levels = View(), Status().levels
        self._pressed_at: int | None = None  # the sample at which the user began to hold the floor
        self._reply: tuple[str, int] | None = None  # item and the sink's position at its begin
        self._last = "", 0  # what was heard of the last reply, and when it was over

    async def run(self) -> Replay:
        """Converse until `close`, or the time is up."""
        start_s, cpu_s = self._clock.now_ns() / 1e9, process_time()
        async with asyncio.TaskGroup() as group:
            beside = [
                group.create_task(task, name=name)
                for name, task in (
                    ("devices", self._streams.run()),
                    ("screen", self._draw()),
                    ("lag", self._probe.run()),
                    ("timer", self._end()),
                )
            ]
            group.create_task(self._follow(self._events), name="events")
            await self.session.run(self.source, self._sink)
            for task in beside:
                task.cancel()
        elapsed_s = self._clock.now_ns() / 1e9 - start_s
        return Replay(
            tuple(self._turns.turns),
            tuple(self._probe.lags_ms),
            self.session.dropped_frames,
            self._failures,
            cpu=(process_time() - cpu_s) / elapsed_s if elapsed_s else None,
        )

    def close(self) -> None:
        """End the conversation."""
        self.source.close()

    def press(self, key: str) -> None:
        """A key of the user's: m mute, s or Esc stop the reply, + and - volume, q quit, space the floor."""
        match key.lower():
            case "m":
                self.source.muted = not self.source.muted
            case "s" | "\x1b":  # the second is Esc
                self._stop_reply()
            case "+" | "=":  # the second is the key of the first without shift
                self._sink.volume = min(100, self._sink.volume + _VOLUME_STEP)
            case "-":
                self._turn_down()
            case "q":
                self.close()
            case " " if self._options.push_to_talk:
                self._take_or_give()

    def _turn_down(self) -> None:
        volume = self._sink.volume
        self._sink.volume = min(volume, max(_VOLUME_STEP, volume - _VOLUME_STEP))

    def _stop_reply(self) -> None:
        self.source.ask(ReplyCancelled(self._silent_sample()))

    def _silent_sample(self) -> int:
        """The sample of the microphone's at which a reply that is stopped now is silent."""
        playing, now_ns = self._sink.playing, self._clock.now_ns()
        silent_ns = playing.sounds_at_ns(0) if playing else now_ns
        return self.session.sample_at(max(now_ns, silent_ns) + FADE_MS * 1_000_000)

    def _take_or_give(self) -> None:
        now = self.session.sample_at(self._clock.now_ns())
        if self._pressed_at is None:
            self._pressed_at = now
            self._stop_reply()
            self._view = replace(self._view, state="hearing", stable="", unstable="", reply="")
        else:
            self.source.commit(self._pressed_at, now)
            self._pressed_at = None
            self._view = replace(self._view, state="listening")

    def _begin(self) -> None:
        if self._view.state == "starting":
            self._view = replace(self._view, state="listening")
            self._output.say("listening")

    def _note_levels(self, levels: Levels) -> None:
        self._levels = levels

    async def _end(self) -> None:
        if self._options.seconds is not None:
            await self._clock.sleep_until(self._clock.now_ns() + int(self._options.seconds * 1e9))
            self.close()

    async def _follow(self, events: Listener) -> None:
        async for event in events:
            self._happen(event)

    def _happen(self, event: SessionEvent) -> None:
        self._view = views.follow(self._view, event)
        match event:
            case ReplyStarted(item=item):
                self._reply = item, self._sink.position
            case ReplyDone():
                self._reply, self._last = None, (event.heard, self._clock.now_ns())
                turn = self._turns.note(event)
                if turn is not None:
                    self._view = replace(self._view, wait=turn.parts)
                    for line in views.lines(turn):
                        self._output.say(line)
            case Failed(stage=stage, why=why):
                self._failures += 1
                self._output.say(f"assistant: {stage} failed: {why}")

    async def _draw(self) -> None:
        while True:
            self._view = views.heard(self._view, self._heard())
            self._output.draw(self._view, Status(self._levels, self.source.muted, self._help()))
            await self._clock.sleep_until(self._clock.now_ns() + _DRAW_NS)

    def _heard(self) -> str:
        """The words of the reply that have sounded by now."""
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
        echo = repeats(transcript, self._played())
        self.echoes += echo
        return echo

    def _played(self) -> str:
        """What the loudspeaker has just said."""
        text, over_ns = self._last
        recent = self._clock.now_ns() - over_ns < _PLAYED_NS
        return f"{text if recent else ''} {self._heard()}"

    def _help(self) -> str:
        if not self._options.keys:
            return ""
        talk = "space talk, space again send · " if self._options.push_to_talk else ""
        return f"{talk}m mute · s stop the reply · + - volume ({self._sink.volume:.0f} %) · q quit"
