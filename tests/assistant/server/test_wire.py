"""Client events as strict JSON: what is refused, with which code, naming which field."""

import json
import re
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from assistant.server.wire import WireError, error_event, read_event, shown, write_event

ACCEPTED = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**19), 10**19)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=20,
)


def refusal(text: str, **options: int) -> WireError:
    with pytest.raises(WireError) as caught:
        read_event(text, **options)
    return caught.value


@given(ACCEPTED, st.booleans())
def test_an_event_is_read_as_json(value: object, is_ascii: bool) -> None:
    event = {"type": "x", "event_id": "é" * 512, "value": value}
    assert read_event(json.dumps(event, ensure_ascii=is_ascii)) == event


@given(ACCEPTED)
def test_an_event_that_is_written_is_json_on_one_line(value: object) -> None:
    text = write_event({"type": "x", "value": value})
    assert json.loads(text) == {"type": "x", "value": value}
    assert "\n" not in text and text.startswith('{"type":"x","value":')


def test_text_is_written_as_it_is_and_nan_is_not() -> None:
    assert write_event({"delta": "にほん 🎧"}) == '{"delta":"にほん 🎧"}'
    with pytest.raises(ValueError, match="JSON compliant"):
        write_event({"usage": {"seconds": float("nan")}})


@pytest.mark.parametrize("each", ["{}", "[]", "7", "1.5", '""', "null"])
def test_the_number_of_values_is_bounded(each: str) -> None:
    """Twenty thousand: the event's own two, and those in `a`."""

    def event(count: int) -> str:
        return f'{{"type": "x", "a": [{", ".join([each] * count)}]}}'

    assert len(read_event(event(19_990))["a"]) == 19_990
    error = refusal(event(20_001))
    assert (error.code, error.message) == ("invalid_json", "the event has more than 20000 values")


def test_commas_and_braces_in_a_text_are_no_values() -> None:
    """In the longest text that an item may have."""
    text = "{},[]," * (65_536 // 6)
    assert read_event(json.dumps({"type": "x", "a": text}))["a"] == text


@pytest.mark.parametrize(
    "text",
    ["", "{", "null", "[]", '"type"', "7", "NaN", '{"type": "x"} {}', "{'type': 'x'}", '{"type": "x",}',
     "\ufeff{}", '{"type": "a\nb"}', '{"type": "\\q"}', '{"type": 01}', '{"type": +1}', '{"type": .5}',
     '{type: "x"}'],
)  # fmt: skip
def test_what_is_no_json_object_is_refused(text: str) -> None:
    error = refusal(text)
    assert (error.code, error.param, error.event_id) == ("invalid_json", None, None)


@pytest.mark.parametrize(
    ("value", "param", "reason"),
    [
        ("NaN", "a", "NaN"),
        ("[1, Infinity]", "a[1]", "Infinity"),
        ('{"b": [{"c": -Infinity}]}', "a.b[0].c", "-Infinity"),
        ("1e999", "a", "too large"),
        ("-1e999", "a", "too large"),
        ("1" * 400 + ".0", "a", "too large"),
        ("1" * 21, "a", "20 digits"),
        ("-" + "1" * 10_000, "a", "20 digits"),
        ('{"b": {"c": 1, "d": 2, "c": 1}}', "a.b.c", "more than once"),
        ('{"c": NaN, "c": 1, "c": 2}', "a.c", "more than once"),
        (r'"\ud800"', "a", "surrogate"),
        (r'["", "x\udfffy"]', "a[1]", "surrogate"),
        (r'"\udc00\ud800"', "a", "surrogate"),
        (r'{"\ud800": 1}', r"a.\ud800", "surrogate"),
        ('"\ud800"', "a", "surrogate"),
    ],
)
def test_json_that_is_not_strict_is_refused_with_its_path(value: str, param: str, reason: str) -> None:
    error = refusal(f'{{"type": "x", "a": {value}, "event_id": "event_7"}}')
    assert (error.code, error.param, error.event_id) == ("invalid_json", param, "event_7")
    assert param in error.message and reason in error.message


@pytest.mark.parametrize("value", ["1" * 20, "-" + "9" * 20, "1e308", "-0.0", r'"\ud83c\udfa7"', r'"\u0000"'])
def test_what_looks_like_it_is_accepted(value: str) -> None:
    assert read_event(f'{{"type": "x", "a": {value}}}')["a"] == json.loads(value)


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}")])
def test_depth_is_bounded(opening: str, closing: str) -> None:
    def nested(levels: int) -> str:  # the event is the first of them
        return '{"type":"x","event_id":"e","a":' + opening * (levels - 1) + "1" + closing * (levels - 1) + "}"

    if opening == "[":
        assert read_event(nested(64))["type"] == "x"
    for levels in (65, 100, 500):
        error = refusal(nested(levels))
        assert (error.code, error.param, error.event_id) == ("invalid_json", None, "e")
        assert "64 levels" in error.message
    for text in (nested(100_000), opening * 100_000):
        assert refusal(text).code == "invalid_json"
        assert "64 levels" in refusal(text).message


