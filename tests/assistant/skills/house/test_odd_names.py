"""Devices with odd names, as anyone on the broker may announce them: other requests mean what they meant."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime

import pytest

from assistant.home.entities import Entity, State
from assistant.home.scripted import ScriptedHome
from assistant.mqtt.house import House as Discovered
from assistant.skills import Announcements, Services, Store
from assistant.skills.household import household

ODD = (
    "", "   ", "x" * 300, "lamp " * 50, "\N{ELECTRIC LIGHT BULB}", "\N{ELECTRIC LIGHT BULB} lamp",
    "K\u00fcche", "(a+)+$", ".*", "[abc]", "a|b", "[", ")", "\\d+", "^on$", "{name}", "{area}", "<the>",
    "<light>", "{brightness", "{{ x }}", "{0}", "%s", "$(reboot)", "7", "42", "seven", "1,000", "2 1/2",
    "5:45", "100 percent", "twenty", "the", "on", "off", "a", "it", "that", "this", "all", "everything",
    "turn", "turn on", "in", "and", "please", "stop", "Stop.", "stop the timer", "cancel", "timer",
    "set a timer", "alarm", "time", "what", "what time is it", "yes", "no", "help", "louder", "milk",
    "shopping list", "volume", "joke", "...", "?", "-", "'", "a\u0000b", "A\nB", "\u202eltr",
    "lamp\u200b",
)  # fmt: skip
OTHERS = (
    "Stop.", "stop the timer", "cancel the timer", "never mind", "What time is it?", "what's the time",
    "set a timer for five minutes", "set a timer", "how long is left on the timer",
    "set an alarm for seven", "what's twelve times nine", "add milk to the shopping list",
    "what's on my shopping list", "turn up the volume", "set the volume to 50 percent", "repeat that",
    "help", "yes", "no", "on", "the", "seven", "timer", "it", "tell me a joke", "start the stopwatch",
    "turn it on", "turn it off", "is it on", "set it to 20 percent", "turn on", "turn everything off",
    "turn on the kitchen light", "is the kitchen light on",
)  # fmt: skip
KITCHEN = Entity("light/kitchen", "Kitchen light", "light", "Kitchen")


class Reporting(ScriptedHome):
    """All of it is off."""

    def state(self, _: str) -> State:
        return State("off")


class Household:
    """All skills, made once: that takes a second."""

    def __init__(self) -> None:
        self._home = Reporting(())
        services = Services(
            Store(), lambda: datetime(2026, 3, 1, 12, tzinfo=UTC), Announcements(), self._home
        )
        self._skills = household(services, Announcements())

    def understood(self, text: str, entities: Sequence[Entity]) -> tuple[str, object]:
        """What `text` means in a home with these."""
        self._home.entities = tuple(entities)
        planned = self._skills.open().answer(text)
        return ("", None) if planned is None else (planned.intent, dict(planned.slots))


@pytest.fixture(scope="module")
def known() -> Household:
    return Household()


def announced(domain: str) -> tuple[Entity, ...]:
    """What is known once all odd names are announced, as names and as areas."""
    house = Discovered("homeassistant")
    topics = {"command_topic": "c", "state_topic": "s", "set_position_topic": "p"}
    for number, name in enumerate(ODD):
        message = {"name": name, "device": {"suggested_area": name[:255]}, **topics}
        house.declare(f"homeassistant/{domain}/n{number}/config", json.dumps(message).encode())
    return house.entities


@pytest.mark.parametrize("domain", ["switch", "cover", "fan", "sensor", "scene"])
def test_other_requests_mean_what_they_meant(domain: str, known: Household) -> None:
    odd = announced(domain)
    assert len(odd) > 50
    meant = {text: known.understood(text, [KITCHEN]) for text in OTHERS}
    assert sum(bool(intent) for intent, _ in meant.values()) > 20
    assert {text: known.understood(text, [KITCHEN, *odd]) for text in OTHERS} == meant


@pytest.mark.parametrize("name", ["{name}", "lamp {", "(a+)+$", "TV [old]", "K\u00fcche", "{0} lamp"])
def test_they_can_be_asked_for_by_name(name: str, known: Household) -> None:
    house = Discovered("homeassistant")
    house.declare("homeassistant/light/n/config", json.dumps({"name": name, "command_topic": "c"}).encode())
    intent, _ = known.understood(f"turn on the {name}", [KITCHEN, *house.entities])
    assert intent == "HassTurnOn"


def test_the_entities_are_the_same_object_until_they_change() -> None:
    """So names are read once, and not at each partial transcript."""
    house = Discovered("homeassistant")
    message = json.dumps({"name": "Lamp", "command_topic": "c", "state_topic": "s"}).encode()
    assert house.declare("homeassistant/light/n/config", message)
    before = house.entities
    house.report("s", b"ON")
    assert house.entities is before and len(before) == 1
    assert house.declare("homeassistant/light/n/config", b"")
    assert house.entities == ()
