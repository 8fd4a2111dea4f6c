"""Items as the installed clients send them, and as they are told of them."""

from collections.abc import Mapping
from typing import Any

import pytest
from event_fields import check_event

from assistant.server.fields import Fields
from assistant.server.items import read_item, wire_item
from assistant.server.wire import WireError
from assistant.session.conversation import (
    AssistantItem,
    Item,
    Spoken,
    SystemItem,
    ToolCall,
    ToolOutput,
    UserItem,
)

LIMIT = 100


def take(wanted: Mapping[str, Any]) -> Item:
    return read_item(Fields(wanted, "item", "mine"), lambda: "ours_1", LIMIT)


def told(item: Item, **how: Any) -> Any:  # noqa: ANN401  # any JSON
    wired = wire_item(item, **how)
    check_event({"type": "conversation.item.retrieved", "event_id": "event_1", "item": wired})
    return wired


def test_a_typed_message_keeps_the_id_of_its_client() -> None:
    content = [{"type": "input_text", "text": "Hello."}]
    name = "3f2c9d1e8b7a4c6d9e0f1a2b3c4d5e6f"  # pipecat's: 32 hex digits
    item = take({"id": name, "type": "message", "role": "user", "content": content})
    assert item == UserItem(name, "Hello.")
    assert told(item) == {
        "id": name,
        "object": "realtime.item",
        "status": "completed",
        "type": "message",
        "role": "user",
        "content": content,
    }


@pytest.mark.parametrize("nothing", [{}, {"id": None}, {"id": ""}])
def test_a_message_without_an_id_gets_one(nothing: Mapping[str, Any]) -> None:
    content = [{"type": "input_text", "text": "Hello."}]
    assert take({**nothing, "type": "message", "role": "user", "content": content}).id == "ours_1"


@pytest.mark.parametrize(
    ("role", "parts", "text"),
    [
        (
            "user",
            [{"type": "input_text", "text": "One."}, {"type": "input_text", "text": "Two."}],
            "One. Two.",
        ),
        ("user", [{"type": "input_audio", "transcript": "One."}], "One."),
        (
            "user",
            [{"type": "input_audio", "transcript": None}, {"type": "input_text", "text": "Two."}],
            "Two.",
        ),
        ("user", [], ""),
        ("system", [{"type": "input_text", "text": "It is late."}], "It is late."),
        ("assistant", [{"type": "output_text", "text": "Hi."}], "Hi."),
        ("assistant", [{"type": "output_audio", "transcript": "Hi."}], "Hi."),
        ("assistant", [{"type": "text", "text": "Hi."}], "Hi."),
        ("assistant", [{"type": "audio", "transcript": "Hi."}], "Hi."),
    ],
)
def test_messages_are_read_for_their_text(role: str, parts: list[Mapping[str, Any]], text: str) -> None:
    item = take(
        {"type": "message", "role": role, "content": parts, "status": "completed", "object": "realtime.item"}
    )
    kinds = {"user": UserItem, "system": SystemItem, "assistant": AssistantItem}
    assert type(item) is kinds[role] and item.text == text  # type: ignore[union-attr]
    found = "".join(part.get("text") or part.get("transcript") or "" for part in told(item)["content"])
    assert found == text


def test_a_call_and_its_output() -> None:
    call = {
        "type": "function_call",
        "id": "i1",
        "call_id": "call_1",
        "name": "weather",
        "arguments": '{"a": 1}',
    }
    output = {"type": "function_call_output", "id": "i2", "call_id": "call_1", "output": "rain"}
    assert take(call) == ToolCall("i1", "call_1", "weather", '{"a": 1}')
    assert take(output) == ToolOutput("i2", "call_1", "rain")
    for wanted in (call, output):
        assert told(take(wanted)) == {**wanted, "object": "realtime.item", "status": "completed"}


def test_a_call_without_an_id_of_its_own_gets_one_that_clients_send_back_whole() -> None:
    call = {"type": "function_call", "id": "i" * 60, "name": "weather", "arguments": "{}"}
    item = take(call)
    assert isinstance(item, ToolCall) and item.call_id == "i" * 32


REFUSED = [
    ({"type": "item_reference", "id": "i1"}, "item.type"),
    ({"role": "user", "content": []}, "item.type"),
    ({"type": "message", "content": []}, "item.role"),
    ({"type": "message", "role": "tool", "content": []}, "item.role"),
    ({"type": "message", "role": "user"}, "item.content"),
    ({"type": "message", "role": "user", "content": "Hello."}, "item.content"),
    ({"type": "message", "role": "user", "content": ["Hello."]}, "item.content[0]"),
    (
        {"type": "message", "role": "user", "content": [{"type": "output_text", "text": ""}]},
        "item.content[0].type",
    ),
    ({"type": "message", "role": "user", "content": [{"type": "input_image"}]}, "item.content[0].type"),
    (
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": 5}]},
        "item.content[0].text",
    ),
    (
        {"type": "message", "role": "user", "content": [{"type": "input_audio", "audio": "AAA="}]},
        "item.content[0].audio",
    ),
    (
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "x" * (LIMIT + 1)}]},
        "item.content[0].text",
    ),
    (
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "x" * 60}] * 2},
        "item.content",
    ),
    (
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": ""}] * 65},
        "item.content",
    ),
    ({"type": "message", "role": "user", "content": [], "id": "x" * 129}, "item.id"),
    ({"type": "message", "role": "user", "content": [], "status": "lost"}, "item.status"),
    ({"type": "function_call", "name": "weather"}, "item.arguments"),
    ({"type": "function_call", "arguments": "{}"}, "item.name"),
    ({"type": "function_call_output", "output": "rain"}, "item.call_id"),
    ({"type": "function_call_output", "call_id": "call_1", "output": {}}, "item.output"),
    ({"type": "function_call_output", "call_id": "call_1", "output": "x" * (LIMIT + 1)}, "item.output"),
]


@pytest.mark.parametrize(("wanted", "param"), REFUSED, ids=[param for _, param in REFUSED])
def test_what_is_no_item_is_refused_by_its_field(wanted: Mapping[str, Any], param: str) -> None:
    with pytest.raises(WireError) as caught:
        take(wanted)
    assert (caught.value.param, caught.value.event_id) == (param, "mine")


def test_what_was_said_has_a_transcript_even_before_it_is_known() -> None:
    item = told(UserItem("u1", "", complete=False, spoken=True))
    assert item["content"] == [{"type": "input_audio", "transcript": None}]
    item = told(UserItem("u1", "Hello.", spoken=True))
    assert item["content"] == [{"type": "input_audio", "transcript": "Hello."}]


def test_a_reply_is_told_as_far_as_it_was_heard() -> None:
    words = (Spoken("Hi.", 300), Spoken(" How are", 700), Spoken(" you?", 1000))
    item = told(AssistantItem("a1", words, heard_ms=800), spoken=True, status="incomplete")
    assert item["content"] == [{"type": "output_audio", "transcript": "Hi. How are"}]
    assert item["status"] == "incomplete"
    assert told(AssistantItem("a1"), spoken=True)["content"] == []
