"""Home Assistant's MQTT discovery, pure: a message -> the entities that it declares.

Single components (`<prefix>/<component>/[<node>/]<object>/config`) and devices with several
(`<prefix>/device/<id>/config`), as Home Assistant's documentation has them. Anyone on the broker may publish
there, so what is not valid is left out, and nothing of it raises.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

from assistant.home.entities import Domain, Entity
from assistant.mqtt.abbreviations import spelled_out
from assistant.mqtt.availability import Availability, availability
from assistant.mqtt.components import COMPONENTS
from assistant.mqtt.fields import Fields, Invalid, one_line, read_object
from assistant.mqtt.parts import Parts

MOST_CONFIG_BYTES = 131_072
"""Longer discovery messages are left out; those of devices with a hundred components have some 50,000."""
_MOST_COMPONENTS = 200
_MOST_NAME = 80  # of what is spoken and listened for
_MOST_WRITTEN = 255
_ID = r"[a-zA-Z0-9_-]+"
_SHARED = (
    "availability",
    "availability_mode",
    "availability_template",
    "availability_topic",
    "command_topic",
    "payload_available",
    "payload_not_available",
    "state_topic",
)
"""What a device's message may say once for all of its components."""


@dataclass(frozen=True)
class Component:
    """A discovered entity, and how to speak with it. `unique_id` is "" where it has none."""

    entity: Entity
    unique_id: str
    parts: Parts
    availability: Availability

    @property
    def topics(self) -> set[str]:
        """What to subscribe to."""
        return {reading.topic for reading in self.parts.readings} | set(self.availability.topics)


@dataclass(frozen=True)
class Discovery:
    """A discovery topic and what its message declares, which replaces what one before it did."""

    source: str
    components: tuple[Component, ...]


def subscriptions(prefix: str) -> tuple[str, ...]:
    """Filters of the topics on which devices are announced."""
    return f"{prefix}/+/+/config", f"{prefix}/+/+/+/config"


def read_discovery(prefix: str, topic: str, payload: bytes) -> Discovery | None:
    """What a message declares: nothing where it is empty, which takes back what was declared.

    None if it is not of discovery, or nothing can be made of it.
    """
    match = re.fullmatch(rf"{re.escape(prefix)}/({_ID})/(?:({_ID})/)?({_ID})/config", topic)
    if match is None or len(payload) > MOST_CONFIG_BYTES:
        return None
    component, node, name = match.groups()
    if component != "device" and component not in COMPONENTS:
        return None
    source = "/".join(part for part in (component, node, name) if part)
    if not payload:
        return Discovery(source, ())
    try:
        written = read_object(payload.decode("utf-8"))
        config = spelled_out(written)
        if component == "device":
            base = {"~": written["~"]} if "~" in written else {}
            return Discovery(source, _device(source, config, base))
        single = _component(source, component, name, config)
        return Discovery(source, (single,) if single else ())
    except (Invalid, UnicodeDecodeError):
        return None


def _device(source: str, config: Mapping[str, object], base: Mapping[str, object]) -> tuple[Component, ...]:
    """The components of a device's message, whose `~` (`base`) they have unless they bring one."""
    found = config.get("components")
    if not isinstance(found, dict) or len(found) > _MOST_COMPONENTS:
        raise Invalid("no components")
    shared = {key: config[key] for key in (*_SHARED, "device") if key in config}
    given = []
    for name, each in found.items():
        if not isinstance(each, dict):
            continue
        own = spelled_out({**base, **each})
        if own.keys() != {"platform"}:  # that alone takes a component back
            given.append((f"{source}/{name}", str(own.get("platform")), name, {**shared, **own}))
    return _components(given)


def _components(given: list[tuple[str, str, str, dict[str, object]]]) -> tuple[Component, ...]:
    """Those that can be used, of each its id, its kind, its name in the topic and its configuration."""
    found = []
    for entity_id, kind, name, config in given:
        try:
            component = _component(entity_id, kind, name, config)
        except Invalid:
            continue
        if component is not None:
            found.append(component)
    return tuple(found)


def _component(entity_id: str, kind: str, object_id: str, config: dict[str, object]) -> Component | None:
    """None for one that is not for users: settings and diagnostics, or what is disabled at first."""
    fields = Fields(config)
    if kind not in COMPONENTS or config.get("entity_category") is not None:
        return None
    if not fields.flag("enabled_by_default", default=True):
        return None
    domain = cast(Domain, kind)
    device = config.get("device")
    about: Mapping[str, object] = device if isinstance(device, dict) else {}
    name = _name(config, about, object_id)
    if not any(map(str.isalnum, name)):
        raise Invalid("no name")
    area = _line(about.get("suggested_area"))
    entity = Entity(entity_id[:255], name, domain, area)
    unique_id = one_line(fields.text("unique_id"))
    return Component(entity, unique_id, COMPONENTS[domain](fields), availability(config))


def _line(value: object) -> str:
    if value is not None and (not isinstance(value, str) or len(value) > _MOST_WRITTEN):
        raise Invalid("no name")
    return one_line(value, _MOST_NAME)


def _name(config: Mapping[str, object], device: Mapping[str, object], object_id: str) -> str:
    """As Home Assistant names it: the device's name and behind it the entity's, if it has one of its own."""
    of_device, own = _line(device.get("name")), _line(config.get("name"))
    if not own and "name" not in config:
        own = one_line(config.get("device_class"), _MOST_NAME).replace("_", " ")
    if own.casefold().startswith(of_device.casefold()):
        of_device = ""  # what announces itself to older versions repeats the name of the device
    return f"{of_device} {own}".strip()[:_MOST_NAME] or object_id.replace("_", " ")[:_MOST_NAME]
