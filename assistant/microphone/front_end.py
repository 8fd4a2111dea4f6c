"""Microphone, loudspeaker, screen and keys of one conversation, whoever answers."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, replace
from time import process_time
from typing import Any

from assistant.microphone import view as views
from assistant.microphone.devices.sink import SpeakerSink
from assistant.microphone.devices.streams import Streams
from assistant.microphone.echo.canceller import EchoCanceller, open_canceller
from assistant.microphone.screen import Output, Status
from assistant.microphone.source import MicrophoneSource
from assistant.microphone.view import View
from assistant.microphone.wake import WakeGate, WakeWord
from assistant.runtime import Clock, LagProbe, Recorder
from assistant.session.events import SessionEvent
from assistant.trace.replay import Replay
from assistant.trace.turns import ReplayedTurn

_DRAW_NS = 125_000_000
_VOLUME_STEP = 10  # percent


@dataclass(frozen=True)
class TalkOptions:
    """How one talks."""

    seconds: float | None = None
    push_to_talk: bool = False
    keys: bool = False
    """Whether there is someone to press them."""
    wake_word: WakeWord | None = None
    """What wakes it; None: it never sleeps."""
    awake_s: float = 8.0


class FrontEnd(ABC):
    """Run it once. The streams are open already, and closed by who opened them."""

    def __init__(
        self,
        streams: Streams,
        sink: SpeakerSink,
        clock: Clock,
        output: Output,
        options: TalkOptions,
        recorder: Recorder | None = None,
        open_canceller: Callable[[], EchoCanceller] = open_canceller,
    ) -> None:
        self._wake_gate = WakeGate(options.wake_word, options.awake_s) if options.wake_word else None
        self.source = MicrophoneSource(
            streams,
            open_canceller=open_canceller,
            gate=self._wake_gate,
            on_awake=self._begin,
            tell=output.say,
        )
        self._streams, self._sink, self._clock = streams, sink, clock
        self._output, self._options = output, options
        self._recorder = recorder or Recorder()
        self._probe = LagProbe(clock, self._recorder)
        self.on_mute: Callable[[bool], None] = lambda _: None
        """Told when the microphone is muted, and when it is heard again."""
        self._failures = 0
        self._view = View()
        self._pressed_at: int | None = None  # the sample at which the user began to hold the floor

    @abstractmethod
    async def run(self) -> Replay:
        """Converse until `close`, or the time is up."""

    @abstractmethod
    def stop_reply(self) -> None:
        """The user wants no more of the reply."""

    @abstractmethod
    def heard(self) -> str:
        """The words of the reply that have sounded by now."""

    @abstractmethod
    def sample_at(self, time_ns: int) -> int:
        """The sample of the conversation's audio that is recorded at a time."""

    def close(self) -> None:
        """End the conversation."""
        self.source.close()

    def mute(self, muted: bool) -> None:
        """Hear nothing of the microphone, or hear it again."""
        self.source.muted = muted
        self.on_mute(muted)

    def press(self, key: str) -> None:
        """A key of the user's: m mute, s or Esc stop the reply, + and - volume, q quit, space the floor."""
        match key.lower():
            case "m":
                self.mute(not self.source.muted)
            case "s" | "\x1b":  # the second is Esc
                self.stop_reply()
            case "+" | "=":  # the second is the key of the first without shift
                self._sink.volume = min(100, self._sink.volume + _VOLUME_STEP)
            case "-":
                volume = self._sink.volume
                self._sink.volume = min(volume, max(_VOLUME_STEP, volume - _VOLUME_STEP))
            case "q":
                self.close()
            case " " if self._options.push_to_talk:
                self._take_or_give()

    async def _run(self, conversation: Coroutine[Any, Any, None]) -> float | None:
        """Follow devices, screen and time beside `conversation`; the share of a core that it all took."""
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
            await conversation
            for task in beside:
                task.cancel()
        elapsed_s = self._clock.now_ns() / 1e9 - start_s
        return (process_time() - cpu_s) / elapsed_s if elapsed_s else None

    def _replay(self, turns: Sequence[ReplayedTurn], dropped_frames: int, cpu: float | None) -> Replay:
        """What came of the conversation."""
        return Replay(tuple(turns), tuple(self._probe.lags_ms), dropped_frames, self._failures, cpu=cpu)

    def _take_or_give(self) -> None:
        now = self.sample_at(self._clock.now_ns())
        if self._pressed_at is None:
            self._pressed_at = now
            self.stop_reply()
            self._view = replace(self._view, state="hearing", stable="", unstable="", reply="")
        else:
            self.source.commit(self._pressed_at, now)
            self._pressed_at = None
            self._view = replace(self._view, state="listening")

    def _begin(self) -> None:
        if self._view.state == "starting":
            self._view = replace(self._view, state="listening")
            if self._wake_gate is None:
                self._output.say("listening")

    def _show(self, event: SessionEvent) -> None:
        self._view = views.follow(self._view, event)
        if self._wake_gate:
            self._wake_gate.busy = self._view.state not in ("starting", "listening")

    def _tell(self, turn: ReplayedTurn) -> None:
        """Show a turn that is over."""
        self._view = replace(self._view, wait=turn.parts)
        for line in views.lines(turn):
            self._output.say(line)

    def _fail(self, what: str, why: str) -> None:
        self._failures += 1
        self._output.say(f"assistant: {what} failed: {why}")

    async def _end(self) -> None:
        if self._options.seconds is not None:
            await self._clock.sleep_until(self._clock.now_ns() + int(self._options.seconds * 1e9))
            self.close()

    async def _draw(self) -> None:
        while True:
            self._view = views.heard(self._view, self.heard())
            asleep = self._wake_gate.phrase if self._wake_gate and self._view.state != "starting" else ""
            self._output.draw(self._view, Status(self.source.levels, self.source.muted, self._help(), asleep))
            await self._clock.sleep_until(self._clock.now_ns() + _DRAW_NS)

    def _help(self) -> str:
        if not self._options.keys:
            return ""
        talk = "space talk, space again send · " if self._options.push_to_talk else ""
        return f"{talk}m mute · s stop the reply · + - volume ({self._sink.volume:.0f} %) · q quit"
