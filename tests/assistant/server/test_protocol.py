"""The protocol without I/O: what a client is told in cases that are rare, and each went wrong once."""

from dataclasses import replace

import pytest
from client_events import audio
from pure_client import PureClient, done, kinds, typed

from assistant.server.from_session import ReplyAudio
from assistant.server.settings import Limits
from assistant.server.state import AddItem, Append, Clear, Commit, RemoveItem
from assistant.session.conversation import (
    AssistantItem,
    ItemAdded,
    ItemChanged,
    ItemRemoved,
    Spoken,
    ToolCall,
    UserItem,
)
from assistant.session.events import (
    Failed,
    ReplyCalled,
    ReplyDiscarded,
    ReplyDropped,
    ReplyRefused,
    ReplyStarted,
    SpeechStarted,
    SpeechStopped,
    TextDelta,
)

COMMIT = {"type": "input_audio_buffer.commit", "event_id": "mine"}
MANUAL = {"audio": {"input": {"turn_detection": None}}}
ASIDE = {"conversation": "none"}


def sound(ms: int, kind: str = "audio/pcm") -> dict[str, str]:
    return {"type": "input_audio_buffer.append", "event_id": "mine", "audio": audio(kind, ms)}


def of_format(kind: str) -> dict[str, object]:
    return {"type": "session.update", "session": {"audio": {"input": {"format": {"type": kind}}}}}


# Items


def test_what_is_said_outside_the_conversation_precedes_nothing_in_it() -> None:
    client = PureClient()
    client.begin(0, ASIDE)
    client.tell(done(0))
    added, _ = client.send(typed("hello"))
    assert added["previous_item_id"] is None


def test_what_was_said_outside_the_conversation_can_be_asked_for() -> None:
    client = PureClient()
    name = client.begin(0, ASIDE)
    client.tell(done(0))
    (heard,) = client.send({"type": "conversation.item.retrieve", "item_id": name})
    assert heard["item"]["content"] == [{"type": "output_audio", "transcript": "Fine."}]
    assert heard["item"]["status"] == "completed"


def test_an_item_that_the_client_deletes_in_mid_reply_is_no_longer_told_of() -> None:
    client = PureClient()
    name = client.begin(0)
    client.send({"type": "conversation.item.delete", "item_id": name})
    assert client.commands == [RemoveItem(name)]
    assert kinds(client.tell(TextDelta(0, " And you?"))) == ["response.output_audio_transcript.delta"]
    heard = kinds(client.tell(done(0)))
    assert "conversation.item.done" not in heard
    assert heard[-2:] == ["response.output_item.done", "response.done"]


@pytest.mark.parametrize("begun", ["speech", "reply"])
def test_nothing_else_can_have_the_name_of_what_has_only_begun(begun: str) -> None:
    client = PureClient()
    if begun == "speech":
        name = "item_0"
        client.tell(SpeechStarted(16000, name))
    else:
        name = client.begin(0)
        client.send({"type": "conversation.item.delete", "item_id": name})
    assert client.error(typed("hello", id=name))["code"] == "item_create_duplicate_item_id"


def test_items_of_the_clients_without_ids_never_get_one_that_the_session_gives() -> None:
    client = PureClient()
    names = [client.send(typed("hello"))[0]["item"]["id"] for _ in range(50)]
    assert len(set(names)) == 50 and not [name for name in names if name.startswith("item_")]


def test_an_item_stands_behind_the_nearest_that_the_model_still_reads() -> None:
    client = PureClient()
    for name in ("a", "b", "c"):
        client.send(typed("hello", id=name))
    client.tell(ItemRemoved("b", forgotten=True))
    added, _ = client.send({**typed("hello", id="d"), "previous_item_id": "b"})
    assert added["previous_item_id"] == "b"
    assert client.commands == [AddItem(UserItem("d", "hello"), "a")]
    client.send({**typed("hello", id="e"), "previous_item_id": "root"})
    assert client.commands == [AddItem(UserItem("e", "hello"), "")]