@pytest.mark.parametrize(
    ("text", "event_id"),
    [
        ("{}", None),
        ('{"event_id": "e"}', "e"),
        ('{"type": 3, "event_id": "e"}', "e"),
        ('{"type": null}', None),
    ],
)
def test_an_event_needs_a_type(text: str, event_id: str | None) -> None:
    error = refusal(text)
    assert (error.code, error.param, error.event_id) == ("invalid_event", "type", event_id)


@pytest.mark.parametrize("event_id", ["7", "null", "{}", json.dumps("x" * 513), json.dumps("x" * 2**20)])
def test_an_event_id_is_a_short_string(event_id: str) -> None:
    error = refusal(f'{{"type": "x", "event_id": {event_id}}}')
    assert (error.code, error.param, error.event_id) == ("invalid_value", "event_id", None)
    assert len(error.message) < 80


def test_the_limit_of_an_event_id_is_the_callers() -> None:
    assert read_event('{"type": "x", "event_id": "1234"}', max_event_id=4)["event_id"] == "1234"
    assert "4 characters" in refusal('{"type": "x", "event_id": "12345"}', max_event_id=4).message


@pytest.mark.parametrize("event_id", [r'"\ud800"', '"a", "event_id": "b"', '"' + "x" * 513 + '"'])
def test_an_event_id_that_cannot_be_trusted_is_not_echoed(event_id: str) -> None:
    assert refusal(f'{{"type": "x", "a": NaN, "event_id": {event_id}}}').event_id is None


LONG = "k" * 2**20


@given(st.text(st.sampled_from('{}[]:,"\\ud8001e9NaIfity.-+ \n\ud800é') | st.characters()))
@example(f'{{"type": "x", "{LONG}": NaN}}')
@example(f'{{"type": "x", "{LONG}": 1, "{LONG}": 1}}')
@example(f'{{"type": "x", "a": {"7" * 2**20}}}')
@example(LONG)
def test_an_error_is_short_and_can_be_sent(text: str) -> None:
    try:
        event = read_event(text)
    except WireError as error:
        assert len(error.message) < 150 and len(error.param or "") <= 60
        write_event(error_event(error, "event_1")).encode()
    else:
        assert isinstance(event["type"], str)


def test_the_error_event_has_the_parts_that_clients_read() -> None:
    error = WireError("invalid_value", "'x' is wrong", "x", "event_client")
    expected: dict[str, Any] = {
        "type": "error",
        "event_id": "event_server",
        "error": {
            "type": "invalid_request_error",
            "code": "invalid_value",
            "message": "'x' is wrong",
            "param": "x",
            "event_id": "event_client",
        },
    }
    assert error_event(error, "event_server") == expected
    bare = error_event(WireError("rate_limited", "slower", type="rate_limit_error"), "e")["error"]
    assert (bare["type"], bare["param"], bare["event_id"]) == ("rate_limit_error", None, None)
    assert str(error) == "'x' is wrong"


@given(st.text(st.characters()))
@example("x" * 60)
@example("x" * 61)
@example("\x00" * 60)
@example("\ud800\n🎧")
def test_what_is_shown_is_short_and_printable(text: str) -> None:
    result = shown(text)
    assert len(result) <= 60 and result.isprintable()
    assert result == text or re.search(r"…$|\\[xuU]|\\[nrt]", result)


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("x" * 60, "x" * 60),
        ("x" * 61, "x" * 59 + "…"),
        ("a\nb", r"a\nb"),
        ("\ud800é", r"\ud800é"),
        ("\\", "\\"),
    ],
)
def test_what_is_shown(text: str, result: str) -> None:
    assert shown(text) == result
