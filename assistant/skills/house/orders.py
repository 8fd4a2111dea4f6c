"""From an intent to commands, their outcome in words, and the way back."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from assistant.home.colors import COLORS
from assistant.home.effects import check, fulfils
from assistant.home.entities import (
    UNAVAILABLE,
    Activate,
    Close,
    Command,
    CommandUnsupported,
    Domain,
    Entity,
    Home,
    HomeError,
    HomeUnavailable,
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
from assistant.skills.house.words import all_of, are, on_the_way, the
from assistant.skills.skill import Intent

UNREACHABLE = "I can't reach the home right now."
_ON: Mapping[Domain, Command] = {
    "cover": Open(),
    "lock": Lock(),
    "scene": Activate(),
    "button": Activate(),
    "vacuum": Start(),
}
_OFF: Mapping[Domain, Command] = {"cover": Close(), "vacuum": ReturnToBase()}


@dataclass(frozen=True)
class Order:
    """One command to one entity."""

    entity: Entity
    command: Command


@dataclass(frozen=True)
class Outcome:
    """What came of an order: a state, no state within its time, or an error."""

    order: Order
    state: State | None = None
    error: HomeError | None = None


def command(intent: Intent, entity: Entity, state: State | None) -> Command:
    """What an intent asks of one entity. Raises CommandUnsupported."""
    slots = intent.slots
    match intent.name:
        case "HassTurnOn":
            wanted: Command = _ON.get(entity.domain, TurnOn())
        case "HassTurnOff":
            wanted = _OFF.get(entity.domain, TurnOff())
        case "HassLightSet":
            wanted = _light(intent)
        case "HassClimateSetTemperature":
            wanted = SetTemperature(_temperature(intent, state))
        case "HassSetPosition":
            wanted = SetPosition(float(slots["position"]))
        case "HassFanSetSpeed":
            wanted = SetSpeed(float(slots["percentage"]))
        case "HassSetVolume" | "HassSetVolumeRelative":
            wanted = SetVolume(float(slots["volume_level"]))
        case "HassVacuumStart":
            wanted = Start()
        case _:
            wanted = ReturnToBase()
    check(entity.domain, wanted)
    return wanted


def _light(intent: Intent) -> Command:
    brightness, color = intent.slots.get("brightness"), intent.slots.get("color")
    kelvin = intent.slots.get("temperature")
    if color is not None and color not in COLORS:
        raise CommandUnsupported(f"no light is {color}")
    if brightness == 0:
        return TurnOff()
    return TurnOn(
        None if brightness is None else float(brightness),
        None if color is None else str(color),
        None if kelvin is None else int(kelvin),
    )


def _temperature(intent: Intent, state: State | None) -> float:
    """In the entity's own unit; without one that is known, as it was said."""
    said, unit = float(intent.slots["temperature"]), intent.slots.get("unit")
    theirs = str(state.attributes.get("unit") or "")[-1:] if state else ""
    if unit == "F" and theirs == "C":
        return round((said - 32) / 1.8 * 2) / 2
    if unit == "C" and theirs == "F":
        return float(round(said * 1.8 + 32))
    return said


async def carry_out(home: Home, orders: Sequence[Order]) -> list[Outcome]:
    """Give all orders at once; none of them waits for another."""
    return list(await asyncio.gather(*(_one(home, order) for order in orders)))


async def _one(home: Home, order: Order) -> Outcome:
    try:
        return Outcome(order, await home.command(order.entity.id, order.command))
    except HomeError as error:
        return Outcome(order, error=error)


