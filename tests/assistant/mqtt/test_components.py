"""Each kind of device: what is published for a command, and what is read from a report."""

import json
from typing import Any

import pytest

from assistant.home.entities import (
    Activate,
    Close,
    Command,
    CommandUnsupported,
    Lock,
    Open,
    ReturnToBase,
    SetPosition,
    SetSpeed,
    SetTemperature,
    Start,
    State,
    Stop,
    TurnOff,
    TurnOn,
    Unlock,
)
from assistant.mqtt.house import House, Known

BASE = {"name": "It", "command_topic": "c", "state_topic": "s"}
JSON_LIGHT = {"schema": "json", "brightness": True, "brightness_scale": 254}
TEMPLATE_LIGHT = {
    "schema": "template",
    "command_on_template": "on{% if brightness is defined %},b={{ brightness }}{% endif %}"
    "{% if red is defined %},{{ red }}-{{ green }}-{{ blue }}{% endif %}",
    "command_off_template": "off",
    "state_template": "{{ value.split(',')[0] }}",
    "brightness_template": "{{ value_json.b }}",
    "red_template": "{{ value_json.r }}",
    "green_template": "{{ value_json.g }}",
    "blue_template": "{{ value_json.bl }}",
}
CLIMATE = {
    "temperature_command_topic": "t/set",
    "temperature_state_topic": "s",
    "temperature_state_template": "{{ value_json.occupied_heating_setpoint }}",
    "current_temperature_topic": "s",
    "current_temperature_template": "{{ value_json['local_temperature'] | float | round(1) }}",
    "mode_command_topic": "m/set",
    "mode_state_topic": "s",
    "mode_state_template": "{{ value_json.system_mode }}",
    "modes": ["off", "heat"],
    "min_temp": 5,
    "max_temp": 30,
}


def known(kind: str, config: dict[str, Any]) -> tuple[House, Known]:
    house = House("homeassistant")
    topic = f"homeassistant/{kind}/x/config"
    assert house.declare(topic, json.dumps({**BASE, **config}).encode())
    found = house.get(f"{kind}/x")
    assert found is not None
    return house, found


def published(kind: str, config: dict[str, Any], command: Command) -> list[tuple[str, Any]]:
    _, found = known(kind, config)
    made = found.component.parts.publish(command, found.state)
    assert not any(each.retain for each in made), "a command that is retained would come again"
    return [
        (each.topic, json.loads(each.payload) if each.payload[:1] == "{" else each.payload) for each in made
    ]


