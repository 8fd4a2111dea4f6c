"""Which entities are meant: by name, by area, by kind, or all of them."""

import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import lru_cache

from assistant.home.entities import Domain, Entity, Home
from assistant.skills.skill import Choice, Value
from assistant.skills.written import as_spoken

PLACE = ("name", "area", "domain", "device_class", "names")
"""The slots that say what is meant, rather than what is done to it."""
DOMAINS: Mapping[str, tuple[Domain, ...]] = {
    "HassTurnOn": (
        "light", "switch", "fan", "media_player", "climate", "cover", "lock", "scene", "button", "vacuum",
    ),
    "HassTurnOff": ("light", "switch", "fan", "media_player", "climate", "cover", "lock", "vacuum"),
    "HassLightSet": ("light",),
    "HassClimateSetTemperature": ("climate",),
    "HassClimateGetTemperature": ("climate",),
    "HassSetPosition": ("cover",),
    "HassFanSetSpeed": ("fan",),
    "HassVacuumStart": ("vacuum",),
    "HassVacuumReturnToBase": ("vacuum",),
    "HassSetVolume": ("media_player",),
    "HassSetVolumeRelative": ("media_player",),
    "HassGetState": (
        "light", "switch", "fan", "media_player", "climate", "cover", "lock", "vacuum", "sensor",
        "binary_sensor",
    ),
}  # fmt: skip
"""By intent, what it can be about."""
_ONLY_ONE = ("climate", "vacuum")
"""If there is one of these in the home, it is meant although it stands in another area."""
_DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_NO_NAME = re.compile(
    r"an?|all|and|anything|down|everything|everywhere|here|in|it|me|my|no|not|of|off|on|or|our|please"
    r"|something|that|the|them|these|this|those|to|turn|up|us|what|yes|you|your"
)
"""Words that sentences need for other things: "turn it off" is not about what somebody has called "it"."""
_LAST = re.compile(r"\b(light|lamp|blind|curtain|shade|shutter|speaker|heater|fan|plug)s$")
"""One of them may have several bulbs; but "bedroom lights" are more than the bedroom light."""
_PARTS = "lights?|lamps?|room|maker|side|stairs|door|way|top|washer|yard|board|house"
_IN_TWO = re.compile(rf"\b([a-z]{{3,}}) ({_PARTS})\b")
_IN_ONE = re.compile(rf"\b([a-z]{{3,}})({_PARTS})\b")
_LIGHT = re.compile(r"\s+(?:light|lights|lamp|lamps|lighting)$")


def choices(entities: Sequence[Entity]) -> Mapping[str, Sequence[Choice]]:
    """The words for names and areas, as Home Assistant's sentences ask for them; there are no floors."""
    known = [entity for entity in entities if not _NO_NAME.fullmatch(key(entity.name))]
    ways = {(key(entity.name), said) for entity in known for said in _ways_of(entity)}
    times = Counter(said for _, said in ways)
    named = [
        Choice(said, key(entity.name), {"domain": entity.domain})
        for entity in known
        for said in _ways_of(entity)
        if said == key(entity.name) or times[said] == 1
    ]
    areas = dict.fromkeys(key(entity.area) for entity in entities if entity.area)
    placed = [
        Choice(said, area) for area in areas if not _NO_NAME.fullmatch(area) for said in _in_one_or_two(area)
    ]
    return {"name": tuple(named), "area": tuple(placed), "floor": ()}


@lru_cache(4096)
def key(name: str) -> str:
    """A name as slots have it."""
    return as_spoken(name).casefold()


def _ways_of(entity: Entity) -> list[str]:
    """How people say the name, also without its area: "island lights" of the kitchen."""
    name, area = key(entity.name), key(entity.area)
    rest = name.removeprefix(f"{area} ") if area else name
    names = [name, rest] if " " in rest else [name]
    numbers = [number for one in names for number in (one, _LAST.sub(r"\1", one))]
    return list(dict.fromkeys(said for one in numbers for said in _in_one_or_two(one)))


def _in_one_or_two(name: str) -> list[str]:
    """A recognizer writes "nightlight" for "night light", and "bed side lamp" for "bedside lamp"."""
    spelled = (name, _IN_TWO.sub(r"\1\2", name), _IN_ONE.sub(r"\1 \2", name))
    return list(dict.fromkeys(said for one in spelled for said in _ways(one)))


def _ways(name: str) -> Iterator[str]:
    """ "lamp 2" is heard as "lamp two" as well, and people say "the garage" of its door."""
    yield name
    if name.endswith("garage door"):
        yield name.removesuffix(" door")
    head, _, last = name.rpartition(" ")
    if head and last.isdecimal() and int(last) < len(_DIGITS):
        yield f"{head} {_DIGITS[int(last)]}"


def find(home: Home, intent: str, slots: Mapping[str, Value]) -> list[Entity]:
    """What the slots of an intent name; empty if there is no such thing in the home."""
    domain = slots.get("domain")
    kinds: Collection[str] = (str(domain),) if domain else DOMAINS[intent]
    able = [entity for entity in home.entities if entity.domain in kinds]
    if "names" in slots:
        keys = str(slots["names"]).split(", ")
        return [entity for one in keys for entity in by_phrase(able, one)]
    found = [entity for entity in able if _fits(home, entity, slots)]
    if found or "name" in slots or "device_class" in slots:
        return found
    return able if len(able) == 1 and able[0].domain in _ONLY_ONE else []


def _fits(home: Home, entity: Entity, slots: Mapping[str, Value]) -> bool:
    state = home.state(entity.id)
    kind = slots.get("device_class")
    return (
        ("name" not in slots or _named(entity, str(slots["name"])))
        and ("area" not in slots or key(entity.area) == slots["area"])
        and (
            kind is None
            or str(kind) in key(entity.name)
            or (state and state.attributes.get("device_class")) == kind
        )
    )


def _named(entity: Entity, name: str) -> bool:
    return key(entity.name) == name


def by_phrase(entities: Sequence[Entity], phrase: str) -> list[Entity]:
    """What "the hall light" or "bedroom lights" means: a name, or the lights of an area."""
    wanted = re.sub(r"^(?:the|my|our)\s+", "", key(phrase))
    named = [entity for entity in entities if key(entity.name) in (wanted, f"{wanted} light")]
    if named:
        return named
    area = _LIGHT.sub("", wanted)
    return [entity for entity in entities if entity.domain == "light" and key(entity.area) == area]
