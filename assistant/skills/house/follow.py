"""What only the turn before makes clear: "turn it off again", "and the bedroom too", "brighter"."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from assistant.home.entities import Domain, Entity, Home, State
from assistant.skills.house.targets import DOMAINS, PLACE, find, key
from assistant.skills.skill import Intent, Value

FOLLOWING = (
    "OnIt", "OffIt", "SetIt", "ColorIt", "AndToo", "UpIt", "DownIt", "Brighter", "Dimmer", "Warmer", "Cooler",
)  # fmt: skip
_TOO = re.compile(r"\b(?:and|also|too|as well|same)\b", re.IGNORECASE)
_WHAT_ABOUT = re.compile(r"\b(?:and|what about|how about)\b", re.IGNORECASE)
_ONE_LIGHT = re.compile(r"\b(?:the|my|our|that) (light|lamp)\b", re.IGNORECASE)
_STEP = 20  # percent: a step that is seen
_LEAST = 10.0  # percent: "dimmer" is not "off"
_A_BIT = re.compile(r"\b(?:bit|little|tad|slightly|touch|somewhat)\b", re.IGNORECASE)
_A_LOT = re.compile(r"\b(?:lot|much)\b", re.IGNORECASE)
_LEVEL: Mapping[Domain, tuple[str, str, str]] = {
    "light": ("HassLightSet", "brightness", "brightness_pct"),
    "cover": ("HassSetPosition", "position", "position"),
    "fan": ("HassFanSetSpeed", "percentage", "percentage"),
    "media_player": ("HassSetVolume", "volume_level", "volume"),
    "climate": ("HassClimateSetTemperature", "temperature", "temperature"),
}
"""By domain: the intent that sets how much, its slot, and the attribute that tells it."""


def meant(intent: Intent, before: Intent | None, home: Home) -> Intent | None:
    """The intent in full; None if it follows from nothing, or cannot be told."""
    place = _place(intent) or (_place(before) if before is not None and before.name in DOMAINS else {})
    about = before if before is not None and before.name in DOMAINS else None
    match intent.name:
        case "Brighter" | "Dimmer":
            return _more(intent, place, home, intent.name == "Brighter", ("light",))
        case "Warmer" | "Cooler":
            climate = place if about is not None and "Climate" in about.name else {}
            return _more(intent, climate, home, intent.name == "Warmer", ("climate",))
        case "AndToo":
            return None if about is None else _too(intent, about, home)
    if about is None:
        return None
    match intent.name:
        case "UpIt" | "DownIt":
            found = find(home, about.name, place)
            kind: tuple[Domain, ...] = (found[0].domain,) if found and found[0].domain in _LEVEL else ()
            return _more(intent, place, home, intent.name == "UpIt", kind) if kind else None
        case "OnIt" | "OffIt":
            return _with("HassTurnOn" if intent.name == "OnIt" else "HassTurnOff", place, {}, intent)
        case "ColorIt":
            return _with("HassLightSet", place, intent.slots, intent)
    return _set(intent, about, place, home)


def one_light(intent: Intent, before: Intent | None, home: Home) -> Intent:
    """ "The lamp" is the only one of that name, "the light" that which was talked about, if there is one."""
    said = _ONE_LIGHT.search(intent.text)
    if said is None or intent.slots.get("domain") != "light" or "area" in intent.slots:
        return intent
    lights = [key(entity.name) for entity in home.entities if entity.domain == "light"]
    named = [name for name in lights if name.split()[-1] == said[1].casefold()]
    talked_about = _place(before) if before is not None and before.name in DOMAINS else {}
    rest = {name: value for name, value in intent.slots.items() if name != "domain"}
    if len(named) == 1:
        return replace(intent, slots={**rest, "name": named[0]})
    about = find(home, "HassLightSet", talked_about) if talked_about else []
    return replace(intent, slots={**rest, **talked_about}) if about else intent


def _place(intent: Intent) -> dict[str, Value]:
    return {name: value for name, value in intent.slots.items() if name in PLACE}


def _with(name: str, place: Mapping[str, Value], slots: Mapping[str, Value], said: Intent) -> Intent:
    return Intent(name, {**place, **slots}, said.text, said.open_ended)


def _set(intent: Intent, about: Intent, place: Mapping[str, Value], home: Home) -> Intent | None:
    found = find(home, about.name, place)
    if not found or found[0].domain not in _LEVEL:
        return None
    name, slot, _ = _LEVEL[found[0].domain]
    unit = {"unit": intent.slots["unit"]} if "unit" in intent.slots else {}
    if name.startswith("HassClimate") == ("percent" in intent.text or "%" in intent.text):
        return None
    return _with(name, place, {slot: intent.slots["level"], **unit}, intent)


def _too(intent: Intent, about: Intent, home: Home) -> Intent | None:
    asks = about.name in ("HassGetState", "HassClimateGetTemperature")
    if not (_WHAT_ABOUT if asks else _TOO).search(intent.text):
        return None
    place = _place(intent)
    if place.pop("domain", None) and about.name not in ("HassClimateGetTemperature",):
        place["domain"] = _domain(about, home)
    done = {name: value for name, value in about.slots.items() if name not in PLACE}
    return _with(about.name, place, done, intent)


def _domain(about: Intent, home: Home) -> Value:
    found = find(home, about.name, _place(about))
    return found[0].domain if found else "light"


def _more(
    intent: Intent, place: Mapping[str, Value], home: Home, up: bool, domains: Sequence[Domain]
) -> Intent | None:
    """Brighter, warmer, faster, by a step from where it is."""
    domain = str(place.get("domain", ""))
    where = {**place} if domain or "name" in place else {**place, "domain": domains[0]}
    found = [entity for entity in find(home, "HassTurnOn", where) if entity.domain in domains]
    if not found or (domains == ("light",) and not place):
        return None
    name, slot, attribute = _LEVEL[found[0].domain]
    level = _level(home, found, attribute)
    if level is None:
        return None
    step = _step(intent, found[0].domain)
    new = level + (step if up else -step)
    if found[0].domain != "climate":
        new = min(100.0, max(min(_LEAST, level), new))
    kept = {name: value for name, value in where.items() if name != "domain" or "domain" in place}
    shining = [entity for entity in found if _of(home.state(entity.id), attribute) != 0.0]
    if 0 < len(shining) < len(found):  # what is off stays off
        kept["names"] = ", ".join(key(entity.name) for entity in shining)
    return _with(name, kept, {slot: int(new) if new == int(new) else new}, intent)


def _step(intent: Intent, domain: Domain) -> float:
    by = intent.slots.get("by")
    if by is not None:
        return float(by)
    size = 0.5 if _A_BIT.search(intent.text) else 2.0 if _A_LOT.search(intent.text) else 1.0
    return max(0.5, size) if domain == "climate" else _STEP * size


def _level(home: Home, entities: Sequence[Entity], attribute: str) -> float | None:
    """Where the most of them stand; None if none tells."""
    levels = [_of(home.state(entity.id), attribute) for entity in entities]
    return max((level for level in levels if level is not None), default=None)


def _of(state: State | None, attribute: str) -> float | None:
    if state is None:
        return None
    level = state.attributes.get(attribute)
    if state.value == "off" and attribute in ("brightness_pct", "percentage"):
        return 0.0
    if isinstance(level, int | float):
        return float(level)
    return 100.0 if state.value == "on" and attribute == "brightness_pct" else None
