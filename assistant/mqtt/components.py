"""What Home Assistant's components make of their configuration, but for lights, which have a file."""

from collections.abc import Callable, Mapping
from itertools import chain

from assistant.home.entities import (
    Activate,
    Close,
    Command,
    CommandUnsupported,
    Domain,
    Lock,
    Open,
    ReturnToBase,
    SetPosition,
    SetSpeed,
    Start,
    State,
    Stop,
    TurnOff,
    TurnOn,
    Unlock,
)
from assistant.mqtt.climate import climate
from assistant.mqtt.fields import Fields, Invalid, one_line, read_number, read_object
from assistant.mqtt.light import light
from assistant.mqtt.parts import VALUE, Changes, Parts, Publication, choice, needed, reading, sender


def unsupported(command: Command) -> CommandUnsupported:
    """The device has no payload for this."""
    return CommandUnsupported(f"it has no {type(command).__name__}")


def by_payload(
    fields: Fields, payloads: Mapping[type[Command], str | None]
) -> Callable[[Command, State | None], tuple[Publication, ...]]:
    """Publishes the payload of each command to the component's one topic."""
    fields.needed("command_topic")
    send = sender(fields, "command_topic", "command_template")

    def publish(command: Command, _: State | None) -> tuple[Publication, ...]:
        if (payload := payloads.get(type(command))) is None:
            raise unsupported(command)
        return (needed(send, "command that is understood here")(payload),)

    return publish


def switch(fields: Fields) -> Parts:
    """Home Assistant's "MQTT Switch"."""
    on, off = fields.text("payload_on", "ON"), fields.text("payload_off", "OFF")
    states = choice({fields.text("state_off", off): "off", fields.text("state_on", on): "on"})
    return Parts(
        reading(fields, "state_topic", "value_template", states),
        by_payload(fields, {TurnOn: on, TurnOff: off}),
    )


def lock(fields: Fields) -> Parts:
    """Home Assistant's "MQTT Lock". One with a code is read only: a code is not for saying aloud."""
    if fields.text("code_format"):
        payloads: dict[type[Command], str | None] = {}
    else:
        payloads = {
            Lock: fields.text("payload_lock", "LOCK"),
            Unlock: fields.text("payload_unlock", "UNLOCK"),
        }
    names = ("locked", "locking", "unlocked", "unlocking")
    states = {fields.text(f"state_{name}", name.upper()): name for name in names}
    states[fields.text("state_jammed", "JAMMED")] = "jammed"
    return Parts(
        reading(fields, "state_topic", "value_template", choice(states)), by_payload(fields, payloads)
    )


def cover(fields: Fields) -> Parts:
    """Home Assistant's "MQTT Cover"."""
    closed, opened = fields.number("position_closed", 0), fields.number("position_open", 100)
    if closed == opened:
        raise Invalid("a cover without a way to go")

    def position(payload: str) -> Changes:
        percent = round(100 * (read_number(payload) - closed) / (opened - closed))
        percent = min(max(percent, 0), 100)
        return {"position": percent, VALUE: "open" if percent else "closed"}

    names = ("open", "opening", "closed", "closing", "stopped")
    states = choice({fields.text(f"state_{name}", name): name for name in names})
    readings = (
        reading(fields, "position_topic", "position_template", position),
        reading(fields, "state_topic", "value_template", states),
    )
    move = sender(fields, "set_position_topic", "set_position_template")
    if not fields.topic("command_topic") and move is None:
        raise Invalid("no command_topic")
    payloads: Mapping[type[Command], str | None] = {
        Open: fields.payload("payload_open", "OPEN"),
        Close: fields.payload("payload_close", "CLOSE"),
        Stop: fields.payload("payload_stop", "STOP"),
    }
    tell = by_payload(fields, payloads) if fields.topic("command_topic") else None

    def publish(command: Command, state: State | None) -> tuple[Publication, ...]:
        ends: Mapping[type[Command], float] = {Open: 100, Close: 0}
        percent = command.position if isinstance(command, SetPosition) else ends.get(type(command))
        if isinstance(command, SetPosition) or tell is None:
            if percent is None:
                raise unsupported(command)
            place = round(closed + (opened - closed) * percent / 100)
            return (needed(move, "position that can be set")(place, position=place),)
        return tell(command, state)

    return Parts(tuple(chain(*readings)), publish)


