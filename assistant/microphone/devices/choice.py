"""Which device: by a part of its name, never by its number, which changes when one is plugged in."""

from collections.abc import Iterable, Sequence

from assistant.microphone.devices.errors import (
    NAMES,
    AmbiguousDevice,
    DeviceError,
    Direction,
    NoDevice,
    UnknownDevice,
    WrongDirection,
)
from assistant.microphone.devices.port import Device


def choose(devices: Iterable[Device], direction: Direction, name: str | None) -> Device:
    """The device of `direction` whose name, or name and host API, has all words of `name`.

    The system's default where no name is given; one that is called exactly so comes before all others. Of one
    name under several host APIs the default's is taken. Raises NoDevice, UnknownDevice, WrongDirection and
    AmbiguousDevice.
    """
    devices = tuple(devices)
    able = [device for device in devices if device.channels(direction)]
    if not able:
        raise NoDevice(direction)
    default = next((device for device in able if device.is_default(direction)), able[0])
    if name is None:
        return default
    fitting = [device for device in able if _fits(device, name)]
    exact = [device for device in fitting if name.lower() in (device.name.lower(), label(device).lower())]
    fitting = exact or fitting
    if len({device.name for device in fitting}) == 1:
        return next((device for device in fitting if device.api == default.api), fitting[0])
    if fitting:
        raise AmbiguousDevice(direction, name, [label(device) for device in fitting])
    error = WrongDirection if any(_fits(device, name) for device in devices) else UnknownDevice
    raise error(direction, name, [label(device) for device in able])


def label(device: Device) -> str:
    """Name and host API: what tells it from all others."""
    return f"{device.name}, {device.api}"


def _fits(device: Device, name: str) -> bool:
    words = name.lower().replace(",", " ").split()
    return bool(words) and all(word in label(device).lower() for word in words)


def table(devices: Sequence[Device]) -> str:
    """What `assistant devices` prints: microphones and loudspeakers, `*` the default, then the problems."""
    lines: list[str] = []
    directions: tuple[Direction, ...] = ("input", "output")
    for direction in directions:
        lines.append(f"{NAMES[direction].capitalize()}s (--{direction}):")
        able = [device for device in devices if device.channels(direction)]
        lines += [_row(device, direction) for device in able] or ["    none"]
        lines.append("")
    return "\n".join(lines[:-1])


def _row(device: Device, direction: Direction) -> str:
    count = device.channels(direction)
    mark = "*" if device.is_default(direction) else " "
    channels = "1 channel" if count == 1 else f"{count} channels"
    return f"  {mark} {label(device)}  ({device.rate} Hz, {channels})"


def problems(devices: Sequence[Device]) -> list[DeviceError]:
    """What keeps one from talking with these devices."""
    found: list[DeviceError] = []
    directions: tuple[Direction, ...] = ("input", "output")
    for direction in directions:
        try:
            choose(devices, direction, None)
        except DeviceError as error:
            found.append(error)
    return found
