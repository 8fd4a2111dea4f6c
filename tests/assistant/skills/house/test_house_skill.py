"""What is said of the home, what is understood, and what the home was told."""

from collections.abc import Sequence

import pytest
from skilled import NONE, Talk, entity

from assistant.home.entities import (
    Activate,
    Close,
    Command,
    Lock,
    Open,
    ReturnToBase,
    SetPosition,
    SetSpeed,
    SetTemperature,
    SetVolume,
    Start,
    TurnOff,
    TurnOn,
)
from assistant.home.scripted import ScriptedHome
from assistant.skills import Services, Skill
from assistant.skills.control import Control
from assistant.skills.house.house import House


def house(services: Services) -> Sequence[Skill]:
    return [Control(), House(services)]


def home() -> ScriptedHome:
    return ScriptedHome(
        [
            entity("Kitchen light", "light", "Kitchen"),
            entity("Bedroom light", "light", "Bedroom"),
            entity("Bedside lamp", "light", "Bedroom"),
            entity("Living room light", "light", "Living room"),
            entity("Coffee machine", "switch", "Kitchen"),
            entity("Ceiling fan", "fan", "Bedroom"),
            entity("Thermostat", "climate", "Hallway"),
            entity("Front door", "lock", "Hallway"),
            entity("Blinds", "cover", "Living room"),
            entity("Garage door", "cover", "Garage"),
            entity("Movie night", "scene"),
            entity("Robo", "vacuum"),
            entity("Speaker", "media_player", "Living room"),
            entity("Lamp 2", "light", "Study"),
            entity("TV (big)", "media_player", "Study"),
        ]
    )


def told(talk: Talk) -> list[tuple[str, Command]]:
    """What the home was told, by the names of entities."""
    assert isinstance(talk.home, ScriptedHome)
    names = {one.id: one.name for one in talk.home.entities}
    return [(names[one], command) for one, command in talk.home.commands]