def fan(fields: Fields) -> Parts:
    """Home Assistant's "MQTT Fan", its speed in percent of its range."""
    on, off = fields.text("payload_on", "ON"), fields.text("payload_off", "OFF")
    least, most = fields.number("speed_range_min", 1), fields.number("speed_range_max", 100)
    if most < least:
        raise Invalid("a range of speeds that has none")
    steps = most - least + 1

    def speed(payload: str) -> Changes:
        percent = int((read_number(payload) - (least - 1)) * 100 // steps)
        return {"percentage": min(max(percent, 0), 100)}

    readings = (
        reading(fields, "state_topic", "state_value_template", choice({off: "off", on: "on"})),
        reading(fields, "percentage_state_topic", "percentage_value_template", speed),
    )
    tell = by_payload(fields, {TurnOn: on, TurnOff: off})
    set_speed = sender(fields, "percentage_command_topic", "percentage_command_template")

    def publish(command: Command, state: State | None) -> tuple[Publication, ...]:
        if not isinstance(command, SetSpeed):
            return tell(command, state)
        if not command.percentage:
            return tell(TurnOff(), state)
        step = max(round(least - 1 + steps * command.percentage / 100), round(least))
        running = state is not None and state.value == "on"
        turn_on = () if running else tell(TurnOn(), state)
        return (*turn_on, needed(set_speed, "speeds")(step))

    return Parts(tuple(chain(*readings)), publish)


def scene(fields: Fields) -> Parts:
    """Home Assistant's "MQTT Scene"."""
    return Parts((), by_payload(fields, {Activate: fields.text("payload_on", "ON")}))


def button(fields: Fields) -> Parts:
    """Home Assistant's "MQTT Button"."""
    return Parts((), by_payload(fields, {Activate: fields.text("payload_press", "PRESS")}))


def vacuum(fields: Fields) -> Parts:
    """Home Assistant's "MQTT Vacuum", of which it is started, stopped and sent home."""
    features = fields.texts("supported_features", ("start", "stop", "return_home"))
    commands: Mapping[str, tuple[type[Command], str]] = {
        "start": (Start, fields.text("payload_start", "start")),
        "stop": (Stop, fields.text("payload_stop", "stop")),
        "return_home": (ReturnToBase, fields.text("payload_return_to_base", "return_to_base")),
    }
    payloads: dict[type[Command], str | None] = dict(commands[name] for name in features if name in commands)

    def state(payload: str) -> Changes:
        value = read_object(payload).get("state")
        if value not in ("cleaning", "docked", "paused", "idle", "returning", "error"):
            raise Invalid("an unknown state")
        return {VALUE: str(value)}

    return Parts(reading(fields, "state_topic", "value_template", state), by_payload(fields, payloads))


def _read_only(command: Command, _: State | None) -> tuple[Publication, ...]:
    raise CommandUnsupported(f"a sensor takes no {type(command).__name__}")


def sensor(fields: Fields) -> Parts:
    """Home Assistant's "MQTT Sensor"."""
    fields.needed("state_topic")
    told: Changes = {
        "unit": one_line(fields.text("unit_of_measurement"), 20) or None,
        "device_class": one_line(fields.text("device_class"), 40) or None,
    }

    def value(payload: str) -> Changes:
        if not (text := one_line(payload)):
            raise Invalid("an empty state")
        return {VALUE: text, **told}

    return Parts(reading(fields, "state_topic", "value_template", value), _read_only)


def binary_sensor(fields: Fields) -> Parts:
    """Home Assistant's "MQTT Binary Sensor"."""
    fields.needed("state_topic")
    states = choice({fields.text("payload_off", "OFF"): "off", fields.text("payload_on", "ON"): "on"})
    device_class = one_line(fields.text("device_class"), 40) or None
    return Parts(
        reading(
            fields,
            "state_topic",
            "value_template",
            lambda payload: {**states(payload), "device_class": device_class},
        ),
        _read_only,
    )


COMPONENTS: Mapping[Domain, Callable[[Fields], Parts]] = {
    "binary_sensor": binary_sensor,
    "button": button,
    "climate": climate,
    "cover": cover,
    "fan": fan,
    "light": light,
    "lock": lock,
    "scene": scene,
    "sensor": sensor,
    "switch": switch,
    "vacuum": vacuum,
}
"""Each raises Invalid for a configuration that it cannot use."""
