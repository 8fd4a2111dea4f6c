"""A microphone and a loudspeaker that go on: what is lost is looked for, and opened again."""

import asyncio
import itertools
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from assistant.microphone.devices.choice import choose, label
from assistant.microphone.devices.defaults import AskDefaults, Defaults, Follow, follow_defaults
from assistant.microphone.devices.errors import DeviceError, Direction
from assistant.microphone.devices.gaps import Gaps
from assistant.microphone.devices.opening import Blocking, S, start
from assistant.microphone.devices.playing import Playing
from assistant.microphone.devices.port import Device, Port, Stream
from assistant.microphone.devices.recording import Recording
from assistant.microphone.devices.sink import SpeakerSink
from assistant.runtime import Clock

_WATCH_NS = 100_000_000
_SILENT_NS = 500_000_000  # without a callback: the device is lost
_LATE_NS = 300_000_000  # a watch that wakes later than this says nothing about devices
_AGAIN_NS = 1_000_000_000
_PATIENT = 2  # attempts before it is said what is wrong: a server that starts again needs a second
_DEFAULTS_NS = 2_000_000_000


@dataclass(frozen=True)
class Wanted:
    """Which devices, by a part of their names (None is the system's default), and how much they may hold."""

    input: str | None = None
    output: str | None = None
    latency_s: float = 0.06
    """Asked of PortAudio: 0.02 underruns on a busy machine, 0.1 is 30 ms later to the ear."""


class Streams:
    """Two streams, each at its device's own rate: one of both takes ten times the processor when it is late.

    `tell` is given a line about every loss and every return.
    """

    def __init__(
        self,
        port: Port,
        wanted: Wanted,
        sink: SpeakerSink,
        clock: Clock,
        blocking: Blocking,
        tell: Callable[[str], None],
        follow: Follow | None = None,
    ) -> None:
        """`follow` tells of other default devices; None is what this system needs."""
        self.recording: Recording | None = None
        self.playing: Playing | None = None
        self.losses = 0
        self.woken = asyncio.Event()  # a block was recorded, or there is another recording
        self._port, self._wanted, self._sink, self._clock = port, wanted, sink, clock
        self._blocking, self._tell = blocking, tell
        self._follow = follow or follow_defaults()
        self._open: list[Stream] = []
        self._lost = asyncio.Event()
        self._why = ""  # lost, where that is known
        self._devices = "", ""
        self._number = 0  # of the opening; what an earlier one tells is stale
        self._loop = asyncio.get_running_loop()

    def choose(self) -> tuple[Device, Device]:
        """The devices that are wanted; raises DeviceError. To be called where PortAudio is."""
        devices = self._port.devices()
        return choose(devices, "input", self._wanted.input), choose(devices, "output", self._wanted.output)

    async def open(self) -> None:
        """Start both; raises DeviceError, with neither open then."""
        microphone, speaker = await self._blocking(self.choose)
        self._number += 1
        self._lost.clear()
        self._why, self._gaps = "", Gaps()
        try:
            playing = await self._start(speaker, "output", self._player)
            recording = await self._start(microphone, "input", self._recorder)
        except DeviceError:
            await self.close()
            raise
        self._sink.begin(playing)
        self.recording, self.playing = recording, playing
        self._devices = label(microphone), label(speaker)

    def _recorder(self, rate: int) -> Recording:
        return Recording(rate, self._waker(self.woken), self._clock.now_ns)

    def _player(self, rate: int) -> Playing:
        return Playing(rate, self._sink.attach(rate), self._clock.now_ns)

    async def _start(self, device: Device, direction: Direction, make: Callable[[int], S]) -> S:
        finished = self._waker(self._lost, self._number, f"{label(device)} is gone")
        latency_s = self._wanted.latency_s
        made, stream = await start(self._port, self._blocking, device, direction, latency_s, make, finished)
        self._open.append(stream)
        return made

    def _waker(self, event: asyncio.Event, number: int | None = None, why: str = "") -> Callable[[], None]:
        """What sets `event` from any thread, while the loop runs and `number` is that of the opening."""

        def wake() -> None:
            with suppress(RuntimeError):  # the loop is closed
                self._loop.call_soon_threadsafe(set_event)

        def set_event() -> None:
            if number is None or number == self._number:
                self._why = self._why or why
                event.set()

        return wake

    async def close(self) -> None:
        """End both streams."""
        self._number += 1
        self._sink.detach()
        self.recording = self.playing = None
        streams, self._open = self._open, []
        for stream in streams:
            await self._blocking(stream.close)

    async def run(self) -> None:
        """Watch the streams, and open them again when one is lost, until cancelled."""
        if self._follow is None or (self._wanted.input and self._wanted.output):
            await self._keep()
            return
        async with self._follow() as ask, asyncio.TaskGroup() as group:
            group.create_task(self._notice_defaults(ask), name="defaults")
            await self._keep()

    async def _notice_defaults(self, ask: AskDefaults) -> None:
        """Have the devices opened again when the system has other default ones."""
        before = await ask()
        while True:
            await self._clock.sleep_until(self._clock.now_ns() + _DEFAULTS_NS)
            now = await ask()
            if before and now and self._leaves(before, now):
                self._why = "the system has another default device"
                self._lost.set()
            before = now or before

    def _leaves(self, before: Defaults, now: Defaults) -> bool:
        ours = self._devices
        input_left = self._wanted.input is None and now.input not in (None, before.input, ours[0])
        return input_left or (
            self._wanted.output is None and now.output not in (None, before.output, ours[1])
        )

    async def _keep(self) -> None:
        while True:
            why = await self._loss()
            self.losses += 1
            self._tell(f"{why}: looking for the devices again")
            await self.close()
            await self._reopen()
            self.woken.set()
            self._tell(f"going on with {' and '.join(self._devices)}")

    async def _loss(self) -> str:
        """Wait for one, and say what it is."""
        checked_ns = since_ns = self._clock.now_ns()
        while True:
            due_ns = checked_ns + _WATCH_NS
            with suppress(TimeoutError):
                await asyncio.wait_for(self._lost.wait(), (due_ns - self._clock.now_ns()) / 1e9)
            checked_ns = self._clock.now_ns()
            if self._lost.is_set():
                return self._why
            if checked_ns > due_ns + _LATE_NS:
                since_ns = checked_ns  # this process was late itself
            recording, playing = self.recording, self.playing
            assert recording and playing, "both are open"
            lost_ms = recording.silenced * 1000 / recording.rate
            if line := self._gaps.note(checked_ns, lost_ms, playing.underruns):
                self._tell(line)
            if recording.jumped:
                return "the machine slept, or its clock was set"
            for name, called_ns in (("microphone", recording.called_ns), ("loudspeaker", playing.called_ns)):
                if checked_ns - max(since_ns, called_ns) > _SILENT_NS:
                    return f"the {name} is silent"

    async def _reopen(self) -> None:
        told = ""
        for attempt in itertools.count():
            try:
                await self._blocking(self._port.refresh)
                await self.open()
            except DeviceError as error:
                if str(error) != told and attempt >= _PATIENT:
                    told = str(error)
                    self._tell(told)
                await self._clock.sleep_until(self._clock.now_ns() + _AGAIN_NS)
            else:
                return
