"""A home that fails, does not answer, or does something else: what is said is what is true."""

from collections.abc import Callable, Sequence

import pytest
from skilled import Talk, entity

from assistant.home.entities import (
    UNAVAILABLE,
    Command,
    CommandUnsupported,
    Entity,
    HomeError,
    HomeUnavailable,
    State,
)
from assistant.skills import Services, Skill
from assistant.skills.house.house import House

ENTITIES = (
    entity("kitchen light", "light", "kitchen"),
    entity("bedroom light", "light", "bedroom"),
    entity("bedside lamp", "light", "bedroom"),
    entity("blinds", "cover", "bedroom"),
    entity("movie night", "scene"),
)
Reported = State | HomeError | None


class Unruly:
    """Reports what it is told to, whatever the command."""

    entities: tuple[Entity, ...] = ENTITIES
    changed: Callable[[], None] = staticmethod(lambda: None)

    def __init__(self, reports: dict[str, Reported], states: dict[str, str] | None = None) -> None:
        self._reports, self._states = reports, states or {}

    def state(self, entity_id: str) -> State | None:
        return State(self._states.get(entity_id, "off"))

    async def command(self, entity_id: str, command: Command) -> State | None:
        reported = self._reports[entity_id]
        if isinstance(reported, HomeError):
            raise reported
        return reported


def house(services: Services) -> Sequence[Skill]:
    return [House(services)]


KITCHEN, BEDROOM, LAMP = "light.kitchen_light", "light.bedroom_light", "light.bedside_lamp"


@pytest.mark.parametrize(
    ("reported", "said"),
    [
        (State("on"), "The kitchen light is on."),
        (None, "I sent that, but the kitchen light has not answered."),
        (State("off"), "I sent that, but the kitchen light says it is off."),
        (State(UNAVAILABLE), "I can't reach the home right now."),
        (HomeUnavailable("gone"), "I can't reach the home right now."),
        (
            HomeUnavailable("gone", in_doubt=True),
            "I sent that, but then lost the connection, so I don't know whether the kitchen light got it.",
        ),
        (CommandUnsupported("no"), "That can't be done with the kitchen light."),
        (
            State("on", assumed=True),
            "I sent that, but I can't see whether it worked: the kitchen light never reports back.",
        ),
    ],
)
def test_one_light(reported: Reported, said: str) -> None:
    turn = Talk(house, Unruly({KITCHEN: reported})).say("Turn on the kitchen light.")
    assert (turn.expected, turn.said) == ("The kitchen light is on.", said)


def test_one_that_is_gone_is_named() -> None:
    gone = Unruly({KITCHEN: HomeUnavailable("gone")}, {KITCHEN: UNAVAILABLE})
    talk = Talk(house, gone)
    assert talk.say("turn on the kitchen light").said == "I can't reach the kitchen light right now."
    assert talk.say("is the kitchen light on?").said == (
        "I can't tell: the kitchen light is not reachable right now."
    )


@pytest.mark.parametrize("name", ["{name}", "{0} lamp", "lamp {", "100% {verb}", "{{ states }}"])
def test_a_name_of_characters_that_templates_have(name: str) -> None:
    odd = Unruly({"light.odd": None})
    odd.entities = (Entity("light.odd", name, "light"),)
    turn = Talk(house, odd).say(f"turn on {name}")
    assert turn.said.startswith("I sent that, but the ") and turn.said.endswith(" has not answered.")
    assert name in turn.said


def test_some_of_several() -> None:
    talk = Talk(house, Unruly({BEDROOM: State("on"), LAMP: None}))
    assert talk.say("turn on the bedroom lights").said == (
        "Not all of that worked. I sent that, but the bedside lamp has not answered."
    )
    talk = Talk(house, Unruly({BEDROOM: None, LAMP: None}))
    assert talk.say("turn on the bedroom lights").said == (
        "I sent that, but the bedroom light and the bedside lamp have not answered."
    )


def test_a_brightness_that_was_not_reached() -> None:
    talk = Talk(house, Unruly({KITCHEN: State("on", {"brightness_pct": 100.0})}))
    assert talk.say("set the kitchen light to 40 percent").said == (
        "I sent that, but the kitchen light says it is on."
    )


def test_blinds_that_are_on_their_way() -> None:
    talk = Talk(house, Unruly({"cover.blinds": State("opening")}))
    assert talk.say("open the blinds").said == "The blinds are opening."


def test_the_state_of_a_scene_says_nothing() -> None:
    talk = Talk(house, Unruly({"scene.movie_night": State("2026-03-01T12:00:00")}))
    assert talk.say("activate movie night").said == "Okay, movie night."