ON, OFF, SET = "HassTurnOn", "HassTurnOff", "HassLightSet"
CASES: list[tuple[str, str, dict[str, object], list[tuple[str, Command]], str]] = [
    (
        "Turn on the kitchen light.",
        ON,
        {"name": "kitchen light"},
        [("Kitchen light", TurnOn())],
        "The kitchen light is on.",
    ),
    (
        "Could you switch the kitchen light off, please?",
        OFF,
        {"name": "kitchen light"},
        [("Kitchen light", TurnOff())],
        "The kitchen light is off.",
    ),
    (
        "turn on the bedroom lights",
        ON,
        {"area": "bedroom"},
        [("Bedroom light", TurnOn()), ("Bedside lamp", TurnOn())],
        "The bedroom lights are on.",
    ),
    (
        "Turn off the bedroom",
        OFF,
        {"area": "bedroom"},
        [("Bedroom light", TurnOff()), ("Bedside lamp", TurnOff())],
        "The bedroom lights are off.",
    ),
    (
        "switch the lamp off",
        OFF,
        {"name": "bedside lamp"},
        [("Bedside lamp", TurnOff())],
        "The bedside lamp is off.",
    ),
    (
        "turn on the kitchen light and the bedside lamp",
        ON,
        {},
        [("Kitchen light", TurnOn()), ("Bedside lamp", TurnOn())],
        "The kitchen light and the bedside lamp are on.",
    ),
    ("turn on lamp two", ON, {"name": "lamp 2"}, [("Lamp 2", TurnOn())], "Lamp 2 is on."),
    (
        "Dim the living room to 40 percent.",
        SET,
        {"area": "living room", "brightness": 40},
        [("Living room light", TurnOn(brightness_pct=40))],
        "The living room light is at 40 percent.",
    ),
    (
        "Set the kitchen light to 25%",
        SET,
        {"name": "kitchen light", "brightness": 25},
        [("Kitchen light", TurnOn(brightness_pct=25))],
        "The kitchen light is at 25 percent.",
    ),
    (
        "Make the kitchen light blue.",
        SET,
        {"name": "kitchen light", "color": "blue"},
        [("Kitchen light", TurnOn(color="blue"))],
        "The kitchen light is blue.",
    ),
    (
        "set the bedside lamp to warm white",
        SET,
        {"name": "bedside lamp", "temperature": 2700},
        [("Bedside lamp", TurnOn(color_temp_k=2700))],
        "The bedside lamp is warm white.",
    ),
    (
        "Set the temperature to 21 degrees.",
        "HassClimateSetTemperature",
        {"temperature": 21},
        [("Thermostat", SetTemperature(21))],
        "The thermostat is set to 21 degrees.",
    ),
    (
        "turn the heating up to 20.5",
        "HassClimateSetTemperature",
        {"temperature": 20.5},
        [("Thermostat", SetTemperature(20.5))],
        "The thermostat is set to 20.5 degrees.",
    ),
    (
        "lock the front door",
        ON,
        {"name": "front door"},
        [("Front door", Lock())],
        "The front door is locked.",
    ),
    ("Open the blinds.", ON, {"name": "blinds"}, [("Blinds", Open())], "The blinds are open."),
    (
        "shut the garage door",
        OFF,
        {"name": "garage door"},
        [("Garage door", Close())],
        "The garage door is closed.",
    ),
    (
        "set the blinds to 30 percent",
        "HassSetPosition",
        {"name": "blinds", "position": 30},
        [("Blinds", SetPosition(30))],
        "The blinds are at 30 percent.",
    ),
    (
        "set the ceiling fan to 50 percent",
        "HassFanSetSpeed",
        {"name": "ceiling fan", "percentage": 50},
        [("Ceiling fan", SetSpeed(50))],
        "The ceiling fan is at 50 percent.",
    ),
    (
        "Switch on the coffee machine",
        ON,
        {"name": "coffee machine"},
        [("Coffee machine", TurnOn())],
        "The coffee machine is on.",
    ),
    ("put the coffee machine on", ON, {}, [("Coffee machine", TurnOn())], "The coffee machine is on."),
    (
        "activate movie night",
        ON,
        {"name": "movie night"},
        [("Movie night", Activate())],
        "Okay, movie night.",
    ),
    ("Start Robo", "HassVacuumStart", {"name": "robo"}, [("Robo", Start())], "The robo is cleaning."),
    (
        "send the vacuum home",
        "HassVacuumReturnToBase",
        {},
        [("Robo", ReturnToBase())],
        "The robo is on the way back.",
    ),
    (
        "set the living room volume to 40",
        "HassSetVolume",
        {"area": "living room", "volume_level": 40},
        [("Speaker", SetVolume(40))],
        "The speaker is at 40 percent.",
    ),
    (
        "turn the speaker down",
        "HassSetVolumeRelative",
        {"name": "speaker", "volume_step": "down"},
        [("Speaker", SetVolume(40))],
        "The speaker is at 40 percent.",
    ),
]


@pytest.mark.parametrize(("says", "intent", "slots", "commands", "said"), CASES)
def test_commands(
    says: str, intent: str, slots: dict[str, object], commands: list[tuple[str, Command]], said: str
) -> None:
    talk = Talk(house, home())
    assert talk.hear(says) and told(talk) == [], "nothing is done before it is asked for"
    turn = talk.say(says)
    assert turn.intent == intent and slots.items() <= dict(turn.slots).items()
    assert (told(talk), turn.said) == (commands, said)


@pytest.mark.parametrize("says", ["Turn off all the lights", "lights off everywhere", "Turn everything off."])
def test_all_lights(says: str) -> None:
    talk = Talk(house, home())
    assert talk.say(says).said == "All the lights are off."
    assert len(told(talk)) == 5 and {command for _, command in told(talk)} == {TurnOff()}


def test_doors_are_not_unlocked() -> None:
    talk = Talk(house, home())
    for says in ("Unlock the front door.", "lock the front door", "unlock it"):
        turn = talk.say(says)
    assert (turn.intent, turn.said) == ("CannotUnlock", "I don't unlock doors by voice.")
    assert told(talk) == [("Front door", Lock())]


