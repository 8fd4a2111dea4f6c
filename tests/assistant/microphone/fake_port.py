"""A sound system without sound, on virtual time: it calls back every 10 ms as PortAudio does."""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from assistant.microphone.devices.errors import DeviceError, Direction, RateRefused
from assistant.microphone.devices.port import Audio, BlockTime, Callback, Device
from assistant.runtime import VirtualLoop

EPOCH_S = 1_700_000_000.0  # ALSA's streams have the time of the calendar
IN_LATENCY_S, OUT_LATENCY_S = 0.015, 0.06

MICROPHONE = Device(3, "Mic", "ALSA", inputs=1, outputs=0, rate=16000, default_input=True)
SPEAKER = Device(5, "Speaker", "ALSA", inputs=0, outputs=2, rate=48000, default_output=True)

Sound = Callable[[int, int], Audio]
"""The samples [n] of the microphone from a number on."""


def quiet(_start: int, count: int) -> Audio:
    """A room: never exactly zero."""
    return np.full(count, 1e-4, np.float32)


@dataclass(eq=False)
class FakeStream:
    """One stream; what it plays sounds `OUT_LATENCY_S` after it was asked for."""

    port: "FakePort"
    device: Device
    direction: Direction
    channels: int
    callback: Callback
    finished: Callable[[], None]
    latency_s: float = 0.06
    open: bool = True
    stalled: bool = False
    blocks: int = 0
    first: int = 0  # sample of the next block, lost ones counted
    sizes: list[int] = field(default_factory=list)  # of the next blocks
    lost: bool = False  # told with the next block
    skipped: int = 0
    tells: bool = True
    played: list[Audio] = field(default_factory=list)
    begun_s: float = 0.0

    def __post_init__(self) -> None:
        self.begun_s = self.port.loop.time()
        self._wait()

    def _wait(self) -> None:
        ms = [next(self.port.block_ms) for _ in range(self.port.burst)]
        self.sizes = [round(self.device.rate * size / 1000) for size in ms]
        late_s = IN_LATENCY_S if self.direction == "input" else 0.0
        due_s = self.begun_s + (self.first + sum(self.sizes) * (self.direction == "input")) / self.device.rate
        self.port.loop.call_at(due_s + late_s, self._tick)

    def _tick(self) -> None:
        if not self.open or self.stalled:
            return
        for size in self.sizes:
            self._block(size)
        self._wait()

    def _block(self, size: int) -> None:
        now_s = self.port.loop.time() + self.port.epoch_s
        starts_s = self.port.epoch_s + self.begun_s + self.first / self.device.rate
        if self.direction == "input":
            audio = np.zeros((size, self.channels), np.float32)
            audio[:, self.port.live] = self.port.sound(self.first, size)
            self.callback(audio, BlockTime(starts_s, now_s, self.lost))
        else:
            audio = np.full((size, self.channels), np.nan, np.float32)
            self.callback(audio, BlockTime(starts_s + OUT_LATENCY_S, now_s, self.lost))
            assert np.isfinite(audio).all() and (audio == audio[:, :1]).all()
            self.played.append(audio[:, 0])
            if self.skipped:
                self.played.append(np.zeros(self.skipped, np.float32))
        self.lost = self.skipped > 0 and self.tells
        self.first += size + self.skipped
        self.skipped = 0

    def lose(self, samples: int, *, tells: bool = True) -> None:
        """Behind the next block so many samples are lost, or late, and the device says so, or does not."""
        self.skipped, self.tells = samples, tells

    def sound(self) -> Audio:
        """What was played, from the stream's start on; sample 0 sounds `OUT_LATENCY_S` after it.

        What was late has silence before it.
        """
        return np.concatenate([np.zeros(0, np.float32), *self.played])

    def close(self) -> None:
        self.end()

    def end(self) -> None:
        """As when the device is unplugged."""
        if self.open:
            self.open = False
            self.finished()


class FakePort:
    """What is in `plugged` can be seen after a refresh. A rig gives it its loop."""

    loop: VirtualLoop

    def __init__(self, *plugged: Device, sound: Sound = quiet) -> None:
        self.sound = sound
        self.plugged = list(plugged or (MICROPHONE, SPEAKER))
        self.listed = tuple(self.plugged)
        self.refused: dict[str, DeviceError] = {}
        self.rates: dict[str, tuple[int, ...]] = {}  # that a device takes; all, where it is not in here
        self.live = 0  # the channel that hears
        self.block_ms: Iterator[float] = itertools.repeat(10)
        self.burst = 1  # blocks that come at once
        self.epoch_s = EPOCH_S
        self.streams: list[FakeStream] = []
        self.refreshes = 0

    def devices(self) -> tuple[Device, ...]:
        return self.listed

    def refresh(self) -> None:
        assert not any(stream.open for stream in self.streams), "PortAudio ended under a stream"
        self.refreshes += 1
        self.listed = tuple(self.plugged)

    def open(
        self,
        device: Device,
        direction: Direction,
        channels: int,
        latency_s: float,
        callback: Callback,
        finished: Callable[[], None],
    ) -> FakeStream:
        assert any(device == replace(listed, rate=device.rate) for listed in self.listed)
        assert 1 <= channels <= device.channels(direction)
        if device.name in self.refused:
            raise self.refused[device.name]
        if device.rate not in self.rates.get(device.name, (device.rate,)):
            raise RateRefused(f"{device.name} cannot be opened at {device.rate} Hz")
        self.streams.append(FakeStream(self, device, direction, channels, callback, finished, latency_s))
        return self.streams[-1]

    def stream(self, direction: Direction) -> FakeStream:
        """The one that is open."""
        (found,) = [stream for stream in self.streams if stream.open and stream.direction == direction]
        return found
