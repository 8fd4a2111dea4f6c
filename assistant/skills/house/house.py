"""Lights, switches, covers, locks, fans, heating: what is asked of the home, and about it."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from assistant.home.entities import CommandUnsupported, Entity, Home, State
from assistant.skills.house.follow import FOLLOWING, meant, one_light
from assistant.skills.house.orders import Order, carry_out, command, undone, what_is_true
from assistant.skills.house.states import asked_state, asked_temperature
from assistant.skills.house.targets import DOMAINS, by_phrase, choices, find, key
from assistant.skills.house.words import all_of, are, expected, group
from assistant.skills.sentences import our_own, placeless
from assistant.skills.skill import Answer, Choice, Intent, Services, Situation, Value
from assistant.skills.written import as_spoken

NO_HOME = "No home is connected to me, so I can't switch things."
_CANNOT_ASK = "No home is connected to me, so I can't tell."
_NO_UNLOCKING = "I don't unlock doors by voice."
_BARE = (
    "[<the>] {name}",
    "[activate] [<the>] {name} [scene]",
    "[activate] [<the>] {area} {name} [scene]",
    "[activate] [<the>] {name} [scene] <in> [<the>] {area}",
    "light (it|<here>) up",
)
"""Home Assistant takes a name alone for a command; people say names for other reasons as well."""
_STEPS = {"up": 10.0, "down": -10.0}  # percent of a speaker's volume
_CLEAR = re.compile(
    r"\b(?:set|make|change|turn|put|get|have|increase|decrease|dim|brighten|lower|raise|bring|color|colour"
    r"|percent|brightness|temperature|it|them|that|too|also|and|well|brighter|dimmer|darker|bright)\b|%",
    re.IGNORECASE,
)
"""Without one of these "light blue" and "bedroom 2" are no wish for light."""
_HERE = re.compile(r"\b(?:here|this room|this space|this area)\b", re.IGNORECASE)
_NO_DEVICE = re.compile(
    r"\b(?:it|them|that|this|those|these|me|you|your|yourself|us|him|her|everything|all|something|anything|music|songs?"
    r"|radio|news|podcasts?|timers?|alarms?|reminders?|volume|notifications?|microphone|mic|charm|page|subtitles"
    r"|who|what|when|which|because|if|never|always)\b|^(?:a|an|some|to|at|in|on|off|the)\b",
    re.IGNORECASE,
)
_LATER = re.compile(
    r"\s(?:at|for|until|till|after|before|every|tomorrow|tonight|later|in (?:\d+|an?|half|\w+) (?:\w+ )?"
    r"(?:seconds?|minutes?|hours?|days?))\b",
    re.IGNORECASE,
)
_NOT_LATER = "I can't switch things later or for a while, only right now."
_LIGHT = re.compile(r"\s(?:lights?|lamps?)$")
_LONGEST_NAME = 5  # words


class House:
    """Carries out what is asked, and says what is true then."""

    def __init__(self, services: Services) -> None:
        self._home: Home = services.home
        self._known: tuple[Entity, ...] | None = None
        self._choices: Mapping[str, Sequence[Choice]] = {}
        lights = ("area_brightness", "area_color", "area_temperature", "brightness_only", "color_only")
        names = ("name_brightness", "name_color", "name_temperature", "temperature_only")
        on = (
            "area_device_class_cover",
            "area_domain",
            "device_class_cover",
            "domain_only",
            "name_area",
            "name_only",
        )
        states = ("device_class_state", "device_class_state_area", "domain_state", "domain_state_area")
        self.sentences = (
            our_own("house"),
            placeless("HassTurnOn", *on, "name_area_scene", "name_button", "name_scene", without=_BARE),
            placeless("HassTurnOff", *on, "domain_all"),
            placeless("HassLightSet", *lights, *names),
            placeless(
                "HassClimateSetTemperature", "area_temperature", "name_temperature", "temperature_only"
            ),
            placeless("HassClimateGetTemperature", "area_only", "name_only", "default"),
            placeless("HassGetState", *states, "name_only", "name_state", "name_state_area"),
            placeless("HassSetPosition", "area_device_class", "device_class", "name_only"),
            placeless("HassFanSetSpeed", "area_only", "name_only", "default"),
            placeless("HassVacuumStart", "name_only"),
            placeless("HassVacuumReturnToBase", "name_only"),
            placeless("HassSetVolume", "area_only", "name_only", into="SpeakerVolume"),
            placeless("HassSetVolumeRelative", "area_only", "name_only", into="SpeakerVolumeStep"),
        )

    @property
    def lists(self) -> Mapping[str, Sequence[Choice]]:
        """Names and areas of the home as it is now."""
        if self._known is not self._home.entities:
            self._known = self._home.entities
            self._choices = choices(self._known)
        return self._choices

    def answer(self, intent: Intent, situation: Situation) -> Answer | None:
        """See Skill."""
        if intent.name in FOLLOWING:
            full = meant(intent, situation.before, self._home)
            return None if full is None else self._answer(full)
        return self._answer(one_light(self._of_speaker(intent), situation.before, self._home))

    def _answer(self, intent: Intent) -> Answer | None:
        if intent.name == "HassGetState":
            return self._told(intent, asked_state(self._home, intent))
        if intent.name == "HassClimateGetTemperature":
            return self._told(intent, asked_temperature(self._home, intent))
        if intent.name == "UnknownDevice":
            return self._unknown(intent)
        if intent.name == "HassLightSet" and not _CLEAR.search(intent.text):
            return None
        if not self._home.entities:
            return Answer(NO_HOME, intent=replace(intent, name="CannotSwitch"))
        return self._do(intent, find(self._home, intent.name, intent.slots))

    def _told(self, intent: Intent, said: str | None) -> Answer | None:
        if said is None:
            return None
        return Answer(said, intent=intent)

    def _do(self, intent: Intent, found: Sequence[Entity]) -> Answer | None:
        if not found:
            return self._nothing_there(intent)
        if _HERE.search(intent.text) and "area" not in intent.slots and len(found) > 1:
            return Answer("I don't know which room I am in. Please name it.", intent=intent)
        if "name" in intent.slots and len(found) > 1:
            return self._which(intent, found)
        if intent.name == "HassTurnOff" and any(entity.domain == "lock" for entity in found):
            return Answer(_NO_UNLOCKING, intent=replace(intent, name="CannotUnlock"))
        try:
            states = self._states(found)
            orders = [Order(entity, command(intent, entity, states[entity.id])) for entity in found]
        except CommandUnsupported:
            return Answer(f"I can't do that with {all_of(found)}.", intent=intent)
        return self._ordered(intent, orders)

    def _ordered(self, intent: Intent, orders: Sequence[Order]) -> Answer:
        entities = [order.entity for order in orders]
        slots = intent.slots
        who = group(entities, str(slots.get("area", "")), "names" not in slots)
        text = expected(who, are(entities), orders[0].command)
        before: dict[str, State | None] = {}

        async def act() -> str | None:
            before.update(self._states(entities))
            return what_is_true(self._home, await carry_out(self._home, orders))

        async def undo() -> None:
            await carry_out(self._home, undone(orders, before))

        return Answer(text, act, undo, self._open(intent))

    def _states(self, entities: Sequence[Entity]) -> dict[str, State | None]:
        return {entity.id: self._home.state(entity.id) for entity in entities}

    def _open(self, intent: Intent) -> Intent:
        """ "Turn off the kitchen" may go on: "fan"."""
        area = intent.slots.get("area")
        ends = area is not None and key(intent.text).endswith(f" {area}") and len(intent.text.split()) > 2
        return replace(intent, open_ended=intent.open_ended or ends)

    def _nothing_there(self, intent: Intent) -> Answer | None:
        kind = str(intent.slots.get("device_class") or intent.slots.get("domain") or "").replace("_", " ")
        area = intent.slots.get("area")
        if intent.name.startswith("HassClimate"):
            kind = "thermostat"
        if not kind:
            return None
        text = f"I don't know any {kind} in the {area}." if area else f"I don't know any {kind} here."
        return Answer(text, intent=replace(intent, name="UnknownDevice"))

    def _which(self, intent: Intent, found: Sequence[Entity]) -> Answer | None:
        rooms = [f"in the {key(entity.area)}" for entity in found if entity.area]
        where = f": {' or '.join(rooms)}" if len(rooms) > 1 else ""
        return Answer(f"There are {len(found)} of that name. Which one do you mean{where}?", intent=intent)

    def _of_speaker(self, intent: Intent) -> Intent:
        """The volume of a speaker of the home, under Home Assistant's name for it."""
        if intent.name == "SpeakerVolume":
            return replace(intent, name="HassSetVolume")
        if intent.name != "SpeakerVolumeStep":
            return intent
        found = find(self._home, "HassSetVolume", intent.slots)
        state = self._home.state(found[0].id) if found else None
        level = state.attributes.get("volume") if state else None
        step = intent.slots["volume_step"]
        by = _STEPS[step] if isinstance(step, str) else float(step)
        new = min(100.0, max(0.0, (level if isinstance(level, int | float) else 50.0) + by))
        slots: dict[str, Value] = {**intent.slots, "volume_level": int(new)}
        return replace(intent, name="HassSetVolumeRelative", slots=slots)

    def _unknown(self, intent: Intent) -> Answer | None:
        slots = intent.slots
        thing = " ".join(str(slots[name]) for name in ("thing", "kind") if name in slots)
        thing = re.sub(r"^(?:the|my|our)\s+", "", thing)
        later = "when" in slots or ("turn" in slots and _LATER.search(thing))
        if later and not _NO_DEVICE.search(thing):
            return Answer(_NOT_LATER, intent=replace(intent, name="CannotSwitchLater", slots={}))
        if not thing or _NO_DEVICE.search(thing) or len(thing.split()) > _LONGEST_NAME + 3:
            return None
        several = self._several(intent, thing)
        if several is not None or len(thing.split()) > _LONGEST_NAME:
            return several
        if not self._home.entities:
            said = _CANNOT_ASK if "asks" in slots else NO_HOME
            return Answer(said, intent=replace(intent, name="CannotSwitch", slots={"name": key(thing)}))
        return Answer(
            f"I don't know a device called {thing}.", intent=replace(intent, slots={"name": key(thing)})
        )

    def _several(self, intent: Intent, thing: str) -> Answer | None:
        """ "The hall light and the bedroom": several names at once."""
        phrases = re.split(r"\s+and\s+|\s*,\s*", as_spoken(thing))
        if len(phrases) < 2 or "turn" not in intent.slots:
            return None
        shared = _LIGHT.search(phrases[-1])
        phrases = [
            phrase + shared[0] if shared and not _LIGHT.search(phrase) else phrase for phrase in phrases
        ]
        name = "HassTurnOn" if intent.slots["turn"] == "on" else "HassTurnOff"
        able = [entity for entity in self._home.entities if entity.domain in DOMAINS[name]]
        found = [by_phrase(able, phrase) for phrase in phrases]
        if not all(found):
            return None
        keys = ", ".join(dict.fromkeys(key(entity.name) for entities in found for entity in entities))
        full = Intent(name, {"names": keys}, intent.text, intent.open_ended)
        return self._do(full, find(self._home, name, full.slots))
