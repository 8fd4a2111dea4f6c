"""Home Assistant's "MQTT Light" in its default schema: a topic for each thing."""

from collections.abc import Callable, Mapping
from itertools import chain

from assistant.home.colors import Rgb, from_hs, from_xy, to_hs, to_xy
from assistant.home.entities import Command, CommandUnsupported, State, TurnOff, TurnOn
from assistant.mqtt.fields import Fields, Invalid
from assistant.mqtt.light_json import json_light
from assistant.mqtt.light_template import template_light
from assistant.mqtt.light_values import brightness, color, numbers, temperature, wanted
from assistant.mqtt.parts import Changes, Parts, Publication, Reading, Send, choice, needed, reading, sender

Form = tuple[Callable[[Rgb], tuple[float, ...]], Callable[..., Rgb], tuple[str, ...]]
_FORMS: Mapping[str, Form] = {
    "rgb": (lambda rgb: rgb, lambda *rgb: rgb, ("red", "green", "blue")),
    "hs": (to_hs, from_hs, ("hue", "sat")),
    "xy": (to_xy, from_xy, ("x", "y")),
}
"""How each form of colour is written, read back, and called in templates."""


def light(fields: Fields) -> Parts:
    """By the schema that the configuration names. Raises Invalid."""
    match fields.text("schema", "basic"):
        case "basic" | "default":
            return _basic_light(fields)
        case "json":
            return json_light(fields)
        case "template":
            return template_light(fields)
    raise Invalid("an unknown schema")


def _basic_light(fields: Fields) -> Parts:
    on, off = fields.text("payload_on", "ON"), fields.text("payload_off", "OFF")
    fields.needed("command_topic")
    switch = needed(sender(fields, "command_topic"), "command")
    order, styles = fields.text("on_command_type", "last"), _styles(fields)

    def publish(command: Command, _: State | None) -> tuple[Publication, ...]:
        match command:
            case TurnOff():
                return (switch(off),)
            case TurnOn():
                styled = styles(command)
                if order == "brightness" and command.brightness_pct is not None:
                    return styled
                return (switch(on), *styled) if order == "first" else (*styled, switch(on))
        raise CommandUnsupported(f"it has no {type(command).__name__}")

    states = reading(fields, "state_topic", "state_value_template", choice({off: "off", on: "on"}))
    return Parts((*states, *_style_readings(fields)), publish)


def _styles(fields: Fields) -> Callable[[TurnOn], tuple[Publication, ...]]:
    """What makes the messages of colour and brightness."""
    scale, temperatures = brightness(fields), temperature(fields)
    set_brightness = sender(fields, "brightness_command_topic", "brightness_command_template")
    set_temperature = sender(fields, "color_temp_command_topic", "color_temp_command_template")
    colors = {form: sender(fields, f"{form}_command_topic", f"{form}_command_template") for form in _FORMS}

    def styles(command: TurnOn) -> tuple[Publication, ...]:
        made = []
        rgb, kelvin = wanted(command, has_temperature=set_temperature is not None)
        if kelvin is not None:
            made.append(needed(set_temperature, "colour temperature")(temperatures.write(kelvin)))
        if rgb is not None:
            made.append(_colored(colors, rgb))
        if command.brightness_pct is not None:
            made.append(needed(set_brightness, "brightness")(scale.write(command.brightness_pct)))
        return tuple(made)

    return styles


def _colored(colors: Mapping[str, Send | None], rgb: Rgb) -> Publication:
    form = next((form for form, send in colors.items() if send), "rgb")
    write, _, names = _FORMS[form]
    values = write(rgb)
    text = ",".join(f"{value:g}" for value in values)
    return needed(colors[form], "colours")(text, **dict(zip(names, values, strict=True)))


def _style_readings(fields: Fields) -> tuple[Reading, ...]:
    def read_color(form: str) -> Callable[[str], Changes]:
        _, read, names = _FORMS[form]
        return lambda payload: color(read(*numbers(payload, len(names))))

    readers: Mapping[str, Callable[[str], Changes]] = {
        "brightness": brightness(fields).read,
        **{form: read_color(form) for form in _FORMS},
        "color_temp": temperature(fields).read,
    }
    return tuple(
        chain.from_iterable(
            reading(fields, f"{name}_state_topic", f"{name}_value_template", read)
            for name, read in readers.items()
        )
    )