@pytest.mark.parametrize(
    ("kind", "config", "command", "messages"),
    [
        ("switch", {}, TurnOn(), [("c", "ON")]),
        ("switch", {"payload_off": 0}, TurnOff(), [("c", "0")]),
        ("switch", {"command_template": "set {{ value | lower }}"}, TurnOn(), [("c", "set on")]),
        ("lock", {}, Unlock(), [("c", "UNLOCK")]),
        ("lock", {"payload_lock": "bolt"}, Lock(), [("c", "bolt")]),
        ("scene", {"payload_on": "go"}, Activate(), [("c", "go")]),
        ("button", {}, Activate(), [("c", "PRESS")]),
        ("vacuum", {}, Start(), [("c", "start")]),
        ("vacuum", {"payload_return_to_base": "home"}, ReturnToBase(), [("c", "home")]),
        ("cover", {}, Open(), [("c", "OPEN")]),
        ("cover", {"payload_stop": "HALT"}, Stop(), [("c", "HALT")]),
        ("cover", {"position_topic": "q", "set_position_topic": "p"}, SetPosition(30), [("p", "30")]),
        (
            "cover",
            {"position_topic": "q", "set_position_topic": "p", "position_open": 0, "position_closed": 255},
            SetPosition(20),
            [("p", "204")],
        ),
        (
            "cover",
            {
                "command_topic": None,
                "position_topic": "q",
                "set_position_topic": "p",
                "set_position_template": '{"to": {{ position }} }',
            },
            Close(),
            [("p", {"to": 0})],
        ),
        ("fan", {}, TurnOn(), [("c", "ON")]),
        ("fan", {"percentage_command_topic": "f"}, SetSpeed(0), [("c", "OFF")]),
        (
            "fan",
            {"percentage_command_topic": "f", "speed_range_max": 3},
            SetSpeed(67),
            [("c", "ON"), ("f", "2")],
        ),
        ("climate", CLIMATE, SetTemperature(21.5), [("t/set", "21.5")]),
        ("climate", CLIMATE, SetTemperature(21), [("t/set", "21")]),
        ("climate", CLIMATE, TurnOff(), [("m/set", "off")]),
        ("climate", CLIMATE, TurnOn(), [("m/set", "heat")]),
        ("climate", {**CLIMATE, "power_command_topic": "p"}, TurnOn(), [("p", "ON")]),
        ("light", {}, TurnOn(), [("c", "ON")]),
        ("light", {"brightness_command_topic": "b"}, TurnOn(50), [("b", "128"), ("c", "ON")]),
        (
            "light",
            {"brightness_command_topic": "b", "brightness_scale": 100, "on_command_type": "first"},
            TurnOn(0),
            [("c", "ON"), ("b", "1")],
        ),
        (
            "light",
            {"brightness_command_topic": "b", "on_command_type": "brightness"},
            TurnOn(100),
            [("b", "255")],
        ),
        ("light", {"rgb_command_topic": "r"}, TurnOn(color="blue"), [("r", "0,0,255"), ("c", "ON")]),
        ("light", {"hs_command_topic": "h"}, TurnOn(color="green"), [("h", "120,100"), ("c", "ON")]),
        (
            "light",
            {"rgb_command_topic": "r", "rgb_command_template": "{{ '#%02x' }}{{ red }}"},
            TurnOn(color="red"),
            [("r", "#%02x255"), ("c", "ON")],
        ),
        (
            "light",
            {"color_temp_command_topic": "k"},
            TurnOn(color="warm white"),
            [("k", "370"), ("c", "ON")],
        ),
        (
            "light",
            {"color_temp_command_topic": "k", "color_temp_kelvin": True},
            TurnOn(color_temp_k=9000),
            [("k", "6535"), ("c", "ON")],
        ),
        ("light", JSON_LIGHT, TurnOff(), [("c", {"state": "OFF"})]),
        ("light", JSON_LIGHT, TurnOn(50), [("c", {"state": "ON", "brightness": 127})]),
        (
            "light",
            {**JSON_LIGHT, "supported_color_modes": ["xy", "color_temp"]},
            TurnOn(color="red"),
            [("c", {"state": "ON", "color": {"x": 0.7006, "y": 0.2993}})],
        ),
        (
            "light",
            {**JSON_LIGHT, "supported_color_modes": ["hs"]},
            TurnOn(color="blue"),
            [("c", {"state": "ON", "color": {"h": 240, "s": 100}})],
        ),
        ("light", TEMPLATE_LIGHT, TurnOn(50, "red"), [("c", "on,b=128,255-0-0")]),
        ("light", TEMPLATE_LIGHT, TurnOff(), [("c", "off")]),
    ],
)
def test_a_command_is_published_as_the_device_wants_it(
    kind: str, config: dict[str, Any], command: Command, messages: list[tuple[str, Any]]
) -> None:
    assert published(kind, config, command) == messages