def what_is_true(home: Home, outcomes: Sequence[Outcome]) -> str | None:
    """What is to be said in place of what was expected; None if all is as expected."""
    problems: dict[str, list[Entity]] = {}
    for outcome in outcomes:
        kind = _problem(outcome)
        if kind:
            problems.setdefault(kind, []).append(outcome.order.entity)
    if not problems:
        moving = (_moving(outcome) for outcome in outcomes)
        return next((text for text in moving if text and len(outcomes) == 1), None)
    if len(problems.get("unreachable", ())) == len(outcomes):
        return _unreachable(home, [outcome.order.entity for outcome in outcomes])
    values = {outcome.order.entity.id: outcome.state.value for outcome in outcomes if outcome.state}
    states = "; ".join(_says(entity, values) for entity in problems.get("other", ()))
    said = " ".join(
        _PROBLEMS[kind].format(who=all_of(who), verb=_have(who), states=states)
        for kind, who in problems.items()
    )
    fine = len(outcomes) - sum(map(len, problems.values()))
    return f"Not all of that worked. {said}" if fine else said


_PROBLEMS = {
    "unanswered": "I sent that, but {who} {verb} not answered.",
    "in doubt": "I sent that, but then lost the connection, so I don't know whether {who} got it.",
    "assumed": "I sent that, but I can't see whether it worked: {who} never reports back.",
    "unreachable": "I can't reach {who}.",
    "unsupported": "That can't be done with {who}.",
    "other": "I sent that, but {states}.",
}


def _problem(outcome: Outcome) -> str:
    match outcome.error:
        case HomeUnavailable(in_doubt=True):
            return "in doubt"
        case HomeUnavailable():
            return "unreachable"
        case HomeError():
            return "unsupported"
    order, state = outcome.order, outcome.state
    if state is None:
        return "unanswered"
    if isinstance(order.command, Activate):
        return ""  # the state of a scene says nothing
    if state.value == UNAVAILABLE:
        return "unreachable"
    if state.assumed:
        return "assumed"
    return "" if fulfils(order.entity.domain, order.command, state) else "other"


def _moving(outcome: Outcome) -> str | None:
    order, state = outcome.order, outcome.state
    return on_the_way(order.entity, order.command, state) if state else None


def _unreachable(home: Home, entities: Sequence[Entity]) -> str:
    states = [home.state(entity.id) for entity in entities]
    gone = all(state is not None and state.value == UNAVAILABLE for state in states)
    return f"I can't reach {all_of(entities)} right now." if gone else UNREACHABLE


def _says(entity: Entity, values: Mapping[str, str]) -> str:
    return f"{the(entity)} says it is {values[entity.id]}"


def _have(entities: Sequence[Entity]) -> str:
    return "have" if are(entities) == "are" else "has"


def way_back(entity: Entity, before: State | None) -> Command | None:
    """What restores a state, where that is harmless: doors, covers and vacuums stay as they are."""
    if before is None or before.value in ("unknown", UNAVAILABLE):
        return None
    attributes = before.attributes
    if entity.domain == "climate":
        target = attributes.get("temperature")
        return SetTemperature(float(target)) if isinstance(target, int | float) else None
    if entity.domain not in ("light", "switch", "fan", "media_player"):
        return None
    volume, speed = attributes.get("volume"), attributes.get("percentage")
    if before.value == "off":
        return TurnOff()
    if entity.domain == "media_player" and isinstance(volume, int | float):
        return SetVolume(float(volume))
    if entity.domain == "fan" and isinstance(speed, int | float) and speed:
        return SetSpeed(float(speed))
    return _as_it_shone(before) if entity.domain == "light" else TurnOn()


def _as_it_shone(before: State) -> TurnOn:
    brightness, color = before.attributes.get("brightness_pct"), before.attributes.get("color")
    kelvin = before.attributes.get("color_temp_k")
    return TurnOn(
        float(brightness) if isinstance(brightness, int | float) else None,
        color if isinstance(color, str) else None,
        int(kelvin) if isinstance(kelvin, int | float) and not color else None,
    )


def undone(orders: Sequence[Order], before: Mapping[str, State | None]) -> list[Order]:
    """The orders that take back `orders`."""
    back = ((order.entity, way_back(order.entity, before.get(order.entity.id))) for order in orders)
    return [Order(entity, command) for entity, command in back if command is not None]
