"""What is said of entities and their states."""

from collections.abc import Sequence

from assistant.home.effects import fulfils
from assistant.home.entities import (
    Activate,
    Close,
    Command,
    Entity,
    Lock,
    Open,
    ReturnToBase,
    SetPosition,
    SetSpeed,
    SetTemperature,
    SetVolume,
    Start,
    State,
    TurnOff,
    TurnOn,
)
from assistant.skills.listed import spoken

_WHITES = {
    1900: "the colour of candle light",
    2700: "warm white",
    4000: "cold white",
    6500: "the colour of daylight",
}
_STANDS = {Open: "open", Close: "closed", Lock: "locked", TurnOff: "off", Start: "cleaning"}


def the(entity: Entity) -> str:
    """The entity as it is named within a sentence: "the kitchen light", "Anna's lamp", "lamp 2"."""
    words = [word.lower() if word.istitle() else word for word in entity.name.split()]
    name = " ".join(words)
    plain = words[0].endswith(("'s", "\u2019s")) or words[0] in ("the", "my", "our") or words[-1].isdecimal()
    return name if plain else f"the {name}"


def all_of(entities: Sequence[Entity]) -> str:
    """All by name."""
    return spoken([the(entity) for entity in entities])


def group(entities: Sequence[Entity], area: str, everywhere: bool) -> str:
    """Several at once, by what they have in common: "the bedroom lights"."""
    if len(entities) > 1 and {entity.domain for entity in entities} == {"light"}:
        if area:
            return f"the {area} lights"
        if everywhere:
            return "all the lights"
    return all_of(entities)


def are(entities: Sequence[Entity]) -> str:
    """The verb for them: "the blinds" are several."""
    plural = len(entities) > 1 or entities[0].name.casefold().endswith(
        ("lights", "lamps", "blinds", "curtains", "shades", "shutters", "doors", "windows", "fans")
    )
    return "are" if plural else "is"


def capital(words: str) -> str:
    """With a capital at the beginning of a sentence."""
    return words[:1].upper() + words[1:]


def expected(who: str, verb: str, command: Command) -> str:
    """The sentence that is true once `command` was carried out."""
    match command:
        case Activate():
            return f"Okay, {who.removeprefix('the ')}."
        case ReturnToBase():
            return capital(f"{who} {verb} on the way back.")
        case SetTemperature(temperature=level):
            return capital(f"{who} {verb} set to {degrees(level)}.")
        case SetPosition(position=level) | SetSpeed(percentage=level) | SetVolume(volume=level):
            return capital(f"{who} {verb} at {level:.0f} percent.")
        case TurnOn():
            return capital(f"{who} {verb} {_light(command)}.")
    return capital(f"{who} {verb} {_STANDS[type(command)]}.")


def _light(command: TurnOn) -> str:
    if command.color is not None:
        return command.color
    if command.color_temp_k is not None:
        return _WHITES.get(command.color_temp_k, f"at {command.color_temp_k} kelvin")
    return "on" if command.brightness_pct is None else f"at {command.brightness_pct:.0f} percent"


def on_the_way(entity: Entity, command: Command, state: State) -> str | None:
    """What is true instead of `expected` while a cover still moves; None if it has arrived."""
    moving = state.value in ("opening", "closing") and fulfils(entity.domain, command, state)
    return capital(f"{the(entity)} {are([entity])} {state.value}.") if moving else None


def degrees(temperature: float) -> str:
    """ "21 degrees", "20.5 degrees"."""
    return f"{temperature:g} degree{'' if temperature == 1 else 's'}"
