"""Home Assistant's "MQTT Climate": the target temperature, what is measured, and on and off."""

from collections.abc import Callable
from itertools import chain

from assistant.home.entities import Command, CommandUnsupported, SetTemperature, State, TurnOff, TurnOn
from assistant.mqtt.fields import Fields, Invalid, one_line, read_number
from assistant.mqtt.parts import VALUE, Changes, Parts, Publication, Reading, needed, plain, reading, sender

_MODES = ("auto", "off", "cool", "heat", "dry", "fan_only")
_LIKELY = ("heat", "heat_cool", "auto", "cool")  # what "on" is likely to mean, if nothing else says so


def climate(fields: Fields) -> Parts:
    """Raises Invalid for what has neither a temperature nor a mode that could be set."""
    fahrenheit = fields.text("temperature_unit", "C").upper() == "F"
    least = fields.number("min_temp", 44.6 if fahrenheit else 7)
    most = fields.number("max_temp", 95 if fahrenheit else 35)
    modes = fields.texts("modes", _MODES)
    on, off = fields.text("payload_on", "ON"), fields.text("payload_off", "OFF")
    set_temperature = sender(fields, "temperature_command_topic", "temperature_command_template")
    set_mode = sender(fields, "mode_command_topic", "mode_command_template")
    set_power = sender(fields, "power_command_topic", "power_command_template")
    if not (set_temperature or set_mode or set_power):
        raise Invalid("nothing that could be set")

    def publish(command: Command, _: State | None) -> tuple[Publication, ...]:
        match command:
            case SetTemperature(temperature=temperature):
                if not least <= temperature <= most:
                    raise CommandUnsupported(f"it goes from {plain(least)} to {plain(most)} degrees")
                return (needed(set_temperature, "temperature that can be set")(temperature),)
            case TurnOn() if set_power:
                return (set_power(on),)
            case TurnOff() if set_power:
                return (set_power(off),)
            case TurnOn() if mode := next((mode for mode in _LIKELY if mode in modes), None):
                return (needed(set_mode, "mode that can be set")(mode),)
            case TurnOff() if "off" in modes:
                return (needed(set_mode, "mode that can be set")("off"),)
        raise CommandUnsupported(f"it has no {type(command).__name__}")

    return Parts(_readings(fields, "°F" if fahrenheit else "°C"), publish)


def _readings(fields: Fields, unit: str) -> tuple[Reading, ...]:
    def number(name: str) -> Callable[[str], Changes]:
        return lambda payload: {name: read_number(payload), "unit": unit}

    def mode(payload: str) -> Changes:
        if not (value := one_line(payload, 40)) or value == "None":
            raise Invalid("no mode")
        return {VALUE: value}

    return tuple(
        chain(
            reading(fields, "temperature_state_topic", "temperature_state_template", number("temperature")),
            reading(
                fields,
                "current_temperature_topic",
                "current_temperature_template",
                number("current_temperature"),
            ),
            reading(fields, "mode_state_topic", "mode_state_template", mode),
        )
    )
