"""Opening a device with what it takes: its channels, and a sample rate."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Protocol, TypeVar

from assistant.microphone.devices.errors import Direction, RateRefused
from assistant.microphone.devices.playing import Playing
from assistant.microphone.devices.port import Callback, Device, Port, Stream
from assistant.microphone.devices.recording import Recording

_RATES = (48000, 44100, 16000, 8000)
"""Hz. Where a device refuses its own: a Bluetooth headset states 44.1 kHz and records at 16 or 8 only."""
_MOST_INPUTS = 8
"""Of a microphone. What states more (PulseAudio's plugin 32, ALSA's 128) makes them up, at a price."""

T = TypeVar("T")
S = TypeVar("S", Recording, Playing)


class Blocking(Protocol):
    """Runs what may take long in the one thread that calls PortAudio."""

    def __call__(self, call: Callable[[], T]) -> Awaitable[T]: ...  # noqa: D102


async def start(
    port: Port,
    blocking: Blocking,
    device: Device,
    direction: Direction,
    latency_s: float,
    make: Callable[[int], S],
    finished: Callable[[], None],
) -> tuple[S, Stream]:
    """A stream that runs, and what `make` made for its rate: the device's own, or another that it takes.

    Raises DeviceError.
    """
    refused: list[RateRefused] = []
    for rate in dict.fromkeys((device.rate, *_RATES)):
        made = make(rate)
        try:
            return made, await blocking(
                _opening(port, replace(device, rate=rate), direction, latency_s, made.callback, finished)
            )
        except RateRefused as error:
            refused.append(error)
    raise refused[0]


def _opening(
    port: Port,
    device: Device,
    direction: Direction,
    latency_s: float,
    callback: Callback,
    finished: Callable[[], None],
) -> Callable[[], Stream]:
    if direction == "input":
        channels = device.inputs if device.inputs <= _MOST_INPUTS else 1
    else:
        channels = min(2, device.outputs)  # of one channel some systems play the left side only
    return lambda: port.open(device, direction, channels, latency_s, callback, finished)