@pytest.mark.parametrize(
    ("kind", "config", "command"),
    [
        ("light", {}, TurnOn(50)),
        ("light", {}, TurnOn(color="red")),
        ("light", {"rgb_command_topic": "r"}, TurnOn(color="ultraviolet")),
        ("light", {"schema": "json"}, TurnOn(50)),
        ("light", JSON_LIGHT, TurnOn(color="red")),
        ("light", JSON_LIGHT, TurnOn(color_temp_k=3000)),
        ("light", {**TEMPLATE_LIGHT, "brightness_template": ""}, TurnOn(50)),
        ("cover", {}, SetPosition(50)),
        ("cover", {"payload_stop": None}, Stop()),
        ("fan", {}, SetSpeed(50)),
        ("climate", CLIMATE, SetTemperature(31)),
        ("climate", {**CLIMATE, "modes": ["dry"]}, TurnOn()),
        ("lock", {"code_format": "\\d+"}, Unlock()),
        ("vacuum", {"supported_features": ["start"]}, ReturnToBase()),
        ("sensor", {}, TurnOn()),
        ("switch", {"command_template": "{% for i in range(9) %}x{% endfor %}"}, TurnOn()),
    ],
)
def test_what_a_device_cannot_do_is_said(kind: str, config: dict[str, Any], command: Command) -> None:
    with pytest.raises(CommandUnsupported):
        published(kind, config, command)


@pytest.mark.parametrize(
    ("kind", "config", "report", "state"),
    [
        ("switch", {}, "OFF", State("off")),
        ("switch", {"value_template": "{{ value_json.state_l1 }}"}, {"state_l1": "ON"}, State("on")),
        ("switch", {"payload_on": True, "value_template": "{{ value_json.on }}"}, {"on": True}, State("on")),
        ("switch", {"state_on": "yes"}, "yes", State("on")),
        ("switch", {}, "perhaps", None),
        ("binary_sensor", {"device_class": "door"}, "ON", State("on", {"device_class": "door"})),
        ("lock", {}, "JAMMED", State("jammed")),
        ("vacuum", {}, {"state": "cleaning", "battery_level": 4}, State("cleaning")),
        ("cover", {}, "opening", State("opening")),
        (
            "cover",
            {"position_topic": "s", "position_open": 0, "position_closed": 255},
            "204",
            State("open", {"position": 20}),
        ),
        ("cover", {"position_topic": "s"}, "0", State("closed", {"position": 0})),
        (
            "fan",
            {"percentage_state_topic": "s", "speed_range_max": 3},
            "2",
            State("unknown", {"percentage": 66}),
        ),
        ("light", {"brightness_state_topic": "s"}, "127", State("unknown", {"brightness_pct": 50})),
        ("light", {"rgb_state_topic": "s"}, "250,10,5", State("unknown", {"color": "red"})),
        ("light", {"color_temp_state_topic": "s"}, "250", State("unknown", {"color_temp_k": 4000})),
        (
            "light",
            JSON_LIGHT,
            {"state": "ON", "brightness": 127, "color_mode": "xy", "color": {"x": 0.69, "y": 0.3}},
            State("on", {"brightness_pct": 50, "color": "red"}),
        ),
        (
            "light",
            JSON_LIGHT,
            {"state": "ON", "color_mode": "color_temp", "color_temp": 370, "color": {"x": 0.1, "y": 0.1}},
            State("on", {"color_temp_k": 2703}),
        ),
        ("light", JSON_LIGHT, {"state": "ON", "brightness": "x", "color": {"x": None}}, State("on")),
        ("light", JSON_LIGHT, {"linkquality": 80}, None),
        (
            "climate",
            CLIMATE,
            {"system_mode": "heat", "occupied_heating_setpoint": 20.5, "local_temperature": 18.77},
            State("heat", {"temperature": 20.5, "current_temperature": 18.8, "unit": "°C"}),
        ),
        (
            "sensor",
            {"value_template": "{{ value_json.a / 10 if value_json.a else 0 }}"},
            {"a": 25},
            State("2.5"),
        ),
    ],
)
def test_a_report_is_read(kind: str, config: dict[str, Any], report: object, state: State | None) -> None:
    house, found = known(kind, config)
    house.report("s", (report if isinstance(report, str) else json.dumps(report)).encode())
    assert found.state == state
