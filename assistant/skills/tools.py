"""Skills as functions that a language model may call; arguments are checked before anything is done."""

import json
from collections.abc import Mapping
from typing import Literal

from assistant.skills.skill import Value
from llm.text.message import Tool, read_object

Kind = Literal["words", "whole", "number"]

_JSON: Mapping[Kind, str] = {"words": "string", "whole": "integer", "number": "number"}
_LONGEST = 200  # characters of an argument
_LARGEST = 1e6


def slots_of(name: str, arguments: str) -> Mapping[str, Value] | None:
    """The slots of a call; None if it is of no function, or an argument is unknown or of the wrong kind."""
    known, given = FUNCTIONS.get(name), read_object(arguments)
    if known is None or given is None:
        return None
    slots: dict[str, Value] = {}
    for key, value in given.items():
        if value in (None, ""):
            continue  # what a model leaves open
        slot = _value(known[1].get(key), value)
        if slot is None:
            return None
        slots[key] = slot
    return slots


def _value(kind: Kind | None, value: object) -> Value | None:
    if kind == "words":
        return value if isinstance(value, str) and len(value) <= _LONGEST else None
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= _LARGEST:
        return None
    if kind == "whole":
        return int(value) if value == int(value) else None
    return value if kind == "number" else None


def tool(name: str) -> Tool:
    """The function of this name, as a language model is told of it; raises KeyError."""
    meaning, slots = FUNCTIONS[name]
    properties = {slot: {"type": _JSON[kind]} for slot, kind in slots.items()}
    return Tool(name, meaning, json.dumps({"type": "object", "properties": properties}))


_LENGTH: Mapping[str, Kind] = {"hours": "whole", "minutes": "whole", "seconds": "whole"}
_TIMER: Mapping[str, Kind] = {"name": "words"}
_WHERE: Mapping[str, Kind] = {"name": "words", "area": "words"}
FUNCTIONS: Mapping[str, tuple[str, Mapping[str, Kind]]] = {
    "HassStartTimer": ("Start a timer", {**_LENGTH, **_TIMER}),
    "HassCancelTimer": ("Cancel a timer", _TIMER),
    "HassIncreaseTimer": ("Add time to a timer", {**_LENGTH, **_TIMER}),
    "HassDecreaseTimer": ("Take time off a timer", {**_LENGTH, **_TIMER}),
    "HassPauseTimer": ("Pause a timer", _TIMER),
    "HassUnpauseTimer": ("Let a paused timer go on", _TIMER),
    "HassTimerStatus": ("How much time is left on a timer", _TIMER),
    "SetAlarm": ("Set an alarm; time as HH:MM, 24 hours", {"time": "words", "day": "words"}),
    "SetReminder": (
        "Remind the user of something, at a time (HH:MM) or in so many minutes or hours",
        {"text": "words", "time": "words", "day": "words", "minutes": "whole", "hours": "whole"},
    ),
    "HassGetCurrentTime": ("The time now", {}),
    "HassGetCurrentDate": ("Today's date", {}),
    "GetDate": ("The date of a day", {"day": "words"}),
    "DaysUntil": ("How many days there are until a day", {"day": "words"}),
    "StartStopwatch": ("Start the stopwatch", {}),
    "HassTurnOn": ("Turn something on in the home", _WHERE),
    "HassTurnOff": ("Turn something off in the home", _WHERE),
    "HassLightSet": (
        "Set a light; brightness in percent",
        {**_WHERE, "brightness": "whole", "color": "words"},
    ),
    "HassClimateSetTemperature": ("Set the thermostat", {"temperature": "number"}),
    "HassShoppingListAddItem": ("Put something on the shopping list", {"item": "words"}),
    "ReadList": ("Read a list out", {"name": "words"}),
    "HassSetVolume": ("Set the volume of the voice in percent", {"volume_level": "whole"}),
    "Calculate": ("Work out a sum, such as 15 percent of 80", {"expression": "words"}),
    "Convert": (
        "Convert between units of measurement",
        {"value": "number", "from": "words", "to": "words"},
    ),
    "HassNevermind": ("The user wants nothing after all", {}),
    "Repeat": ("Say the last reply again", {}),
}
"""What each does, and what it takes."""
