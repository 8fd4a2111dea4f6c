"""Typed fields of an event: defaults, null, limits, and errors by path."""

from collections.abc import Callable
from typing import Any

import pytest

from assistant.server.fields import Fields
from assistant.server.wire import WireError

EVENT = {
    "type": "session.update",
    "event_id": "event_1",
    "null": None,
    "text": "hello",
    "integer": 5,
    "float": 3.0,
    "flag": False,
    "object": {"inner": {"rate": 24000}},
    "array": [{"text": "a"}, "b", 7],
    "unread": object(),
}

Read = Callable[..., Any]
READERS: dict[str, Read] = {
    "text": lambda fields, key, **rest: fields.text(key, limit=5, **rest),
    "integer": lambda fields, key, **rest: fields.integer(key, low=5, high=6, **rest),
    "number": lambda fields, key, **rest: fields.number(key, low=3, high=5.5, **rest),
    "flag": lambda fields, key, **rest: fields.flag(key, **rest),
    "choice": lambda fields, key, **rest: fields.choice(key, ("hello", "b"), **rest),
    "object": lambda fields, key, **rest: fields.object(key, **rest),
    "array": lambda fields, key, **rest: fields.array(key, limit=3, **rest),
}
TAKES = {
    "text": {"text"},
    "integer": {"integer"},
    "number": {"integer", "float"},
    "flag": {"flag"},
    "choice": {"text"},
    "object": {"object"},
    "array": {"array"},
}


def error_of(read: Callable[[], object]) -> WireError:
    with pytest.raises(WireError) as caught:
        read()
    return caught.value


every_reader = pytest.mark.parametrize("name", READERS)


@every_reader
@pytest.mark.parametrize("key", ["null", "text", "integer", "float", "flag", "object", "array"])
def test_a_reader_takes_its_own_type_only(name: str, key: str) -> None:
    fields = Fields.of_event(EVENT)
    if key not in TAKES[name]:
        error = error_of(lambda: READERS[name](fields, key))
        assert (error.code, error.param, error.event_id) == ("invalid_value", key, "event_1")
        assert error.message.startswith(f"'{key}' must be ")
    elif name in ("object", "array"):
        assert isinstance(READERS[name](fields, key), Fields)
    else:
        value = READERS[name](fields, key)
        assert value == EVENT[key]
        assert (
            type(value) is {"text": str, "choice": str, "integer": int, "number": float, "flag": bool}[name]
        )


@every_reader
def test_an_absent_field_is_required_or_has_a_default(name: str) -> None:
    fields, read = Fields.of_event(EVENT), READERS[name]
    error = error_of(lambda: read(fields, "absent"))
    assert (error.code, error.param, error.event_id) == ("missing_required_parameter", "absent", "event_1")
    assert error.message == "'absent' is missing"
    assert read(fields, "absent", default=None) is None
    assert read(fields, "absent", default="anything") == "anything"
    assert error_of(lambda: read(fields, "absent", null=None)).code == "missing_required_parameter"


@every_reader
def test_null_is_refused_unless_it_is_a_value(name: str) -> None:
    fields, read = Fields.of_event(EVENT), READERS[name]
    assert error_of(lambda: read(fields, "null", default=1)).message.endswith(", not null")
    assert read(fields, "null", null=None) is None
    assert read(fields, "null", null="off", default="on") == "off"


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("hello!", "'a' must be a string of at most 5 characters, not \"hello!\""),
        ("x" * 9999, "'a' must be a string of at most 5 characters, not a string of 9999 characters"),
        (True, "'a' must be a string of at most 5 characters, not true"),
        (3.0, "'a' must be a string of at most 5 characters, not 3.0"),
        ([1, 2], "'a' must be a string of at most 5 characters, not an array of 2 elements"),
        ({}, "'a' must be a string of at most 5 characters, not an object"),
    ],
)
def test_a_message_says_what_is_wanted_and_what_came(value: object, message: str) -> None:
    assert error_of(lambda: Fields({"a": value}).text("a", limit=5)).message == message


@pytest.mark.parametrize("value", [0, 7, -5, 10**20, True, 5.0, "5"])
def test_an_integer_is_one_and_in_range(value: object) -> None:
    error = error_of(lambda: Fields({"a": value}).integer("a", low=1, high=6))
    assert "an integer from 1 to 6" in error.message
    assert [Fields({"a": v}).integer("a", low=1, high=6) for v in (1, 6)] == [1, 6]


@pytest.mark.parametrize("value", [0.49, 1.51, float("nan"), float("inf"), True, "1"])
def test_a_number_is_one_and_in_range(value: object) -> None:
    error = error_of(lambda: Fields({"a": value}).number("a", low=0.5, high=1.5))
    assert "a number from 0.5 to 1.5" in error.message
    assert [Fields({"a": v}).number("a", low=0.5, high=1.5) for v in (0.5, 1, 1.5)] == [0.5, 1.0, 1.5]


def test_a_choice_names_the_others() -> None:
    fields = Fields({"type": "opus"})
    error = error_of(lambda: fields.choice("type", ("audio/pcm", "audio/pcmu")))
    assert error.message == '\'type\' must be "audio/pcm" or "audio/pcmu", not "opus"'


def test_fields_inside_have_their_path() -> None:
    event = Fields.of_event({"event_id": "e", "session": {"audio": {"format": {"rate": 1}}}})
    rate = event.object("session").object("audio").object("format")
    error = error_of(lambda: rate.integer("rate", low=24000, high=24000))
    assert (error.param, error.event_id) == ("session.audio.format.rate", "e")
    assert error_of(lambda: rate.text("type", limit=9)).param == "session.audio.format.type"


def test_an_array_is_read_by_index() -> None:
    content = Fields.of_event({"item": {"content": EVENT["array"]}}).object("item").array("content", limit=3)
    assert list(content) == [0, 1, 2]
    assert content.object(0).text("text", limit=1) == "a"
    assert content.choice(1, ("a", "b")) == "b"
    assert error_of(lambda: content.flag(2)).param == "item.content[2]"
    assert error_of(lambda: content.object(0).flag("text")).param == "item.content[0].text"
    assert error_of(lambda: Fields({"a": [1, 2]}).array("a", limit=1)).message == (
        "'a' must be an array of at most 1 elements, not an array of 2 elements"
    )


def test_keys_of_the_client_can_be_listed_and_are_shortened_in_errors() -> None:
    metadata = Fields({"metadata": {"a": "1", "\n" + "k" * 2**20: 2}}).object("metadata")
    assert (len(metadata), "a" in metadata, "b" in metadata) == (2, True, False)
    error = error_of(lambda: {key: metadata.text(key, limit=9) for key in metadata})
    assert error.param is not None
    assert error.param.startswith(r"metadata.\nkkk") and len(error.param) <= 60
    assert len(error.message) < 150


def test_an_error_of_the_caller_names_the_field_too() -> None:
    error = Fields({}, "session.audio", "e").error("voice", "cannot change now", "cannot_update_voice")
    assert (error.code, error.param, error.event_id) == ("cannot_update_voice", "session.audio.voice", "e")
    assert error.message == "'session.audio.voice' cannot change now"
