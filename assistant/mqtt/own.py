"""The assistant as a device in Home Assistant, pure: what it declares, what it tells and what it is told."""

import json
import re
from dataclasses import dataclass
from typing import Literal, get_args

from assistant.config import MqttConfig
from assistant.mqtt.parts import Publication

Told = Literal["idle", "listening", "thinking", "speaking"]
"""Idle: nobody speaks. Listening: the user does."""

_ONLINE, _OFFLINE = "online", "offline"
_MOST_SAID = 1000  # characters that are spoken of one message


@dataclass(frozen=True)
class Offers:
    """What can be asked of the assistant from there; what cannot does not appear."""

    say: bool = False
    mute: bool = False


@dataclass(frozen=True)
class Say:
    """Speak this text."""

    text: str


@dataclass(frozen=True)
class Mute:
    """Mute the microphone, or unmute it."""

    muted: bool


class Own:
    """The topics and messages of one assistant, which its base topic tells from others."""

    def __init__(self, config: MqttConfig, version: str, offers: Offers) -> None:
        self._config, self._version, self._offers = config, version, offers
        self._id = re.sub(r"[^a-zA-Z0-9_-]+", "_", config.base_topic)
        self.availability = f"{config.base_topic}/availability"

    @property
    def online(self) -> Publication:
        """Says that the assistant can be reached; retained."""
        return Publication(self.availability, _ONLINE, retain=True)

    @property
    def offline(self) -> Publication:
        """The last will."""
        return Publication(self.availability, _OFFLINE, retain=True)

    @property
    def commands(self) -> tuple[str, ...]:
        """The topics on which it is told something."""
        mute, say = (self._topic("mute/set"),), (self._topic("say"),)
        return (mute if self._offers.mute else ()) + (say if self._offers.say else ())

    def heard(self, topic: str, payload: bytes) -> Say | Mute | None:
        """What a message asks for; None if nothing that is understood."""
        try:
            text = payload.decode("utf-8")
        except UnicodeDecodeError:
            return None
        if topic == self._topic("mute/set") and text in ("ON", "OFF"):
            return Mute(text == "ON")
        spoken = " ".join(text.split())
        if topic == self._topic("say") and spoken and len(spoken) <= _MOST_SAID:
            return Say(spoken)
        return None

    @property
    def discovery(self) -> tuple[Publication, ...]:
        """Declares the entities that there are, and takes back those that there may have been; retained."""
        prefix = self._config.discovery_prefix
        return tuple(
            Publication(
                f"{prefix}/{component}/{self._id}/{name}/config",
                json.dumps(self._described(name, config)) if offered else "",
                retain=True,
            )
            for component, name, offered, config in self._entities()
        )

    def state(self, state: Told) -> Publication:
        """What the assistant does."""
        return Publication(self._topic("state"), state, retain=True)

    def muted(self, muted: bool) -> Publication:
        """Whether the microphone is muted."""
        return Publication(self._topic("mute"), "ON" if muted else "OFF", retain=True)

    def transcript(self, text: str) -> Publication | None:
        """What the user said, which is not retained; None where it is not to be shared."""
        if not self._config.share_transcripts:
            return None
        return Publication(self._topic("transcript"), text[:255])  # Home Assistant takes no longer state

    def latency(self, ttfa_ms: float, parts: dict[str, float]) -> Publication:
        """The time to first audio of a reply, and its parts in milliseconds."""
        largest = sorted(parts.items(), key=lambda part: -part[1])
        message = {
            "ttfa_ms": round(ttfa_ms),
            "largest": largest[0][0] if largest else "",
            "parts": {name: round(ms) for name, ms in largest},
        }
        return Publication(self._topic("latency"), json.dumps(message), retain=True)

    def _topic(self, name: str) -> str:
        return f"{self._config.base_topic}/{name}"

    def _described(self, name: str, config: dict[str, object]) -> dict[str, object]:
        return {
            **config,
            "unique_id": f"{self._id}_{name}",
            "availability_topic": self.availability,
            "device": {
                "identifiers": [self._id],
                "name": self._config.name,
                "manufacturer": "assistant-in-one-process",
                "sw_version": self._version,
            },
            "origin": {"name": "assistant-in-one-process", "sw_version": self._version},
            "qos": 1,
        }

    def _entities(self) -> list[tuple[str, str, bool, dict[str, object]]]:
        """Component, name, whether there is one, and its own part of the configuration."""
        latency = {"state_topic": self._topic("latency"), "entity_category": "diagnostic"}
        return [
            (
                "sensor",
                "state",
                True,
                {
                    "name": "State",
                    "state_topic": self._topic("state"),
                    "device_class": "enum",
                    "options": list(get_args(Told)),
                    "icon": "mdi:account-voice",
                },
            ),
            (
                "sensor",
                "transcript",
                self._config.share_transcripts,
                {
                    "name": "Last transcript",
                    "state_topic": self._topic("transcript"),
                    "icon": "mdi:text-recognition",
                },
            ),
            (
                "sensor",
                "ttfa",
                True,
                {
                    **latency,
                    "name": "Time to first audio",
                    "device_class": "duration",
                    "unit_of_measurement": "ms",
                    "state_class": "measurement",
                    "value_template": "{{ value_json.ttfa_ms }}",
                    "json_attributes_topic": self._topic("latency"),
                    "json_attributes_template": "{{ value_json.parts | tojson }}",
                },
            ),
            (
                "sensor",
                "ttfa_part",
                True,
                {**latency, "name": "Longest wait", "value_template": "{{ value_json.largest }}"},
            ),
            (
                "switch",
                "mute",
                self._offers.mute,
                {
                    "name": "Mute",
                    "command_topic": self._topic("mute/set"),
                    "state_topic": self._topic("mute"),
                    "icon": "mdi:microphone-off",
                },
            ),
            (
                "text",
                "say",
                self._offers.say,
                {
                    "name": "Say",
                    "command_topic": self._topic("say"),
                    "max": 255,
                    "icon": "mdi:bullhorn",
                },
            ),
        ]
