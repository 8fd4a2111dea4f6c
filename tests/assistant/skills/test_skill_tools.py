"""Functions for language models: what they are told, and which arguments are taken."""

import json

import pytest

from assistant.skills.tools import FUNCTIONS, slots_of, tool


@pytest.mark.parametrize(
    ("name", "arguments", "slots"),
    [
        ("HassStartTimer", '{"minutes": 10}', {"minutes": 10}),
        ("HassStartTimer", '{"minutes": 10.0, "name": "tea", "hours": null}', {"minutes": 10, "name": "tea"}),
        ("HassClimateSetTemperature", '{"temperature": 20.5}', {"temperature": 20.5}),
        ("HassNevermind", "{}", {}),
        ("HassStartTimer", '{"minutes": "ten"}', None),
        ("HassStartTimer", '{"minutes": 1.5}', None),
        ("HassStartTimer", '{"minutes": true}', None),
        ("HassStartTimer", '{"minutes": 1e300}', None),
        ("HassStartTimer", '{"minutes": NaN}', None),
        ("HassStartTimer", '{"minute": 10}', None),
        ("HassStartTimer", '{"minutes": [10]}', None),
        ("HassStartTimer", "[10]", None),
        ("HassStartTimer", "ten minutes", None),
        ("ReadList", json.dumps({"name": "x" * 201}), None),
        ("LaunchRockets", "{}", None),
    ],
)
def test_arguments_are_taken_as_they_are_declared_or_not_at_all(
    name: str, arguments: str, slots: dict[str, object] | None
) -> None:
    assert slots_of(name, arguments) == slots


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_model_is_told_each_functions_meaning_and_slots(name: str) -> None:
    described = tool(name).to_dict()["function"]
    assert described["name"] == name and described["description"]
    assert set(described["parameters"]["properties"]) == set(FUNCTIONS[name][1])
