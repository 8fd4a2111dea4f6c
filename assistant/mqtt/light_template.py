"""Home Assistant's "MQTT Light" in its template schema: one template writes, and some read."""

from collections.abc import Callable
from itertools import chain

from assistant.home.colors import to_hs
from assistant.home.entities import Command, CommandUnsupported, State, TurnOff, TurnOn
from assistant.mqtt.fields import Fields, Invalid, read_number
from assistant.mqtt.light_values import brightness, color, temperature, wanted
from assistant.mqtt.parts import (
    VALUE,
    Changes,
    Parts,
    Publication,
    Reading,
    needed,
    reading,
    sender,
    value_template,
)


def template_light(fields: Fields) -> Parts:
    """Raises Invalid where a template that is needed is missing, or refused here."""
    if not (fields.needed("command_topic") and fields.text("command_on_template")):
        raise Invalid("no command_on_template")
    if not fields.text("command_off_template"):
        raise Invalid("no command_off_template")
    turn_on = sender(fields, "command_topic", "command_on_template")
    turn_off = sender(fields, "command_topic", "command_off_template")
    # In templates brightness is of 255, whatever the device's scale is.
    scale, temperatures = brightness(Fields({})), temperature(fields)

    def publish(command: Command, _: State | None) -> tuple[Publication, ...]:
        match command:
            case TurnOff():
                return (needed(turn_off, "command that is understood here")("off", state="off"),)
            case TurnOn():
                return (needed(turn_on, "command that is understood here")("on", **values(command)),)
        raise CommandUnsupported(f"it has no {type(command).__name__}")

    def values(command: TurnOn) -> dict[str, str | float]:
        found: dict[str, str | float] = {"state": "on"}
        rgb, kelvin = wanted(command, has_temperature=bool(fields.text("color_temp_template")))
        if kelvin is not None:
            found["color_temp"] = temperatures.write(kelvin)
        if rgb is not None:
            if not fields.text("red_template"):
                raise CommandUnsupported("it has no colours")
            found |= zip(("red", "green", "blue"), rgb, strict=True)
            found |= zip(("hue", "sat"), to_hs(rgb), strict=True)
        if command.brightness_pct is not None:
            if not fields.text("brightness_template"):
                raise CommandUnsupported("it has no brightness")
            found["brightness"] = scale.write(command.brightness_pct)
        return found

    readers: dict[str, Callable[[str], Changes]] = {
        "state": _on_or_off,
        "brightness": scale.read,
        "color_temp": temperatures.read,
    }
    given = [(name, read) for name, read in readers.items() if fields.text(f"{name}_template")]
    read_parts = [reading(fields, "state_topic", f"{name}_template", read) for name, read in given]
    return Parts((*chain(*read_parts), *_color_reading(fields)), publish)


def _on_or_off(text: str) -> Changes:
    if text not in ("on", "off"):
        raise Invalid("neither on nor off")
    return {VALUE: text}


def _color_reading(fields: Fields) -> tuple[Reading, ...]:
    names = ("red_template", "green_template", "blue_template")
    if not all(fields.text(name) for name in names):
        return ()
    templates = [value_template(fields.text(name)) for name in names]

    def read(payload: str) -> Changes:
        red, green, blue = (round(read_number(render(payload))) for render in templates)
        return color((red, green, blue))

    return reading(fields, "state_topic", "", read)
