"""One conversation by microphone and loudspeaker with a server of the Realtime API on another machine."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace

import numpy as np

from asr.audio import RATE
from assistant.client import protocol
from assistant.client.errors import no_realtime
from assistant.client.gate import Gate
from assistant.client.link import Link, WebSocket
from assistant.client.player import Player
from assistant.client.state import (
    EndOfAudio,
    Event,
    Fail,
    Hush,
    Outcome,
    Over,
    Play,
    Say,
    Show,
    State,
)
from assistant.client.turns import spoken, turn
from assistant.client.uplink import Uplink
from assistant.microphone.capture import ECHO_MS
from assistant.microphone.devices.sink import SpeakerSink
from assistant.microphone.devices.streams import Streams
from assistant.microphone.echo.canceller import EchoCanceller, open_canceller
from assistant.microphone.front_end import FrontEnd, TalkOptions
from assistant.microphone.screen import Output
from assistant.runtime import Clock
from assistant.server.formats import PCM
from assistant.session.playback import Playback
from assistant.session.ring import Frame
from assistant.session.turn import AudioCommitted
from assistant.trace.replay import Replay
from assistant.trace.turns import ReplayedTurn

_FORGOTTEN = "what was said before is forgotten there"


class RemoteTalk(FrontEnd):
    """A server behind the front end.

    `dial` opens a connection to `url`, to go on with the session of an id unless that is "", and raises
    RealtimeError.
    """

    def __init__(
        self,
        url: str,
        dial: Callable[[str], Awaitable[WebSocket]],
        gate: Gate,
        streams: Streams,
        sink: SpeakerSink,
        clock: Clock,
        output: Output,
        options: TalkOptions,
        *,
        open_canceller: Callable[[], EchoCanceller] = open_canceller,
    ) -> None:
        super().__init__(streams, sink, clock, output, options, open_canceller=open_canceller)
        self._url, self._gate = url, gate
        self._link = Link(url, lambda: dial(self._state.resumable), self, clock, output.say)
        self._player = Player(sink, clock, PCM.rate, self._played)
        self._playbacks: dict[str, Playback] = {}  # of replies that are not over yet
        self._turns: list[ReplayedTurn] = []
        self._state, self._uplink = State(), Uplink()
        self._awake = False
        self._last_frame = 0, 0  # sample behind it, and when that was
        self._floor_ms: int | None = None  # sent when the user took the floor by a key

    async def run(self) -> Replay:
        """Converse until `close`, or the time is up; raises RealtimeError, in a group, for good reasons."""
        cpu = await self._run(self._converse())
        return self._replay(self._turns, 0, cpu)

    async def _converse(self) -> None:
        async with asyncio.TaskGroup() as group:
            beside = [
                group.create_task(self._player.run(), name="player"),
                group.create_task(self._link.run(), name="server"),
            ]
            async for item in self.source:
                if isinstance(item, Frame):
                    self._take(item)
                elif isinstance(item, AudioCommitted):
                    self._give_floor()
            self._apply(protocol.lose(self._state, self._player.stop()))
            for task in beside:
                task.cancel()

    def stop_reply(self) -> None:
        """See FrontEnd."""
        self._apply(protocol.interrupt(self._state))

    def heard(self) -> str:
        """See FrontEnd."""
        reply = self._state.replies.get(self._player.current)
        return "" if reply is None else spoken(reply, self._player.heard_ms())

    def sample_at(self, time_ns: int) -> int:
        """See FrontEnd."""
        end, end_ns = self._last_frame
        return end + (time_ns - end_ns) * RATE // 1_000_000_000

    def _begin(self) -> None:
        """Listening: with a microphone that gives something, and a server that takes it."""
        self._awake = True
        if self._link.up:
            super()._begin()

    # The microphone

    def _take(self, frame: Frame) -> None:
        self._last_frame = self.source.end, frame.end_ns
        if self._options.push_to_talk:
            if self._pressed_at is not None and self._floor_ms is None:
                self._floor_ms = self._uplink.sent_ms
            if self._floor_ms is not None:
                self._send_audio(frame.audio, frame.end_ns)
            return
        detect = frame.audio if frame.detect is None else frame.detect
        start_ns = frame.end_ns - (len(detect) * 1000 // RATE + ECHO_MS) * 1_000_000
        sounds = self._sink.playing is not None and self._sink.playing.sounds(start_ns, frame.end_ns)
        passed = self._gate.push(frame.audio, detect, sounds=sounds)
        if passed.interrupts:
            self.stop_reply()
        self._send_audio(passed.audio, frame.end_ns - passed.late * 1_000_000_000 // RATE)

    def _send_audio(self, audio: np.typing.NDArray[np.float32], end_ns: int) -> None:
        if self._link.up:
            self._link.send(self._uplink.push(audio, end_ns))

    def _give_floor(self) -> None:
        if self._floor_ms is not None and self._link.up:
            self._link.send(self._uplink.flush())
            self._apply(protocol.commit(self._state, self._floor_ms, self._uplink.sent_ms))
        self._floor_ms = None

    # The server; see Conversation

    @property
    def ready(self) -> bool:
        """See Conversation."""
        return self._state.ready

    def begin(self) -> Iterable[Event]:
        """See Conversation."""
        self._state, self._uplink = protocol.connected(self._state), Uplink()
        return protocol.begin(push_to_talk=self._options.push_to_talk)

    def take(self, event: Event) -> None:
        """See Conversation."""
        try:
            outcome = protocol.take(self._state, event)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise no_realtime(self._url) from error
        self._apply(outcome)

    def go_on(self, *, again: bool) -> None:
        """See Conversation."""
        self._apply(protocol.go_on(self._state))
        if again:
            goes_on = "the conversation goes on" if self._state.resumed else _FORGOTTEN
            self._output.say(f"connected again; {goes_on}")
        if self._awake:
            self._begin()

    def break_off(self) -> None:
        """See Conversation."""
        self._floor_ms = None
        self._apply(protocol.lose(self._state, self._player.stop()))
        self._view = replace(self._view, state="starting", stable="", unstable="", reply="")

    def _apply(self, outcome: Outcome) -> None:
        """Send and do what a step of the protocol came to."""
        self._state, events, commands = outcome
        self._link.send(events)
        for command in commands:
            self._carry_out(command)

    def _carry_out(self, command: object) -> None:
        match command:
            case Play(reply=reply, data=data):
                if reply not in self._playbacks:
                    self._gate.close()
                self._playbacks[reply] = self._player.play(reply, PCM.decode(data))
            case EndOfAudio(reply=reply):
                self._player.finish(reply)
            case Hush():
                self._apply(protocol.hushed(self._state, self._player.stop()))
            case Show(event=event):
                self._show(event)
            case Say(line=line):
                self._output.say(line)
            case Fail(what=what, why=why):
                self._fail(what, why)
            case Over():
                self._end_turn(command)

    def _played(self, reply: str) -> None:
        self._apply(protocol.played(self._state, reply))

    def _end_turn(self, over: Over) -> None:
        ended_ns = None if over.ended_ms is None else self._uplink.recorded_ns(over.ended_ms)
        playback = self._playbacks.pop(over.reply.id, None)
        self._turns.append(turn(f"turn-{len(self._turns) + 1}", over, playback, ended_ns))
        self._tell(self._turns[-1])
