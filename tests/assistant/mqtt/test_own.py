"""The assistant as a device in Home Assistant: against what its documentation asks of a discovery message."""

import json
import re
from typing import Any

import numpy as np
import pytest

from assistant.config import MqttConfig
from assistant.mqtt.own import Mute, Offers, Own, Say, Told
from assistant.mqtt.told import follow, messages
from assistant.session.conversation import ItemAdded, ItemChanged, UserItem
from assistant.session.events import (
    AudioDelta,
    ReplyContinued,
    ReplyDiscarded,
    ReplyDone,
    ReplyStarted,
    SessionEvent,
    SpeechStarted,
    SpeechStopped,
)
from assistant.session.parts import PARTS, Boundaries
from tts.stream import SpeechChunk

# Home Assistant's documentation of its MQTT integration: keys of each component, and those that it requires.
COMMON = {"name", "unique_id", "device", "origin", "availability_topic", "qos", "icon", "entity_category"}
ATTRIBUTES = {"json_attributes_topic", "json_attributes_template"}
SENSOR = {"state_topic", "value_template", "device_class", "state_class", "unit_of_measurement", "options"}
SCHEMA: dict[str, tuple[set[str], set[str]]] = {
    "sensor": (COMMON | ATTRIBUTES | SENSOR, {"state_topic"}),
    "switch": (COMMON | {"command_topic", "state_topic"}, {"command_topic"}),
    "text": (COMMON | {"command_topic", "max", "min", "state_topic"}, {"command_topic"}),
}
ALL = Own(MqttConfig(host="x", base_topic="home/voice", share_transcripts=True), "1.2.3", Offers(True, True))
LEAST = Own(MqttConfig(host="x", base_topic="home/voice"), "1.2.3", Offers())


def declared(own: Own) -> dict[str, dict[str, Any]]:
    return {p.topic: json.loads(p.payload) for p in own.discovery if p.payload}


def test_discovery_is_what_home_assistant_takes() -> None:
    for topic, config in declared(ALL).items():
        match = re.fullmatch(r"homeassistant/([a-z]+)/[a-zA-Z0-9_-]+/[a-zA-Z0-9_-]+/config", topic)
        assert match is not None
        keys, required = SCHEMA[match[1]]
        assert required | {"unique_id", "device"} <= config.keys() <= keys, topic
        assert config["device"]["identifiers"] and config["origin"]["name"]
        assert config["availability_topic"] == "home/voice/availability"
        for key in config:
            assert not key.endswith("topic") or config[key].startswith("home/voice/")
        if config.get("device_class") == "enum":
            assert "state_class" not in config and "unit_of_measurement" not in config and config["options"]
        if config.get("device_class") == "duration":
            assert config["unit_of_measurement"] in ("d", "h", "min", "s", "ms")
    ids = [config["unique_id"] for config in declared(ALL).values()]
    assert len(ids) == len(set(ids)) == 6
    assert all(p.retain for p in ALL.discovery)


def test_what_is_not_offered_is_not_there_and_is_taken_back() -> None:
    assert {config["name"] for config in declared(LEAST).values()} == {
        "State",
        "Time to first audio",
        "Longest wait",
    }
    assert {p.topic for p in LEAST.discovery} == {p.topic for p in ALL.discovery}
    assert LEAST.commands == ()


@pytest.mark.parametrize(
    ("topic", "payload", "asked"),
    [
        ("home/voice/say", b" Dinner is\nready. ", Say("Dinner is ready.")),
        ("home/voice/say", b" ", None),
        ("home/voice/say", b"\xff", None),
        ("home/voice/say", b"x" * 1001, None),
        ("home/voice/mute/set", b"ON", Mute(True)),
        ("home/voice/mute/set", b"OFF", Mute(False)),
        ("home/voice/mute/set", b"maybe", None),
        ("home/voice/other", b"ON", None),
    ],
)
def test_what_is_asked_from_there(topic: str, payload: bytes, asked: object) -> None:
    assert ALL.heard(topic, payload) == asked


CHUNK = AudioDelta(1, SpeechChunk(np.zeros(1, np.float32), 24000, "Hi"))
ENDS = {name: 1_000_000_000 + 10_000_000 * number for number, name in enumerate(PARTS, 1)}
ENDS["llm.prefill"] += 5_000_000


def done(boundaries: Boundaries | None) -> ReplyDone:
    return ReplyDone(1, "hi", "Hi.", "Hi.", 1_000_000_000, 0, boundaries, False, False, 0)


def test_the_state_follows_the_conversation() -> None:
    events: list[tuple[SessionEvent, Told]] = [
        (SpeechStarted(0, "a"), "listening"),
        (SpeechStopped(9, "a"), "idle"),
        (ReplyStarted(1, "b"), "thinking"),
        (CHUNK, "speaking"),
        (SpeechStarted(0, "c"), "listening"),
        (CHUNK, "listening"),
        (ReplyContinued(1), "speaking"),
        (done(None), "idle"),
        (ReplyStarted(2, "d"), "thinking"),
        (ReplyDiscarded(2), "idle"),
    ]
    told: Told = "idle"
    for event, after in events:
        assert (told := follow(told, event)) == after, event


def test_a_reply_tells_its_latency_the_largest_part_first() -> None:
    _, published = messages(ALL, "speaking", done(Boundaries(ENDS, {})))
    latency = next(p for p in published if p.topic == "home/voice/latency")
    found = json.loads(latency.payload)
    # Nine parts of 10 ms each but for one that takes 15 and the one behind it 5.
    assert (found["ttfa_ms"], found["largest"]) == (90, "llm.prefill")
    assert list(found["parts"].values()) == [15, *[10] * 7, 5]
    assert messages(ALL, "idle", done(None)) == ("idle", ())


def test_transcripts_are_told_only_where_they_are_shared_and_never_retained() -> None:
    whole, part = UserItem("a", "Turn it on.", spoken=True), UserItem("a", "", complete=False, spoken=True)
    assert messages(ALL, "idle", ItemAdded(part, None))[1] == ()
    for event in (ItemAdded(whole, None), ItemChanged(whole)):
        (told,) = messages(ALL, "idle", event)[1]
        assert (told.topic, told.payload, told.retain) == ("home/voice/transcript", "Turn it on.", False)
        assert messages(LEAST, "idle", event)[1] == ()
    (told,) = messages(ALL, "idle", ItemAdded(UserItem("a", "x" * 999), None))[1]
    assert len(told.payload) == 255  # Home Assistant's longest state