DIALOGUES: dict[str, tuple[list[str], list[tuple[str, Command]]]] = {
    "off again": (
        ["turn on the kitchen light", "Turn it off again."],
        [("Kitchen light", TurnOn()), ("Kitchen light", TurnOff())],
    ),
    "another room": (
        ["turn off the kitchen light", "And the bedroom too."],
        [("Kitchen light", TurnOff()), ("Bedroom light", TurnOff()), ("Bedside lamp", TurnOff())],
    ),
    "another name": (
        ["set the kitchen light to blue", "and the bedside lamp too"],
        [("Kitchen light", TurnOn(color="blue")), ("Bedside lamp", TurnOn(color="blue"))],
    ),
    "brighter": (
        ["set the kitchen light to 40 percent", "Brighter.", "a bit dimmer", "Make it 80 percent."],
        [("Kitchen light", TurnOn(brightness_pct=level)) for level in (40, 60, 50, 80)],
    ),
    "colour": (
        ["turn on the kitchen light", "make it red"],
        [("Kitchen light", TurnOn()), ("Kitchen light", TurnOn(color="red"))],
    ),
    "warmer": (
        [
            "set the temperature to 20",
            "Make it warmer.",
            "turn the heating down by two degrees",
            "make it 22",
        ],
        [("Thermostat", SetTemperature(degrees)) for degrees in (20, 21, 19, 22)],
    ),
    "blinds": (
        ["open the blinds", "close them again", "make it 30 percent"],
        [("Blinds", Open()), ("Blinds", Close()), ("Blinds", SetPosition(30))],
    ),
    "the light": (
        ["turn on the bedroom light", "turn the light off"],
        [("Bedroom light", TurnOn()), ("Bedroom light", TurnOff())],
    ),
    "speaker": (
        ["set the volume of the speaker to 30", "turn it down"],
        [("Speaker", SetVolume(30)), ("Speaker", SetVolume(10))],
    ),
}


@pytest.mark.parametrize("name", DIALOGUES)
def test_follow_ups(name: str) -> None:
    says, commands = DIALOGUES[name]
    talk = Talk(house, home())
    for one in says:
        assert talk.say(one) != NONE, one
    assert told(talk) == commands
    assert talk.device.volume == 50


def test_follow_ups_follow_nothing_else() -> None:
    talk = Talk(house, home())
    for says in (
        "turn it off again",
        "and the bedroom too",
        "make it 50 percent",
        "make it blue",
        "brighter",
    ):
        assert talk.say(says) == NONE, says


def test_questions() -> None:
    talk = Talk(house, home())
    assert talk.say("Is the kitchen light on?").said == "No, the kitchen light is off."
    talk.say("set the kitchen light to 40 percent")
    turn = talk.say("Is the kitchen light on?")
    assert turn.intent == "HassGetState" and turn.slots == {"name": "kitchen light", "state": "on"}
    assert turn.said == "Yes, the kitchen light is on, at 40 percent."
    assert talk.say("What about the bedside lamp?").said == "No, the bedside lamp is off."
    assert talk.say("Is the front door locked?").said == "Yes, the front door is locked."
    assert talk.say("are the blinds open").said == "No, the blinds are closed."
    assert talk.say("Which lights are on?").said == "The kitchen light is on."
    assert talk.say("Are any lights on?").said == "Yes, the kitchen light is on."
    assert talk.say("how many lights are on?").said == "1 of 5: the kitchen light."
    assert talk.say("are all the lights on").said == "No, only the kitchen light is on."
    assert talk.say("what's the temperature?").said == "The thermostat doesn't say how warm it is."
    talk.say("set the thermostat to 19")
    assert talk.say("what is the thermostat set to").said == "The thermostat is set to 19 degrees."


def test_the_heating_is_the_thermostat() -> None:
    talk = Talk(house, home())
    assert talk.say("Is the heating on?").said == "Yes, the thermostat is on, in heat mode."
    talk.say("turn the heating off")
    assert talk.say("Is the heating on?").said == "No, the thermostat is off."


def test_dimmer_leaves_off_what_is_off() -> None:
    talk = Talk(house, home())
    talk.say("set the kitchen light to 25 percent")
    for says in ("dim the lights", "dim the lights"):
        assert talk.say(says).said == "The kitchen light is at 10 percent."
    assert {name for name, _ in told(talk)} == {"Kitchen light"}


