"""A client's conversations from end to end: protocol, connection and session, on scripted models.

The voice lasts from 320 to 960 ms; see tests/assistant/session/test_session.py for the times.
"""

import base64

import numpy as np
import pytest
from fakes import VOICE_RATE, Scene, Voice
from remote import HANG_UP, Remote, append, typed

from assistant.server.connection import ConnectionLimits
from assistant.session.conversation import AssistantItem, UserItem

HELLO = Voice(320, 960, "how are you")
ANSWER = "Fine. And you?"
SCENE = Scene((HELLO,), {"how are you": ANSWER}, 5000)
CREATE = {"type": "response.create", "event_id": "mine"}
MANUAL = {"audio": {"input": {"turn_detection": None}}}
TEXT = {"output_modalities": ["text"]}


def said(client: Remote) -> list[tuple[str, str]]:
    return [(message.role, message.content) for message in client.history()[1:]]


def test_a_spoken_turn_is_told_in_the_order_that_clients_need() -> None:
    client = Remote(SCENE).run_remote()
    deltas = ("response.output_audio.delta", "response.output_audio_transcript.delta")
    assert client.types(*deltas) == [
        "session.created",
        "session.updated",
        "input_audio_buffer.speech_started",
        "input_audio_buffer.speech_stopped",
        "input_audio_buffer.committed",
        "conversation.item.added",
        "conversation.item.done",
        "conversation.item.input_audio_transcription.delta",
        "conversation.item.input_audio_transcription.completed",
        "response.created",
        "response.output_item.added",
        "conversation.item.added",
        "response.content_part.added",
        "response.output_audio.done",
        "response.output_audio_transcript.done",
        "response.content_part.done",
        "conversation.item.done",
        "response.output_item.done",
        "response.done",
    ]
    started = client.one("input_audio_buffer.speech_started")
    stopped = client.one("input_audio_buffer.speech_stopped")
    assert (started["audio_start_ms"], stopped["audio_end_ms"]) == (320, 960)
    turn = {started["item_id"], stopped["item_id"], client.one("input_audio_buffer.committed")["item_id"]}
    transcript = client.one("conversation.item.input_audio_transcription.completed")
    assert turn == {transcript["item_id"]} and transcript["transcript"] == "how are you"
    text = "".join(event["delta"] for event in client.all("response.output_audio_transcript.delta"))
    assert text == ANSWER == client.one("response.output_audio_transcript.done")["transcript"]
    done = client.one("response.done")["response"]
    assert done["status"] == "completed" and done["output"][0]["content"][0]["transcript"] == ANSWER
    assert len({event["event_id"] for _, event in client.sent}) == len(client.sent)
    assert said(client) == [("user", "how are you"), ("assistant", ANSWER)]


def test_audio_is_what_the_voice_gave() -> None:
    client = Remote(SCENE).run_remote()
    data = b"".join(base64.b64decode(e["delta"]) for e in client.all("response.output_audio.delta"))
    given = np.concatenate([audio for _, audio in client.sink.given] or [np.zeros(0)])
    assert len(given) == 0, "the connection has a sink of its own"
    assert len(data) == 2 * 3 * 300 * VOICE_RATE // 1000  # three words of 300 ms
    loud = np.abs(np.frombuffer(data, "<i2")) > 0.2 * 32768
    assert 0.9 < loud.mean() <= 1


def test_the_parts_of_the_wait_are_told_and_add_up() -> None:
    client = Remote(SCENE).run_remote()
    metadata = dict(client.one("response.done")["response"]["metadata"])
    whole = float(metadata.pop("ttfa_ms"))
    assert abs(sum(float(ms) for ms in metadata.values()) - whole) < 0.5
    first_ms = client.when("response.output_audio.delta")
    assert abs(whole - (first_ms + 10 - 960)) <= 1  # the word begins with 10 ms of silence