def test_the_oldest_items_are_forgotten_but_none_that_the_client_does_not_know() -> None:
    client = PureClient(Limits(items=2))
    client.tell(ItemAdded(AssistantItem("item_0"), None), ReplyStarted(0, "item_0"))
    deleted = [event["item_id"] for n in range(4) for event in client.send(typed("hello", id=f"m{n}"))[2:]]
    assert deleted == ["m0", "m1"]
    assert kinds(client.tell(TextDelta(0, "Fine."), done(0)))[-1] == "response.done"


def test_items_are_forgotten_for_their_size_too() -> None:
    client = PureClient(Limits(history=100))
    client.send(typed("x" * 40, id="m0"))
    client.send(typed("x" * 40, id="m1"))
    heard = client.send(typed("x" * 40, id="m2"))
    assert kinds(heard)[2:] == ["conversation.item.deleted"] and client.listener.order == ["m1", "m2"]


# Responses


def test_a_response_that_is_stopped_before_it_begins_is_cancelled() -> None:
    client = PureClient()
    request = client.ask({"metadata": {"client_event_id": "e1"}}).request
    client.send({"type": "response.cancel"})
    created, over = client.tell(ReplyDropped(request))
    assert created["response"]["metadata"] == {"client_event_id": "e1"}
    assert over["response"]["status_details"] == {"type": "cancelled", "reason": "client_cancelled"}
    client.ask()  # another may be asked for


def test_a_response_that_another_forestalled_is_refused_by_its_event() -> None:
    client = PureClient()
    request = client.ask().request
    client.tell(ItemAdded(AssistantItem("item_0"), None), ReplyStarted(0, "item_0"))
    (heard,) = client.tell(ReplyRefused(request))
    error = heard["error"]
    assert (error["code"], error["event_id"]) == ("conversation_already_has_active_response", "mine")
    assert kinds(client.tell(TextDelta(0, "Fine."), done(0)))[-1] == "response.done"


def test_a_reply_that_failed_while_nobody_knew_of_it_has_failed() -> None:
    client = PureClient()
    client.tell(Failed("reply", "no memory", 3))
    client.tell(ItemAdded(AssistantItem("item_0"), None), ReplyStarted(3, "item_0"))
    (over,) = client.tell(done(3))
    assert over["response"]["status"] == "failed"
    assert over["response"]["status_details"]["error"]["message"] == "no memory"


def test_a_score_that_failed_is_no_failure_of_the_reply() -> None:
    client = PureClient()
    client.begin(0)
    client.tell(Failed("score", "no memory", 0))
    assert client.tell(done(0))[-1]["response"]["status"] == "completed"


def test_a_text_response_has_no_audio_even_if_the_reply_was_prepared_with_a_voice() -> None:
    client = PureClient(session={"output_modalities": ["text"]})
    client.begin(0)
    assert client.tell(ReplyAudio(0, bytes(480))) == []


def test_calls_of_a_reply_that_was_interrupted_are_incomplete() -> None:
    client = PureClient()
    client.begin(0)
    call = ToolCall("item_9", "call_1", "weather", "{}")
    client.tell(ReplyCalled(0, call), ItemAdded(call, "item_0"))
    over = client.tell(done(0, interrupted=True))[-1]["response"]
    assert [item["status"] for item in over["output"]] == ["incomplete", "incomplete"]


def test_calls_come_behind_what_the_reply_says_and_are_announced_before_their_arguments() -> None:
    client = PureClient()
    client.begin(0)
    call = ToolCall("item_9", "call_1", "weather", '{"city": "Paris"}')
    client.tell(ReplyCalled(0, call), ItemAdded(call, "item_0"))
    heard = client.tell(done(0))
    at = kinds(heard).index("response.output_item.added")
    assert kinds(heard)[at:] == [
        "response.output_item.added",
        "conversation.item.added",
        "response.function_call_arguments.delta",
        "response.function_call_arguments.done",
        "conversation.item.done",
        "response.output_item.done",
        "response.done",
    ]
    assert heard[at + 1]["previous_item_id"] == "item_0"
    output = heard[-1]["response"]["output"]
    assert [item["type"] for item in output] == ["message", "function_call"]
    assert output[1]["arguments"] == '{"city": "Paris"}' and output[1]["status"] == "completed"


