"""Discovery as devices publish it: what is understood, what is left out, and that nothing raises."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assistant.home.entities import UNAVAILABLE, Entity, State
from assistant.mqtt.house import MOST_ENTITIES, House
from assistant.mqtt.messages import read_discovery

PREFIX = "homeassistant"


def declared(topic: str, config: object) -> tuple[Entity, ...]:
    house = House(PREFIX)
    house.declare(f"{PREFIX}/{topic}/config", json.dumps(config).encode())
    return house.entities


def named(config: dict[str, object]) -> list[str]:
    return [entity.name for entity in declared("switch/some_plug", {"cmd_t": "x", **config})]


@pytest.mark.parametrize(
    ("config", "name"),
    [
        ({"name": "Plug"}, "Plug"),
        ({"name": None, "dev": {"name": "Desk lamp"}}, "Desk lamp"),
        ({"name": "Left", "dev": {"name": "Wall switch"}}, "Wall switch Left"),
        ({"name": "Wall switch left", "dev": {"name": "Wall switch"}}, "Wall switch left"),
        ({"dev": {"name": "Heater"}}, "Heater"),
        ({"dev": {"name": "Heater"}, "dev_cla": "outlet"}, "Heater outlet"),
        ({}, "some plug"),
        ({"name": " two\n lines\u0000 "}, "two lines"),
        ({"name": "x" * 200}, "x" * 80),
    ],
)
def test_names_are_those_of_home_assistant_on_one_line(config: dict[str, object], name: str) -> None:
    assert named(config) == [name]


@pytest.mark.parametrize(
    "config",
    [
        {"name": 3},
        {"name": "?!"},
        {"name": "x" * 300},
        {"dev": {"name": ["a"]}},
        {"cmd_t": "a/+/b"},
        {"cmd_t": "#"},
        {"cmd_t": "a\u0000b"},
        {"cmd_t": "$SYS/x"},
        {"cmd_t": "x" * 2000},
        {"cmd_t": {"a": 1}},
        {"cmd_t": None},
        {"stat_t": "lamp/#"},
        {"pl_on": {"a": 1}},
        {"avty": [{"t": "a/#"}]},
        {"avty_mode": "most"},
        {"ent_cat": "config"},
        {"en": False},
    ],
)
def test_what_cannot_be_used_or_is_not_for_users_is_left_out(config: dict[str, object]) -> None:
    assert named({"name": "Plug"}) == ["Plug"]
    assert named({"name": "Plug", **config}) == []


@pytest.mark.parametrize(
    "topic",
    ["switch/a/b/c/config", "switch/config", "switch/a b/config", "camera/a/config", "switch/a", "other"],
)
def test_other_topics_declare_nothing(topic: str) -> None:
    assert read_discovery(PREFIX, f"{PREFIX}/{topic}", b'{"cmd_t": "x", "name": "x"}') is None
    assert read_discovery(PREFIX, topic, b"") is None


def test_a_device_declares_several_components_and_takes_them_back() -> None:
    device = {
        "~": "strip",
        "dev": {"ids": ["1"], "name": "Strip", "sa": "Office"},
        "o": {"name": "maker"},
        "avty_t": "~/here",
        "cmps": {
            "a": {"p": "switch", "name": "One", "cmd_t": "~/1/set", "stat_t": "~/1", "uniq_id": "1a"},
            "b": {"p": "sensor", "name": "Power", "stat_t": "~/w", "unit_of_meas": "W", "uniq_id": "1b"},
            "gone": {"p": "switch"},
            "odd": {"p": "toaster"},
            "wrong": 5,
        },
    }
    house = House(PREFIX)
    topic = f"{PREFIX}/device/strip/config"
    assert house.declare(topic, json.dumps(device).encode())
    one, power = house.entities
    assert one == Entity("device/strip/a", "Strip One", "switch", "Office")
    assert (power.name, power.domain) == ("Strip Power", "sensor")
    assert house.topics == {"strip/1", "strip/w", "strip/here"}
    assert house.report("strip/here", b"online") == [one.id, power.id]
    assert house.report("strip/w", b"12.5") == [power.id]
    assert _state(house, power.id) == State("12.5", {"unit": "W"})
    device["cmps"] = {"b": device["cmps"]["b"]}
    assert house.declare(topic, json.dumps(device).encode())
    assert house.entities == (power,)
    assert _state(house, power.id) == State("12.5", {"unit": "W"}), "it is the same as before"
    assert house.declare(topic, b"")
    assert house.entities == () and house.topics == set()


def _state(house: House, entity_id: str) -> State | None:
    known = house.get(entity_id)
    assert known is not None
    return known.state


def test_the_same_again_changes_nothing_and_garbage_keeps_what_was_there() -> None:
    house = House(PREFIX)
    topic, config = f"{PREFIX}/switch/a/config", b'{"name": "A", "cmd_t": "x", "stat_t": "s", "uniq_id": "u"}'
    assert house.declare(topic, config)
    house.report("s", b"ON")
    for payload in (config, b"{", b"\xff", b"[]", b'{"name": "B"}', b"x" * 200_000):
        assert not house.declare(topic, payload)
        assert _state(house, "switch/a") == State("on")
    # Another topic with the same unique id is the same entity, once more.
    assert not house.declare(f"{PREFIX}/switch/b/config", config)
    assert house.declare(topic, config.replace(b"A", b"C"))
    assert [entity.name for entity in house.entities] == ["C"]


def test_there_are_at_most_a_thousand() -> None:
    house = House(PREFIX)
    for number in range(MOST_ENTITIES + 20):
        house.declare(f"{PREFIX}/button/b{number}/config", b'{"name": "B", "cmd_t": "x"}')
    assert len(house.entities) == MOST_ENTITIES == 1000
    assert house.declare(f"{PREFIX}/button/b0/config", b"")
    assert house.declare(f"{PREFIX}/button/new/config", b'{"name": "New", "cmd_t": "x"}')


@pytest.mark.parametrize(
    ("mode", "told", "available"),
    [
        ("latest", [], False),
        ("latest", [("a", "online"), ("b", "offline")], False),
        ("latest", [("b", "offline"), ("a", "online")], True),
        ("any", [("a", "online"), ("b", "offline")], True),
        ("all", [("a", "online")], False),
        ("all", [("a", "online"), ("b", "online")], True),
        ("all", [("a", "online"), ("b", "online"), ("b", "perhaps")], True),
        ("all", [("a", "online"), ("b", "online"), ("a", "offline")], False),
    ],
)
def test_availability(mode: str, told: list[tuple[str, str]], available: bool) -> None:
    house = House(PREFIX)
    config = {"name": "A", "cmd_t": "x", "stat_t": "s", "avty": [{"t": "a"}, {"t": "b"}], "avty_mode": mode}
    house.declare(f"{PREFIX}/switch/a/config", json.dumps(config).encode())
    house.report("s", b"ON")
    for topic, payload in told:
        house.report(topic, payload.encode())
    assert _state(house, "switch/a") == State("on" if available else UNAVAILABLE)


def test_the_assistants_own_entities_are_none_of_the_home() -> None:
    own = f"{PREFIX}/switch/assistant/mute/config"
    house = House(PREFIX, frozenset({own}))
    assert not house.declare(own, b'{"name": "Mute", "cmd_t": "x"}')
    assert house.entities == ()


KEYS = ["~", "name", "cmd_t", "stat_t", "val_tpl", "dev", "avty", "p", "cmps", "schema", "bri_scl", "modes"]
KEYS += ["brightness", "sup_clrm", "pos_open", "spd_rng_max", "min_temp", "cmd_on_tpl", "rgb_cmd_t", "pl_on"]
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.floats()
    | st.integers()
    | st.text(max_size=8)
    | st.sampled_from(["a/b", "{{ value }}"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=6),
    max_leaves=12,
)
KINDS = [
    "light",
    "switch",
    "climate",
    "cover",
    "fan",
    "lock",
    "scene",
    "button",
    "sensor",
    "vacuum",
    "device",
]


@given(st.sampled_from(KINDS), st.dictionaries(st.sampled_from(KEYS), JSON), st.binary(max_size=20), JSON)
def test_whatever_is_published_nothing_raises(
    kind: str, config: dict[str, object], state: bytes, report: object
) -> None:
    house = House(PREFIX)
    base = {"cmd_t": "c", "stat_t": "s", "mode_cmd_t": "c"}
    for payload in ({**base, **config}, {"cmps": {"x": {"p": "light", **base, **config}}}, config):
        house.declare(f"{PREFIX}/{kind}/a/config", json.dumps(payload).encode())
        for topic in sorted(house.topics):
            for said in (state, json.dumps(report).encode(), b"1e308", b"-1", b"[" * 2000):
                house.report(topic, said)
        for entity in house.entities:
            assert 0 < len(entity.name) <= 80 and entity.name.isprintable()
            _state(house, entity.id)
