"""Whether an entity can be reached, as Home Assistant's MQTT integration tells it."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Literal

from assistant.mqtt.fields import Fields, Invalid
from assistant.mqtt.parts import Reading, choice, reading

Mode = Literal["all", "any", "latest"]
_ONLINE, _OFFLINE = "online", "offline"
_MOST_SOURCES = 20


@dataclass(frozen=True)
class Availability:
    """The topics that tell it, and whether all have to say so, any, or whichever spoke last."""

    readings: tuple[Reading, ...] = ()
    mode: Mode = "latest"

    @property
    def topics(self) -> tuple[str, ...]:
        """What to subscribe to."""
        return tuple(reading.topic for reading in self.readings)

    def after(self, told: Mapping[str, bool], topic: str, payload: str) -> dict[str, bool]:
        """What each topic said last, the latest at the end, after a message; the same if it says nothing."""
        after = dict(told)
        for source in self.readings:
            if source.topic != topic:
                continue
            try:
                online = source.read(payload)["value"] == _ONLINE
            except Invalid:
                continue
            after.pop(topic, None)
            after[topic] = online
        return after

    def holds(self, told: Mapping[str, bool]) -> bool:
        """Whether the entity can be reached, by what was told; one that tells nothing always can."""
        if not self.readings:
            return True
        if self.mode == "latest":
            return bool(told) and list(told.values())[-1]
        said = [told.get(topic, False) for topic in set(self.topics)]
        return all(said) if self.mode == "all" else any(said)


def availability(config: Mapping[str, object]) -> Availability:
    """Read it from a component's configuration. Raises Invalid."""
    fields = Fields(config)
    sources = config.get("availability")
    if isinstance(sources, list):
        if len(sources) > _MOST_SOURCES:
            raise Invalid("too many availability topics")
        given = [Fields(source) for source in sources if isinstance(source, dict)]
        readings = [_source(each, "topic", "value_template") for each in given]
    else:
        readings = [_source(fields, "availability_topic", "availability_template")]
    match fields.text("availability_mode", "latest"):
        case "all" | "any" | "latest" as mode:
            return Availability(tuple(chain(*readings)), mode)
    raise Invalid("an unknown availability_mode")


def _source(fields: Fields, topic_key: str, template_key: str) -> tuple[Reading, ...]:
    online = fields.text("payload_available", "online")
    offline = fields.text("payload_not_available", "offline")
    return reading(fields, topic_key, template_key, choice({offline: _OFFLINE, online: _ONLINE}))
