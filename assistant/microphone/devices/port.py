"""What lies under the streams: PortAudio, or what a test puts in its place."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from assistant.microphone.devices.errors import Direction

Audio = NDArray[np.float32]


@dataclass(frozen=True)
class Device:
    """A sound device. `index` holds only until the devices are looked up again; people give names."""

    index: int
    name: str
    api: str
    """The host API that offers it: one card may be there once for each."""
    inputs: int
    outputs: int
    rate: int
    """Hz, the device's own."""
    default_input: bool = False
    default_output: bool = False

    def channels(self, direction: Direction) -> int:
        """How many channels it records or plays."""
        return self.inputs if direction == "input" else self.outputs

    def is_default(self, direction: Direction) -> bool:
        """Whether the system records from it, or plays on it, unless told otherwise."""
        return self.default_input if direction == "input" else self.default_output


@dataclass(frozen=True)
class BlockTime:
    """About a block: when its first sample is at the converter, and now, in seconds of the stream's clock.

    `lost` says that samples before it were lost (input), or that silence was played for want of it (output).
    """

    converter_s: float
    now_s: float
    lost: bool = False


Callback = Callable[[Audio, BlockTime], None]
"""Given [n, channels] to read, or to fill, in a thread of PortAudio's. It must not raise, nor wait."""


class Stream(Protocol):
    """A stream that runs."""

    @property
    def latency_s(self) -> float:
        """Between converter and callback, as PortAudio estimates it."""
        ...

    def close(self) -> None:
        """End it; its callback is not called any more. Does not raise."""
        ...


class Port(Protocol):
    """The sound system."""

    def devices(self) -> tuple[Device, ...]:
        """The devices there were at the last `refresh`; raises DeviceError."""
        ...

    def refresh(self) -> None:
        """Look at the devices again. Every stream must be closed. Raises DeviceError."""
        ...

    def open(
        self,
        device: Device,
        direction: Direction,
        channels: int,
        latency_s: float,
        callback: Callback,
        finished: Callable[[], None],
    ) -> Stream:
        """Start a stream at the device's own rate in blocks of 10 ms; raises DeviceError.

        `finished` is called, perhaps in another thread, when the stream ends: by `close`, or by itself.
        """
        ...
