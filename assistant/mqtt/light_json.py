"""Home Assistant's "MQTT Light" in its JSON schema: one object each way, as Zigbee2MQTT has it."""

import json
from collections.abc import Mapping

from assistant.home.colors import Rgb, from_hs, from_xy, to_hs, to_xy
from assistant.home.entities import Attribute, Command, CommandUnsupported, State, TurnOff, TurnOn
from assistant.mqtt.fields import Fields, Invalid, read_number, read_object
from assistant.mqtt.light_values import Brightness, Temperature, brightness, color, temperature, wanted
from assistant.mqtt.parts import VALUE, Changes, Parts, Publication, Reading

_DIMMABLE = {"brightness", "color_temp", "hs", "xy", "rgb", "rgbw", "rgbww", "white"}
_COLORED = ("rgb", "hs", "xy")


def json_light(fields: Fields) -> Parts:
    """Raises Invalid without a command topic."""
    topic, scale, temperatures = fields.needed("command_topic"), brightness(fields), temperature(fields)
    modes = set(fields.texts("supported_color_modes"))
    modes |= {mode for mode in ("brightness", "color_temp", *_COLORED) if fields.flag(mode)}

    def publish(command: Command, _: State | None) -> tuple[Publication, ...]:
        match command:
            case TurnOff():
                message: dict[str, object] = {"state": "OFF"}
            case TurnOn():
                message = {"state": "ON", **_style(command, modes, scale, temperatures)}
            case _:
                raise CommandUnsupported(f"it has no {type(command).__name__}")
        return (Publication(topic, json.dumps(message)),)

    source = fields.topic("state_topic")
    read = (Reading(source, lambda payload: _state(payload, scale, temperatures)),) if source else ()
    return Parts(read, publish)


def _style(
    command: TurnOn, modes: set[str], scale: Brightness, temperatures: Temperature
) -> dict[str, object]:
    message: dict[str, object] = {}
    rgb, kelvin = wanted(command, has_temperature="color_temp" in modes)
    if command.brightness_pct is not None:
        if not modes & _DIMMABLE:
            raise CommandUnsupported("it has no brightness")
        message["brightness"] = scale.write(command.brightness_pct)
    if kelvin is not None:
        if "color_temp" not in modes:
            raise CommandUnsupported("it has no colour temperature")
        message["color_temp"] = temperatures.write(kelvin)
    if rgb is not None:
        form = next((form for form in _COLORED if form in modes), None)
        if form is None:
            raise CommandUnsupported("it has no colours")
        message["color"] = _write_color(form, rgb)
    return message


def _write_color(form: str, rgb: Rgb) -> dict[str, float]:
    values: tuple[float, ...] = to_hs(rgb) if form == "hs" else to_xy(rgb) if form == "xy" else rgb
    return dict(zip(form, values, strict=True))  # keys of one letter


def _state(payload: str, scale: Brightness, temperatures: Temperature) -> Changes:
    """What of the object can be used; parts that cannot are left out."""
    report = read_object(payload)
    found: dict[str, Attribute] = {}
    if (value := report.get("state")) in ("ON", "OFF"):
        found[VALUE] = "on" if value == "ON" else "off"
    for key, read in (("brightness", scale.read), ("color_temp", temperatures.read)):
        try:
            found |= read(report[key])
        except (KeyError, Invalid):
            continue
    mode, shade = report.get("color_mode"), report.get("color")
    if mode != "color_temp" and isinstance(shade, dict) and (rgb := _read_color(shade, mode)) is not None:
        found |= color(rgb)
    if not found:
        raise Invalid("nothing about a light")
    return found


def _read_color(shade: Mapping[str, object], mode: object) -> Rgb | None:
    """The colour in the form that the light says it is in, else in the first form that is whole."""
    for form in (mode, *_COLORED) if mode in _COLORED else _COLORED:
        try:
            values = [read_number(shade[key]) for key in str(form)]
        except (KeyError, Invalid):
            continue
        return _rgb(str(form), values)
    return None


def _rgb(form: str, values: list[float]) -> Rgb:
    if form == "hs":
        return from_hs(values[0], values[1])
    if form == "xy":
        return from_xy(values[0], values[1])
    red, green, blue = (round(min(max(value, 0.0), 255.0)) for value in values)
    return red, green, blue
