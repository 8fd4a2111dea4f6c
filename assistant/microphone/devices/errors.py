"""What can be wrong with sound devices, each in one line with what to do about it on this system."""

import sys
from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal

Direction = Literal["input", "output"]

NAMES: Mapping[Direction, str] = {"input": "microphone", "output": "loudspeaker"}


class DeviceError(Exception):
    """A sound device that cannot be used. The message ends with the remedy for `system`, a `sys.platform`."""

    remedies: ClassVar[Mapping[str, str]] = {}

    def __init__(self, what: str, system: str = sys.platform) -> None:
        self.what = what
        self.remedy = self.remedies.get(system, self.remedies.get("linux", ""))
        super().__init__(f"{what}: {self.remedy}" if self.remedy else what)


class PortAudioMissing(DeviceError):  # noqa: N818  # a condition with a name of its own
    """sounddevice, or the library that it calls, is not installed."""

    remedies: ClassVar = {
        "linux": "sudo apt install libportaudio2 (elsewhere: PortAudio), and pip install -e '.[mic]'",
        "darwin": "pip install -e '.[mic]', which brings PortAudio with it",
        "win32": "pip install -e '.[mic]', which brings PortAudio with it",
    }


class NoDevice(DeviceError):  # noqa: N818  # a condition with a name of its own
    """There is nothing to record from, or nothing to play on."""

    remedies: ClassVar = {
        "linux": "connect one; if it is connected, see that `pactl info` finds a sound server and that this"
        " user is in the group audio",
        "darwin": "connect one, and see that System Settings > Sound shows it",
        "win32": "connect one, and see that Settings > System > Sound shows it as enabled",
    }

    def __init__(self, direction: Direction, system: str = sys.platform) -> None:
        super().__init__(f"no {NAMES[direction]}", system)


class UnknownDevice(DeviceError):  # noqa: N818  # a condition with a name of its own
    """No device of this direction has such a name; `candidates` are those there are."""

    def __init__(self, direction: Direction, name: str, candidates: Sequence[str]) -> None:
        self.candidates = tuple(candidates)
        listed = ", ".join(candidates) or "none"
        super().__init__(f"no {NAMES[direction]} is called {name!r}; there are: {listed}")


class AmbiguousDevice(DeviceError):  # noqa: N818  # a condition with a name of its own
    """A name that fits several devices."""

    def __init__(self, direction: Direction, name: str, candidates: Sequence[str]) -> None:
        self.candidates = tuple(candidates)
        listed = ", ".join(candidates)
        super().__init__(f"{name!r} fits more than one {NAMES[direction]}, say more of the name: {listed}")


class WrongDirection(DeviceError):  # noqa: N818  # a condition with a name of its own
    """A microphone named as a loudspeaker, or the other way about."""

    def __init__(self, direction: Direction, name: str, candidates: Sequence[str]) -> None:
        other = NAMES["output" if direction == "input" else "input"]
        listed = ", ".join(candidates) or "none"
        super().__init__(f"{name!r} is a {other} only; every {NAMES[direction]}: {listed}")


class DeviceBusy(DeviceError):  # noqa: N818  # a condition with a name of its own
    """Another program holds the device, or it has just gone."""

    remedies: ClassVar = {
        "linux": "close the program that uses it (`fuser -v /dev/snd/*` names it), or choose the device of"
        " the sound server (default, pulse, pipewire), which shares it",
        "darwin": "close the program that uses it, or choose another device",
        "win32": "close the program that uses it, or clear Settings > Sound > Properties > exclusive control",
    }


class PermissionDenied(DeviceError):  # noqa: N818  # a condition with a name of its own
    """The system does not let this program use the device."""

    remedies: ClassVar = {
        "linux": "sudo usermod -aG audio $USER, then log in again",
        "darwin": "allow the terminal in System Settings > Privacy & Security > Microphone, and restart it",
        "win32": "turn on Settings > Privacy & security > Microphone > let desktop apps access it",
    }


class OnlyZeros(DeviceError):  # noqa: N818  # a condition with a name of its own
    """The microphone gives nothing but zeros: muted in hardware, unplugged, or, on macOS, not permitted."""

    remedies: ClassVar = {
        "linux": "plug it in, unmute it (its own switch, `pactl list sources`, `alsamixer`)",
        "darwin": "allow the terminal in System Settings > Privacy & Security > Microphone, and unmute it",
        "win32": "allow desktop apps in Settings > Privacy & security > Microphone, and unmute it",
    }


class CannotOpen(DeviceError):  # noqa: N818  # a condition with a name of its own
    """A device that PortAudio opens in no form that is known here; the message has PortAudio's reason."""

    remedies: ClassVar = {
        "linux": "choose another device with --input or --output (`assistant devices` lists them)",
    }


class NoWakeWord(DeviceError):  # noqa: N818  # a condition with a name of its own
    """A wake word is wanted that nothing can detect here, or that nobody would say."""


class DeviceLost(DeviceError):  # noqa: N818  # a condition with a name of its own
    """A device went away, and what was under way cannot be resumed."""

    remedies: ClassVar = {"linux": "see that both are connected, and try again"}


class RateRefused(CannotOpen):
    """The device does not run at this rate."""


class NoTerminal(DeviceError):  # noqa: N818  # a condition with a name of its own
    """Keys are wanted, and nobody can press one."""
