"""The first events of a connection that goes on with a conversation, as the strictest client hears them."""

from typing import Any

import pytest
from pure_client import PureClient, done, kinds, typed

from assistant.server.kept import Kept
from assistant.server.resume import Resume
from assistant.server.settings import Limits
from assistant.server.state import AddItem, Configure, Entry, Truncate
from assistant.server.wire import WireError
from assistant.session.conversation import (
    AssistantItem,
    ItemAdded,
    Spoken,
    SystemItem,
    ToolCall,
    ToolOutput,
    UserItem,
)

REPLY = AssistantItem("a", (Spoken("Fine.", 300), Spoken(" And you?", 900)), 900.0, complete=True)
CUT = AssistantItem("b", (Spoken("One", 300), Spoken(" two", 600)), 400.0)
ENTRIES = (
    Entry(SystemItem("s", "Be polite.")),
    Entry(UserItem("u", "How are you?", spoken=True)),
    Entry(REPLY, spoken=True, sent_ms=900),
    Entry(UserItem("v", "Typed.")),
    Entry(ToolCall("c", "call_1", "weather", '{"city": "Bern"}')),
    Entry(ToolOutput("o", "call_1", "sunny")),
    Entry(CUT, spoken=True, sent_ms=2000),
)
SETTINGS = {
    "instructions": "Be loud.",
    "tools": [{"type": "function", "name": "weather"}],
    "audio": {
        "input": {"format": {"type": "audio/pcmu"}, "turn_detection": {"type": "server_vad"}},
        "output": {"format": {"type": "audio/pcma"}},
    },
}


def resumed(kept: Kept, limits: Limits | None = None) -> PureClient:
    return PureClient(limits, resume=Resume(60, "sess_old", kept))


def text(item: Any) -> str:  # noqa: ANN401  # an item as JSON
    (part,) = item["content"]
    return str(part.get("text") or part.get("transcript"))


def test_items_come_first_in_order_with_their_ids() -> None:
    client = resumed(Kept({}, ENTRIES))
    assert (
        kinds(client.greeting)
        == ["session.created"] + ["conversation.item.added", "conversation.item.done"] * 7
    )
    session = client.greeting[0]["session"]
    assert (session["resumed"], session["resumable_s"], session["id"]) == ("sess_old", 60, "sess_x")
    added = [event for event in client.greeting if event["type"] == "conversation.item.added"]
    ids = ["s", "u", "a", "v", "c", "o", "b"]
    assert [event["item"]["id"] for event in added] == ids == client.listener.order
    assert [event["previous_item_id"] for event in added] == [None, *ids[:-1]]
    system, user, reply, other, call, output, cut = (event["item"] for event in added)
    assert [text(item) for item in (system, user, reply, other, cut)] == [
        "Be polite.",
        "How are you?",
        "Fine. And you?",
        "Typed.",
        "One",
    ]
    parts = [item["content"][0]["type"] for item in (user, reply, other)]
    assert parts == ["input_audio", "output_audio", "input_text"]
    assert (reply["status"], cut["status"]) == ("completed", "incomplete")
    assert (call["call_id"], call["arguments"], output["output"]) == ("call_1", '{"city": "Bern"}', "sunny")


def test_the_session_has_the_items_and_the_settings_before_all_else() -> None:
    client = resumed(Kept(SETTINGS, ENTRIES))
    configure, *adds = client.commands
    assert isinstance(configure, Configure) and configure.settings == client.state.settings
    assert adds == [AddItem(entry.item, None) for entry in ENTRIES]
    session = client.greeting[0]["session"]
    assert session["instructions"] == "Be loud." and session["tools"] == SETTINGS["tools"]
    assert session["audio"]["input"]["format"] == {"type": "audio/pcmu"}
    assert session["audio"]["output"]["format"] == {"type": "audio/pcma"}
    assert session["audio"]["input"]["turn_detection"]["silence_duration_ms"] == 500
    assert client.state.settings.detection == "server_vad"


def test_the_conversation_goes_on_as_if_it_had_never_been_away() -> None:
    client = resumed(Kept({}, ENTRIES))
    client.tell(ItemAdded(ENTRIES[0].item, None))  # the session says that it has taken them
    assert client.send({"type": "conversation.item.retrieve", "item_id": "u"})[0]["item"]["id"] == "u"
    assert client.error(typed("again", id="u"))["code"] == "item_create_duplicate_item_id"
    (new, _) = client.send(typed("And now?"))
    assert new["previous_item_id"] == "b" and new["item"]["id"] not in ("s", "u", "a", "v", "c", "o", "b")
    client.begin(1)
    client.tell(done(1))
    assert client.send({"type": "conversation.item.delete", "item_id": "s"})[0]["item_id"] == "s"


def test_a_client_may_still_say_what_it_heard_of_a_reply_before() -> None:
    client = resumed(Kept({}, ENTRIES))
    client.listener.sent_ms["b"] = 2000  # it had the audio before
    heard = {"type": "conversation.item.truncate", "item_id": "b", "content_index": 0, "audio_end_ms": 350}
    assert client.send(heard)[0]["audio_end_ms"] == 350
    assert client.commands == [Truncate("b", 350)]


@pytest.mark.parametrize(
    ("limits", "ids"),
    [
        (Limits(items=3), ["c", "o", "b"]),
        (Limits(items=1), ["b"]),
        (Limits(history=29), ["c", "o", "b"]),  # 16, 5 and 3 characters; "Typed." would be too much
        (Limits(history=1), ["b"]),
    ],
)
def test_limits_hold_and_the_oldest_items_are_not_told(limits: Limits, ids: list[str]) -> None:
    client = resumed(Kept({}, ENTRIES), limits)
    assert client.listener.order == list(client.state.items) == ids
    assert "conversation.item.deleted" not in kinds(client.greeting)
    assert [add.item.id for add in client.commands if isinstance(add, AddItem)] == ids


def test_settings_beyond_the_limits_here_begin_a_fresh_session_and_say_so() -> None:
    client = resumed(Kept(SETTINGS, ENTRIES), Limits(tools=0))
    assert kinds(client.greeting) == ["session.created", "error"]
    assert "resumed" not in client.greeting[0]["session"]
    error = client.greeting[1]["error"]
    assert (error["code"], error["param"]) == ("resume_not_found", "resume")
    assert client.commands == [] and client.greeting[0]["session"]["instructions"] == "Be brief."


@pytest.mark.parametrize("value", [float("nan"), "\udc80", {"a": "x" * 800_000}])
def test_settings_that_no_client_can_have_set_are_refused(value: object) -> None:
    client = resumed(Kept({"tracing": value}, ENTRIES))
    assert kinds(client.greeting) == ["session.created", "error"]


def test_what_cannot_be_resumed_is_an_error_behind_a_fresh_session() -> None:
    refusal = WireError("resume_not_found", "no such conversation", "resume")
    client = PureClient(resume=Resume(60, refusal=refusal))
    assert kinds(client.greeting) == ["session.created", "error"]
    assert client.greeting[0]["session"]["resumable_s"] == 60
    assert client.greeting[1]["error"]["code"] == "resume_not_found"


def test_a_server_without_a_store_says_nothing_of_it() -> None:
    session = PureClient().greeting[0]["session"]
    assert "resumable_s" not in session and "resumed" not in session