def test_a_response_that_was_dropped_counts_its_tokens_too() -> None:
    client = PureClient()
    client.begin(0)
    usage = client.tell(ReplyDiscarded(0))[-1]["response"]["usage"]
    assert (usage["total_tokens"], usage["input_tokens"], usage["output_tokens"]) == (0, 0, 0)


def test_a_response_says_how_it_is_encoded_and_cut() -> None:
    client = PureClient(session={"max_output_tokens": 9, "audio": {"output": {"voice": {"id": "voice_1"}}}})
    client.begin(0)
    over = client.tell(done(0, reason="length"))[-1]["response"]
    assert over["status_details"] == {"type": "incomplete", "reason": "max_output_tokens"}
    assert over["audio"]["output"] == {"format": {"type": "audio/pcm", "rate": 24000}, "voice": "voice_1"}
    assert over["max_output_tokens"] == 9
    assert (over["usage"]["input_tokens"], over["usage"]["output_tokens"]) == (7, 2)


# The input buffer


def test_audio_behind_a_commit_is_of_the_next_turn_also_when_the_first_is_told_of_later() -> None:
    client = PureClient(session=MANUAL)
    client.send(sound(200))
    client.send(COMMIT)
    client.send(sound(200))
    client.tell(SpeechStopped(3200, "item_0"), ItemAdded(UserItem("item_0", "", False, True), None))
    assert client.send(COMMIT) == [] and client.commands == [Commit()]


def test_the_end_of_a_turn_that_was_detected_empties_the_buffer() -> None:
    client = PureClient()
    client.send(sound(2000))
    client.tell(SpeechStarted(0, "item_0"), SpeechStopped(3200, "item_0"))
    assert client.error(COMMIT)["code"] == "input_audio_buffer_commit_empty"


@pytest.mark.parametrize(("ms", "enough"), [(50, False), (150, True)])
def test_a_change_of_format_leaves_the_buffer_as_long_as_it_was(ms: int, enough: bool) -> None:
    client = PureClient(session=MANUAL)
    client.send(sound(ms))
    client.send(of_format("audio/pcmu"))
    client.send(COMMIT)
    assert client.commands == ([Commit()] if enough else [])


def test_manual_turns_begin_with_an_empty_buffer() -> None:
    client = PureClient(Limits(buffer_ms=3000))
    for _ in range(5):
        client.send(sound(1000))
    client.send({"type": "session.update", "session": MANUAL})
    assert Clear() in client.commands
    assert client.error(COMMIT)["code"] == "input_audio_buffer_commit_empty"
    client.send(sound(1000))
    assert [type(command) for command in client.commands] == [Append]


def test_a_turn_that_fails_to_be_transcribed_is_told_of_once() -> None:
    client = PureClient()
    item = UserItem("item_0", "", complete=False, spoken=True)
    client.tell(SpeechStarted(0, "item_0"), SpeechStopped(16000, "item_0"), ItemAdded(item, None))
    heard = client.tell(Failed("transcribe", "no memory", 0), ItemRemoved("item_0"))
    assert kinds(heard) == ["conversation.item.input_audio_transcription.failed", "conversation.item.deleted"]


def test_a_transcript_that_comes_late_is_told_with_how_long_was_spoken() -> None:
    client = PureClient()
    item = UserItem("item_0", "", complete=False, spoken=True)
    client.tell(SpeechStarted(16000, "item_0"), SpeechStopped(40000, "item_0"), ItemAdded(item, None))
    _, over = client.tell(ItemChanged(replace(item, text="how are you", complete=True)))
    assert over["usage"] == {"type": "duration", "seconds": 1.5} and over["transcript"] == "how are you"


def test_what_was_heard_is_what_can_be_asked_for_after_an_interruption() -> None:
    client = PureClient()
    name = client.begin(0)
    client.tell(ReplyAudio(0, bytes(48_000)))  # 1 s
    words = (Spoken("Fine.", 400), Spoken(" And you?", 1000))
    client.tell(ItemChanged(AssistantItem(name, words, heard_ms=500)), done(0, interrupted=True))
    (heard,) = client.send({"type": "conversation.item.retrieve", "item_id": name})
    assert heard["item"]["content"] == [{"type": "output_audio", "transcript": "Fine."}]
    assert heard["item"]["status"] == "incomplete"
