"""The sound system of this machine, through sounddevice: the only file that knows PortAudio."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from assistant.microphone.devices.errors import (
    CannotOpen,
    DeviceBusy,
    DeviceError,
    Direction,
    PermissionDenied,
    PortAudioMissing,
    RateRefused,
)
from assistant.microphone.devices.port import BlockTime, Callback, Device, Stream

# Of portaudio.h.
_BAD_CHANNELS, _BAD_RATE, _BAD_COMBINATION, _UNAVAILABLE = -9998, -9997, -9993, -9985
_DENIED = ("permission denied", "access is denied", "not permitted", "0x80070005", "-2147024891")
_BUSY = ("busy", "in use", "0x8889000a", "-2004287478")


class PortAudio:
    """See Port. Every call of it belongs into one and the same thread; some take tenths of a second."""

    def __init__(self) -> None:
        try:
            import sounddevice  # noqa: PLC0415  # optional, and it starts PortAudio
        except ImportError as error:
            raise PortAudioMissing("sounddevice is not installed") from error
        except OSError as error:
            raise PortAudioMissing("the PortAudio library is missing") from error
        self._library: Any = sounddevice

    def devices(self) -> tuple[Device, ...]:
        """See Port."""
        apis = [api["name"] for api in self._library.query_hostapis()]
        defaults = self._default("input"), self._default("output")
        return tuple(
            Device(
                index,
                found["name"],
                apis[found["hostapi"]],
                found["max_input_channels"],
                found["max_output_channels"],
                round(found["default_samplerate"]),
                default_input=index == defaults[0],
                default_output=index == defaults[1],
            )
            for index, found in enumerate(self._library.query_devices())
        )

    def _default(self, direction: Direction) -> int | None:
        try:
            return int(self._library.query_devices(kind=direction)["index"])
        except (ValueError, self._library.PortAudioError):
            return None

    def refresh(self) -> None:
        """See Port: PortAudio looks at the devices when it starts, and never again."""
        with suppress(self._library.PortAudioError):  # it had not started: the last refresh failed
            self._library._terminate()
        try:
            self._library._initialize()
        except self._library.PortAudioError as error:
            raise CannotOpen(f"PortAudio does not start ({_reason(error)})") from error

    def open(
        self,
        device: Device,
        direction: Direction,
        channels: int,
        latency_s: float,
        callback: Callback,
        finished: Callable[[], None],
    ) -> Stream:
        """See Port. A device that cannot have so many channels gets all that it has, or one."""
        last: Exception | None = None
        for count in dict.fromkeys((channels, device.channels(direction), 1)):
            try:
                return self._start(device, direction, count, latency_s, callback, finished)
            except self._library.PortAudioError as error:
                last = error
                if _code(error) != _BAD_CHANNELS:
                    break
        assert last is not None, "a device has channels"
        raise translated(last, device) from last

    def _start(
        self,
        device: Device,
        direction: Direction,
        channels: int,
        latency_s: float,
        callback: Callback,
        finished: Callable[[], None],
    ) -> Stream:
        def record(data: Any, _frames: int, at: Any, status: Any) -> None:  # noqa: ANN401  # cffi's
            callback(data, BlockTime(at.inputBufferAdcTime, at.currentTime, status.input_overflow))

        def play(data: Any, _frames: int, at: Any, status: Any) -> None:  # noqa: ANN401  # cffi's
            callback(data, BlockTime(at.outputBufferDacTime, at.currentTime, status.output_underflow))

        kind = self._library.InputStream if direction == "input" else self._library.OutputStream
        stream = kind(
            device=device.index,
            samplerate=device.rate,
            blocksize=device.rate // 100,
            channels=channels,
            dtype="float32",
            latency=latency_s,
            callback=record if direction == "input" else play,
            finished_callback=finished,
        )
        try:
            stream.start()
        except self._library.PortAudioError:
            stream.close()
            raise
        return _Started(stream)


class _Started:
    """See Stream."""

    def __init__(self, stream: Any) -> None:  # noqa: ANN401  # sounddevice's
        self._stream = stream

    @property
    def latency_s(self) -> float:
        """See Stream."""
        return float(self._stream.latency)

    def close(self) -> None:
        """See Stream."""
        self._stream.close(ignore_errors=True)


def translated(error: Exception, device: Device) -> DeviceError:
    """What PortAudio's `error` means for who wants to use `device`."""
    reason, code = _reason(error), _code(error)
    if any(word in reason.lower() for word in _DENIED):
        return PermissionDenied(f"{device.name} may not be used")
    if code == _UNAVAILABLE or any(word in reason.lower() for word in _BUSY):
        return DeviceBusy(f"{device.name} is held by another program")
    if code == _BAD_COMBINATION:  # ALSA: any other error of opening it
        return DeviceBusy(f"{device.name} cannot be opened: it is held by another program, or has gone")
    kind = RateRefused if code == _BAD_RATE else CannotOpen
    return kind(f"{device.name} cannot be opened at {device.rate} Hz ({reason})")


def _code(error: Exception) -> int | None:
    return error.args[1] if len(error.args) > 1 else None


def _reason(error: Exception) -> str:
    """PortAudio's words on one line, and those of the system below it."""
    host = str(error.args[2][2]) if len(error.args) > 2 else ""
    parts = [str(error.args[0]) if error.args else "", host]
    return " ".join(": ".join(part for part in parts if part).split())


@contextmanager
def native_messages_dropped() -> Iterator[None]:
    """Keep what C libraries write to standard error off the screen; Python's own messages still come."""
    if sys.stderr is not sys.__stderr__ or sys.stderr is None:
        yield  # somebody catches them already
        return
    sys.stderr.flush()
    kept, before = os.dup(2), sys.stderr
    try:
        with open(kept, "w", buffering=1, closefd=False, encoding=before.encoding) as ours:
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, 2)
            os.close(null)
            sys.stderr = ours
            try:
                yield
            finally:
                sys.stderr = before
    finally:
        os.dup2(kept, 2)
        os.close(kept)