def test_a_typed_turn_is_answered_when_it_is_asked_for() -> None:
    scene = Scene((), {"how are you": ANSWER}, 4000)
    client = Remote(scene, {100: typed("how are you"), 200: CREATE}, audio=False).run_remote()
    (added, reply) = client.all("conversation.item.added")
    assert added["previous_item_id"] is None and added["item"]["content"][0]["text"] == "how are you"
    assert reply["previous_item_id"] == added["item"]["id"]
    assert client.one("response.done")["response"]["status"] == "completed"
    assert said(client) == [("user", "how are you"), ("assistant", ANSWER)]


def test_text_only_has_no_audio_events() -> None:
    scene = Scene((), {"how are you": ANSWER}, 4000)
    client = Remote(scene, {100: [typed("how are you"), CREATE]}, TEXT, audio=False).run_remote()
    assert not [kind for kind in client.types() if "audio" in kind]
    assert client.one("response.output_text.done")["text"] == ANSWER
    assert client.one("response.done")["response"]["output"][0]["content"] == [
        {"type": "output_text", "text": ANSWER}
    ]


def test_speaking_over_a_reply_cancels_it_and_the_client_says_what_was_heard() -> None:
    over = Voice(1500, 2400, "stop")
    scene = Scene((HELLO, over), {"how are you": "One two three four five six.", "stop": ANSWER}, 8000)
    heard = {"type": "conversation.item.truncate", "content_index": 0, "audio_end_ms": 350}
    client = Remote(scene)
    client.says = {1800: {**heard, "item_id": "item_2"}}
    client.run_remote()
    first, second = client.all("response.done")
    assert first["response"]["status"] == "cancelled"
    assert first["response"]["status_details"] == {"type": "cancelled", "reason": "turn_detected"}
    assert first["response"]["output"][0]["status"] == "incomplete"
    truncated = client.one("conversation.item.truncated")
    assert truncated["audio_end_ms"] == 350
    assert second["response"]["status"] == "completed"
    types = client.types()
    over_at = [i for i, kind in enumerate(types) if kind == "input_audio_buffer.speech_started"][1]
    assert types.index("response.done") > over_at
    between = types[types.index("response.done") : types.index("response.created", over_at)]
    assert "response.output_audio.delta" not in between
    # Words of 300 ms: of the first reply one was over after 350 ms.
    assert said(client)[1] == ("assistant", "One")


def test_a_backchannel_stops_a_reply_of_which_the_client_has_the_audio() -> None:
    over = Voice(1500, 1900, "yeah")
    scene = Scene((HELLO, over), {"how are you": "One two three four five six.", "yeah": ANSWER}, 6000)
    client = Remote(scene).run_remote()
    assert not client.session.turn_config.reversible
    states = [event["response"]["status"] for event in client.all("response.done")]
    assert states == ["cancelled", "completed"]


def test_manual_turns_are_committed_and_answered_by_the_client() -> None:
    commit = {"type": "input_audio_buffer.commit"}
    client = Remote(SCENE, {1200: [commit, CREATE]}, MANUAL).run_remote()
    kinds = client.types()
    assert not [kind for kind in kinds if kind.startswith("input_audio_buffer.speech")]
    committed = client.one("input_audio_buffer.committed")
    assert (
        client.one("conversation.item.input_audio_transcription.completed")["item_id"] == committed["item_id"]
    )
    assert said(client) == [("user", "how are you"), ("assistant", ANSWER)]


def test_what_is_not_there_cannot_be_committed_or_cancelled() -> None:
    says = {
        100: {"type": "input_audio_buffer.commit", "event_id": "a"},
        200: {"type": "response.cancel", "event_id": "b"},
    }
    client = Remote(Scene((), {}, 400), says, MANUAL, audio=False).run_remote()
    errors = [(event["error"]["code"], event["error"]["event_id"]) for event in client.all("error")]
    assert errors == [("input_audio_buffer_commit_empty", "a"), ("response_cancel_not_active", "b")]


def test_one_response_at_a_time() -> None:
    scene = Scene((), {"how are you": ANSWER}, 4000)
    again = {"type": "response.create", "event_id": "again"}
    client = Remote(scene, {100: [typed("how are you"), CREATE, again]}, audio=False).run_remote()
    (error,) = client.all("error")
    assert error["error"]["code"] == "conversation_already_has_active_response"
    assert error["error"]["event_id"] == "again"
    assert client.one("response.done")["response"]["status"] == "completed"


