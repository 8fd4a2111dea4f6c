"""What a command makes of a state: for a home without devices, and to tell whether a device has obeyed."""

from collections.abc import Mapping
from dataclasses import replace

from assistant.home.colors import WHITES_K
from assistant.home.entities import (
    UNAVAILABLE,
    Activate,
    Attribute,
    Close,
    Command,
    CommandUnsupported,
    Domain,
    Lock,
    Open,
    ReturnToBase,
    SetPosition,
    SetSpeed,
    SetTemperature,
    SetVolume,
    Start,
    State,
    Stop,
    TurnOff,
    TurnOn,
    Unlock,
)

ACCEPTS: Mapping[Domain, tuple[type[Command], ...]] = {
    "binary_sensor": (),
    "button": (Activate,),
    "climate": (TurnOn, TurnOff, SetTemperature),
    "cover": (Open, Close, Stop, SetPosition),
    "fan": (TurnOn, TurnOff, SetSpeed),
    "light": (TurnOn, TurnOff),
    "lock": (Lock, Unlock),
    "media_player": (TurnOn, TurnOff, SetVolume),
    "scene": (Activate,),
    "sensor": (),
    "switch": (TurnOn, TurnOff),
    "vacuum": (Start, Stop, ReturnToBase),
}
"""The commands that make sense for each domain; a device may still lack what one needs."""

_VALUES: Mapping[type[Command], str] = {
    TurnOn: "on",
    TurnOff: "off",
    Open: "open",
    Close: "closed",
    Stop: "stopped",
    Lock: "locked",
    Unlock: "unlocked",
    Start: "cleaning",
    ReturnToBase: "docked",
    Activate: "activated",
}
_MEASURED = {"brightness_pct": 2.0, "percentage": 17.0, "position": 2.0, "temperature": 0.5, "volume": 2.0}
"""By how much a device may round what it was told: a fan may have three speeds. Colours shift too far to be
compared."""


def check(domain: Domain, command: Command) -> None:
    """Raises CommandUnsupported for what makes no sense for the domain."""
    if not isinstance(command, ACCEPTS[domain]):
        raise CommandUnsupported(f"a {domain.replace('_', ' ')} takes no {type(command).__name__}")
    if isinstance(command, TurnOn) and command != TurnOn() and domain != "light":
        raise CommandUnsupported(f"a {domain.replace('_', ' ')} has neither brightness nor colour")


def effect(domain: Domain, command: Command, before: State | None) -> State:
    """The state after `command`, if all goes well and at once. Raises CommandUnsupported."""
    check(domain, command)
    old = before or State("unknown")
    value, changes = _changes(domain, command, old)
    merged = {**old.attributes, **changes}
    known = {name: attribute for name, attribute in merged.items() if attribute is not None}
    return replace(old, value=value, attributes=known)


def _changes(domain: Domain, command: Command, old: State) -> tuple[str, dict[str, Attribute]]:
    match command:
        case TurnOn():
            heats = domain == "climate"
            return ("heat" if heats else "on"), _light(command)
        case SetTemperature(temperature=temperature):
            return old.value, {"temperature": temperature}
        case SetSpeed(percentage=percentage):
            return ("on" if percentage else "off"), {"percentage": percentage}
        case SetVolume(volume=volume):
            return old.value, {"volume": volume}
        case SetPosition(position=position):
            return ("open" if position else "closed"), {"position": position}
        case Open() | Close():
            return _VALUES[type(command)], {"position": 100 if isinstance(command, Open) else 0}
        case Stop() if domain == "vacuum":
            return "idle", {}
        case Stop():
            return old.value, {}
    return _VALUES[type(command)], {}


def _light(command: TurnOn) -> dict[str, Attribute]:
    """What is said of a light; of a colour and a colour temperature one replaces the other."""
    changes: dict[str, Attribute] = {}
    if command.brightness_pct is not None:
        changes["brightness_pct"] = command.brightness_pct
    if command.color is not None:
        changes |= {"color": command.color, "color_temp_k": WHITES_K.get(command.color)}
    if command.color_temp_k is not None:
        changes |= {"color": None, "color_temp_k": command.color_temp_k}
    return changes


def fulfils(domain: Domain, command: Command, state: State) -> bool:
    """Whether `state`, as a device reports it, is what `command` asked for, or is on its way there."""
    match command:
        case Stop():
            return True
        case Open():
            return state.value in ("open", "opening")
        case Close():
            return state.value in ("closed", "closing")
        case ReturnToBase():
            return state.value in ("docked", "returning")
        case SetPosition() if state.value in ("opening", "closing"):
            return True
        case TurnOn() if domain == "climate":
            return state.value not in ("off", "unknown", UNAVAILABLE)
    wanted = effect(domain, command, State(state.value))
    return state.value == wanted.value and all(_agrees(name, state, wanted) for name in _MEASURED)


def _agrees(name: str, state: State, wanted: State) -> bool:
    asked, found = wanted.attributes.get(name), state.attributes.get(name)
    if not isinstance(asked, int | float):
        return True
    return isinstance(found, int | float) and abs(found - asked) <= _MEASURED[name]
