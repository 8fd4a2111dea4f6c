"""What is asked about the home: whether a light is on, which doors are open, how warm it is."""

import re
from collections.abc import Sequence

from assistant.home.entities import UNAVAILABLE, Entity, Home, State
from assistant.skills.house.targets import find, key
from assistant.skills.house.words import all_of, are, capital, degrees, group, the
from assistant.skills.skill import Intent

_WHICH = re.compile(r"\b(?:which|what)\b", re.IGNORECASE)
_HOW_MANY = re.compile(r"\bhow many\b", re.IGNORECASE)
_ANY = re.compile(r"\b(?:any|some|there)\b", re.IGNORECASE)
_OPENED = ("door", "garage_door", "window", "opening")
_SWITCHED = {"light", "switch", "fan", "media_player"}


def asked_state(home: Home, intent: Intent) -> str | None:
    """The answer to HassGetState; None if nothing is known of what is asked about."""
    found = find(home, "HassGetState", intent.slots)
    if not found:
        return None
    silent = [entity for entity in found if not _known(home.state(entity.id))]
    if len(silent) == len(found):
        return f"I can't tell: {all_of(found)} {are(found)} not reachable right now."
    wanted = intent.slots.get("state")
    if wanted is None:
        return " ".join(_describe(entity, home) for entity in found)
    known = [entity for entity in found if entity not in silent]
    which = [entity for entity in known if _is(entity, _state(home, entity), str(wanted))]
    said = _compare(intent, known, which, home)
    return f"{said} I can't reach {all_of(silent)}." if silent else said


def _compare(intent: Intent, known: Sequence[Entity], which: Sequence[Entity], home: Home) -> str:
    word = _word(known[0], str(intent.slots["state"]))
    if len(known) == 1 and not _HOW_MANY.search(intent.text):
        yes = "Yes" if which else "No"
        return f"{yes}, {the(known[0])} {are(known)} {_value(known[0], _state(home, known[0]))}."
    who = group(known, str(intent.slots.get("area", "")), True)
    if len(which) == len(known):
        return capital(f"{who} are {word}.") if _counts(intent) else f"Yes, {who} are {word}."
    if _HOW_MANY.search(intent.text):
        return f"{len(which)} of {len(known)}: {all_of(which)}." if which else "None of them."
    if not which:
        return f"{'None of them is' if _counts(intent) else 'No, none of them is'} {word}."
    yes = "" if _counts(intent) else "Yes, " if _ANY.search(intent.text) else "No, only "
    names = all_of(which) if yes else capital(all_of(which))
    return f"{yes}{names} {are(which)} {word}."


def _counts(intent: Intent) -> bool:
    return bool(_WHICH.search(intent.text) or _HOW_MANY.search(intent.text))


def asked_temperature(home: Home, intent: Intent) -> str | None:
    """How warm it is, and what the thermostat is set to; None if nothing in the home knows."""
    area = intent.slots.get("area")
    sensors = [
        entity
        for entity in home.entities
        if entity.domain == "sensor"
        and _state(home, entity).attributes.get("device_class") == "temperature"
        and (key(entity.area) == area or (area is None and "name" not in intent.slots))
    ]
    heating = find(home, "HassClimateGetTemperature", intent.slots)
    measured = _number(sensors[0], home) if sensors else None
    if not heating:
        return None if measured is None else f"It's {degrees(measured)} in {_room(sensors[0])}."
    thermostat, state = heating[0], _state(home, heating[0])
    if not _known(state):
        return f"I can't reach {the(thermostat)} right now."
    current = state.attributes.get("current_temperature") if measured is None else measured
    target = state.attributes.get("temperature")
    now = f"it's {degrees(current)}" if isinstance(current, int | float) else ""
    aim = f"{the(thermostat)} is set to {degrees(target)}" if isinstance(target, int | float) else ""
    said = ", and ".join(filter(None, (now, aim)))
    return f"{capital(said)}." if said else f"{capital(the(thermostat))} doesn't say how warm it is."


def _room(entity: Entity) -> str:
    return f"the {key(entity.area)}" if entity.area else "the house"


def _number(entity: Entity, home: Home) -> float | None:
    try:
        return round(float(_state(home, entity).value), 1)
    except ValueError:
        return None


def _state(home: Home, entity: Entity) -> State:
    return home.state(entity.id) or State("unknown")


def _known(state: State | None) -> bool:
    return state is not None and state.value not in ("unknown", UNAVAILABLE)


def _is(entity: Entity, state: State, wanted: str) -> bool:
    if entity.domain == "binary_sensor":
        wanted = {"open": "on", "closed": "off"}.get(wanted, wanted)
    if entity.domain in ("media_player", "climate") and wanted == "on":
        return state.value != "off"  # it plays, or heats
    return state.value == wanted


def _word(entity: Entity, wanted: str) -> str:
    opened = entity.domain == "binary_sensor" and wanted in ("on", "off")
    return {"on": "open", "off": "closed"}[wanted] if opened else wanted


def _value(entity: Entity, state: State) -> str:
    """A state in words."""
    if entity.domain == "binary_sensor" and state.attributes.get("device_class", "opening") in _OPENED:
        return {"on": "open", "off": "closed"}.get(state.value, state.value)
    if entity.domain == "climate" and state.value != "off":
        return f"on, in {state.value.replace('_', ' ')} mode"
    brightness, position = state.attributes.get("brightness_pct"), state.attributes.get("position")
    if state.value == "on" and isinstance(brightness, int | float):
        return f"on, at {brightness:.0f} percent"
    if state.value == "open" and isinstance(position, int | float) and position < 100:
        return f"open, at {position:.0f} percent"
    return state.value


def _describe(entity: Entity, home: Home) -> str:
    state = _state(home, entity)
    if not _known(state):
        return f"I can't reach {the(entity)} right now."
    unit, target = state.attributes.get("unit"), state.attributes.get("temperature")
    if entity.domain == "climate" and isinstance(target, int | float):
        return capital(f"{the(entity)} is set to {degrees(target)}.")
    value = f"{state.value} {unit}" if entity.domain == "sensor" and unit else _value(entity, state)
    return capital(f"{the(entity)} {are([entity])} {value}.")