def test_a_response_aside_leaves_the_conversation_alone() -> None:
    scene = Scene((), {"how are you": ANSWER}, 4000)
    item = typed("how are you")["item"]
    create = {
        "type": "response.create",
        "response": {"conversation": "none", "input": [item], "metadata": {"topic": "aside"}},
    }
    client = Remote(scene, {100: create}, TEXT, audio=False)
    client.writer._history = lambda: client.history()[:1]
    client.run_remote()
    assert not client.all("conversation.item.added")
    created, done = client.one("response.created")["response"], client.one("response.done")["response"]
    assert created["metadata"] == {"topic": "aside"} and created["conversation_id"] is None
    assert done["output"][0]["content"][0]["text"] == ANSWER
    assert said(client) == []


def test_a_client_that_vanishes_in_the_middle_of_a_reply_leaves_nothing() -> None:
    client = Remote(SCENE, {1700: HANG_UP}).run_remote()
    assert client.all("response.output_audio.delta") and not client.all("response.done")
    assert client.end_ms <= 1720
    (item, reply) = client.session.conversation.items
    assert isinstance(item, UserItem) and isinstance(reply, AssistantItem) and not reply.complete


def test_a_client_that_does_not_read_is_cut_off() -> None:
    client = Remote(SCENE, pace=ConnectionLimits(unread_s=2))
    client.socket.reading.clear()
    client.run_remote()
    assert client.socket.aborted and client.socket.closed is None
    assert client.end_ms <= 2100


def test_a_server_that_shuts_down_lets_the_reply_end() -> None:
    client = Remote(SCENE)
    client.loop.call_at(1.4, client.draining.set)
    client.run_remote()
    assert client.socket.closed == (1001, "the server is shutting down")
    assert client.one("response.done")["response"]["status"] == "completed"
    assert said(client)[1] == ("assistant", ANSWER)


def test_a_silent_client_is_told_that_its_session_is_over() -> None:
    client = Remote(Scene((), {}, 20_000), audio=False, pace=ConnectionLimits(idle_s=5)).run_remote()
    assert client.one("error")["error"]["code"] == "session_expired"
    assert client.socket.closed == (1000, "session expired")
    assert 5000 <= client.end_ms < 7000


@pytest.mark.parametrize("piece", [1, 7, 4000])
def test_audio_is_heard_however_it_is_cut(piece: int) -> None:
    from fakes import microphone  # noqa: PLC0415

    whole = microphone(0, 16 * 1200)
    appends = [append(whole[at : at + piece]) for at in range(0, len(whole), piece)]
    if piece == 1:
        appends = [
            append(whole[:100]),
            *[append(whole[at : at + 1]) for at in range(100, 400)],
            append(whole[400:]),
        ]
    commit = {"type": "input_audio_buffer.commit"}
    at_once = ConnectionLimits(events_per_s=1e6)
    client = Remote(SCENE, {100: [*appends, commit, CREATE]}, MANUAL, audio=False, pace=at_once).run_remote()
    assert said(client)[0] == ("user", "how are you")


def test_audio_far_ahead_of_the_clock_is_refused_by_name() -> None:
    second = append(np.zeros(16000, np.float32))
    client = Remote(
        Scene((), {}, 1000), {100: [second] * 8}, MANUAL, audio=False, pace=ConnectionLimits(audio_ahead_s=5)
    ).run_remote()
    assert [event["error"]["code"] for event in client.all("error")] == ["rate_limited"] * 3


def test_instructions_and_functions_are_read_before_there_is_a_turn() -> None:
    """Once for each change: functions stand beside the instructions in a prompt."""
    tool = {"type": "function", "name": "weather"}
    says = {
        100: {"type": "session.update", "session": {"instructions": "Be loud."}},
        300: {"type": "session.update", "session": {"tools": [tool]}},
        500: {"type": "session.update", "session": {"audio": {"output": {"speed": 1.25}}}},
    }
    client = Remote(Scene((), {}, 800), says, audio=False)
    client.writer._history = client.history
    client.run_remote()
    assert client.writer.ahead == ["", ""]
    assert client.history()[0].content == "Be loud."