@pytest.mark.parametrize(
    "says",
    [
        "turn on the kitchen light at 6",
        "turn the bedside lamp on for ten minutes",
        "turn off the tv in an hour",
    ],
)
def test_nothing_is_switched_later(says: str) -> None:
    talk = Talk(house, home())
    turn = talk.say(says)
    assert (turn.intent, told(talk)) == ("CannotSwitchLater", []) and "only right now" in turn.said


def test_close_all_and_short_names() -> None:
    talk = Talk(house, home())
    talk.say("close all the blinds")
    talk.say("open the garage")
    assert told(talk) == [("Blinds", Close()), ("Garage door", Open())]


@pytest.mark.parametrize(
    ("says", "name"),
    [
        ("turn on the nightlight", "Night light"),
        ("nightlight on please", "Night light"),
        ("turn on the bed side lamp", "Bedside lamp"),
        ("turn on the coffeemaker", "Coffee maker"),
        ("turn on the string light", "Patio string lights"),
        ("turn on the patio string lights", "Patio string lights"),
        ("turn on the string lights", "Patio string lights"),
    ],
)
def test_a_name_may_be_written_otherwise(says: str, name: str) -> None:
    rooms = {"Night light": "Nursery", "Bedside lamp": "Bedroom", "Patio string lights": "Patio"}
    lamps = [entity(lamp, "light", room) for lamp, room in rooms.items()]
    talk = Talk(house, ScriptedHome([*lamps, entity("Coffee maker", "switch", "Kitchen")]))
    talk.say(says)
    assert told(talk) == [(name, TurnOn())]


def test_what_two_may_be_called_is_neither() -> None:
    both = [entity(f"{room} string lights", "light", room) for room in ("Patio", "Porch")]
    talk = Talk(house, ScriptedHome(both))
    talk.say("turn on the string lights")
    talk.say("turn on the porch string lights")
    assert told(talk) == [("Porch string lights", TurnOn())]


def test_what_is_not_there_is_said() -> None:
    talk = Talk(house, home())
    turn = talk.say("Turn on the sprinkler.")
    assert (turn.intent, turn.said) == ("UnknownDevice", "I don't know a device called sprinkler.")
    assert not turn.complete, "its name may go on"
    assert talk.say("turn off the kitchen fan").said == "I don't know any fan in the kitchen."
    assert talk.say("is the shed light on?").said == "I don't know a device called shed light."
    assert told(talk) == []


def test_a_home_without_devices() -> None:
    talk = Talk(house)
    for says in ("Turn on the kitchen light.", "turn off all the lights", "dim the lamp", "open the blinds"):
        assert talk.say(says).said == "No home is connected to me, so I can't switch things.", says
    assert talk.say("Is the front door locked?").said == "No home is connected to me, so I can't tell."


def test_a_name_that_several_have_needs_its_area() -> None:
    both = ScriptedHome([entity("spot", "light", "Kitchen"), entity("Spot", "light", "Hall")])
    both.entities = (both.entities[0], type(both.entities[1])("light.other", "Spot", "light", "Hall"))
    talk = Talk(house, both)
    assert talk.say("turn on the spot").said == (
        "There are 2 of that name. Which one do you mean: in the kitchen or in the hall?"
    )
    assert both.commands == []
    talk.say("turn on the kitchen spot")
    assert both.commands == [("light.spot", TurnOn())]


def test_lights_and_heating_go_back_to_what_they_were() -> None:
    talk = Talk(house, home())
    talk.say("set the kitchen light to 40 percent")
    talk.say("set the temperature to 20")
    talk.say_and_undo("turn off all the lights")
    talk.say_and_undo("set the temperature to 25")
    assert talk.home.state("light.Kitchen_light") is not None
    assert talk.say("is the kitchen light on").said == "Yes, the kitchen light is on, at 40 percent."
    assert talk.say("is the bedroom light on").said == "No, the bedroom light is off."
    assert talk.say("what's the thermostat set to").said == "The thermostat is set to 20 degrees."


def test_doors_and_blinds_stay_as_they_are() -> None:
    talk = Talk(house, home())
    talk.say_and_undo("open the garage door")
    assert told(talk) == [("Garage door", Open())]


def test_where_here_is_unknown() -> None:
    talk = Talk(house, home())
    assert talk.say("turn on the lights in here").said == "I don't know which room I am in. Please name it."
    assert told(talk) == []
