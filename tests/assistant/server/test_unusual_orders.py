"""Events in orders that no well-behaved client sends: every request is answered, and the next turn works.

The voice lasts from 320 to 960 ms; see tests/assistant/session/test_session.py for the times.
"""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from fakes import Scene, Timing, Voice, microphone
from remote import Event, Remote, append, typed

from assistant.server.connection import ConnectionLimits
from assistant.server.settings import Limits

HELLO = Voice(320, 960, "how are you")
ANSWER = "Fine. And you?"
SCENE = Scene((HELLO,), {"how are you": ANSWER}, 5000)
TYPED = Scene((), {"how are you": ANSWER}, 4000)
CREATE = {"type": "response.create", "event_id": "mine"}
CANCEL = {"type": "response.cancel"}
COMMIT = {"type": "input_audio_buffer.commit"}
MANUAL = {"audio": {"input": {"turn_detection": None}}}


def detection(**settings: Any) -> Event:  # noqa: ANN401  # fields of the protocol
    return {"type": "session.update", "session": {"audio": {"input": {"turn_detection": settings or None}}}}


def said(client: Remote) -> list[tuple[str, str]]:
    return [(message.role, message.content) for message in client.history()[1:]]


def statuses(client: Remote) -> list[str]:
    """How the responses ended, each of which has begun once."""
    begun = [event["response"]["id"] for event in client.all("response.created")]
    done = [event["response"] for event in client.all("response.done")]
    assert begun == [response["id"] for response in done]
    return [response["status"] for response in done]


def test_a_reply_that_is_cancelled_before_it_is_begun_is_answered_and_so_is_the_next() -> None:
    client = Remote(TYPED, {100: [typed("how are you"), CREATE, CANCEL], 300: CREATE}, audio=False)
    client.writer._history = lambda: client.history()[:-1]
    client.run_remote()
    assert not client.all("error")
    assert statuses(client) == ["cancelled", "completed"]
    first = client.all("response.done")[0]["response"]
    assert first["status_details"] == {"type": "cancelled", "reason": "client_cancelled"}
    assert first["output"] == []
    assert said(client) == [("user", "how are you"), ("assistant", ANSWER)]


def test_a_reply_that_is_cancelled_while_its_turn_is_transcribed_is_answered() -> None:
    """The transcript takes 100 ms."""
    client = Remote(SCENE, {1200: [COMMIT, CREATE], 1220: CANCEL, 1500: CREATE}, MANUAL).run_remote()
    assert statuses(client) == ["cancelled", "completed"]
    assert said(client) == [("user", "how are you"), ("assistant", ANSWER)]


def test_a_commit_while_a_reply_waits_for_its_turn_ends_that_reply() -> None:
    """The transcript takes 300 ms; what is committed second has nothing in it."""
    scene = replace(SCENE, timing=Timing(read=300))
    client = Remote(scene, {1200: [COMMIT, CREATE], 1320: COMMIT, 2000: CREATE}, MANUAL).run_remote()
    assert statuses(client) == ["cancelled", "completed"]
    assert said(client) == [("user", "how are you"), ("assistant", ANSWER)]


def test_a_voice_over_a_reply_that_waits_for_its_turn_ends_that_reply() -> None:
    """The client asks at 1400 for an answer to a turn that is transcribed until 2320."""
    over = Voice(1500, 2100, "stop")
    scene = Scene((HELLO, over), {"how are you": ANSWER, "stop": ANSWER}, 8000, Timing(read=1000))
    client = Remote(scene, {1400: CREATE, 5000: CREATE})
    client.first = {"audio": {"input": {"turn_detection": {"type": "server_vad", "create_response": False}}}}
    client.writer._history = lambda: client.history()[:-1]
    client.run_remote()
    assert statuses(client) == ["cancelled", "completed"]


def test_replies_that_are_switched_on_in_a_pause_come() -> None:
    """Without them nothing is prepared where silence alone ends the turn, which it does at 1472."""
    off, on = (detection(type="server_vad", create_response=create) for create in (False, True))
    client = Remote(SCENE, {100: off, 1200: on}).run_remote()
    assert statuses(client) == ["completed"]
    assert said(client) == [("user", "how are you"), ("assistant", ANSWER)]


def test_what_is_said_after_detection_is_switched_off_in_a_pause_is_in_the_turn() -> None:
    voices = (Voice(320, 960, "how are", sounds=0.01, reads=0.01), Voice(1400, 1900, "you"))
    scene = Scene(voices, {"how are you": ANSWER}, 6000)
    client = Remote(scene, {1200: detection(), 2200: [COMMIT, CREATE]})
    client.strict = []
    client.scene.replies["how are"] = ANSWER
    client.run_remote()
    assert said(client) == [("user", "how are you"), ("assistant", ANSWER)]


def test_two_manual_turns_that_come_at_once_are_two_turns() -> None:
    scene = Scene((HELLO, Voice(1300, 1900, "and you")), {"how are you": "", "and you": ANSWER}, 5000)
    turns = [append(microphone(start * 16, 1200 * 16)) for start in (0, 1200)]
    says = {100: [turns[0], COMMIT, turns[1]], 300: [COMMIT, CREATE]}
    client = Remote(scene, says, MANUAL, audio=False)
    client.writer._history = lambda: client.history()[:-1]
    client.run_remote()
    assert not client.all("error")
    assert said(client) == [("user", "how are you"), ("user", "and you"), ("assistant", ANSWER)]


def test_an_item_cannot_have_the_id_of_what_the_user_is_saying() -> None:
    mine = typed("how are you", id="item_1")
    client = Remote(SCENE, {700: {**mine, "event_id": "mine"}}).run_remote()
    (error,) = client.all("error")
    assert error["error"]["code"] == "item_create_duplicate_item_id"
    assert error["error"]["event_id"] == "mine"
    assert said(client) == [("user", "how are you"), ("assistant", ANSWER)]


def test_audio_that_was_refused_cannot_be_committed() -> None:
    second = append(np.zeros(16000, np.float32))
    pace = ConnectionLimits(audio_ahead_s=0.5)
    client = Remote(Scene((), {}, 1000), {100: [second, COMMIT]}, MANUAL, audio=False, pace=pace)
    client.run_remote()
    codes = [event["error"]["code"] for event in client.all("error")]
    assert codes == ["rate_limited", "input_audio_buffer_commit_empty"]


@pytest.mark.parametrize("at_ms", [1050, 1300, 1700])
def test_the_users_item_can_be_deleted_at_any_time(at_ms: int) -> None:
    """In the pause, once the turn has ended, and while the reply sounds."""
    client = Remote(SCENE, {at_ms: {"type": "conversation.item.delete", "item_id": "item_1"}})
    client.run_remote()
    assert statuses(client) == ["completed"]
    assert said(client) == ([] if at_ms > 1100 else [("user", "how are you")]) + [("assistant", ANSWER)]


def test_the_reply_can_be_deleted_while_it_sounds() -> None:
    delete = {"type": "conversation.item.delete", "item_id": "item_2"}
    client = Remote(SCENE, {1700: [delete, {**delete, "event_id": "again"}]}).run_remote()
    assert [event["error"]["event_id"] for event in client.all("error")] == ["again"]
    assert statuses(client) == ["completed"]
    assert said(client) == [("user", "how are you")]


def test_an_item_that_takes_a_deleted_ones_id_keeps_its_text() -> None:
    """While the turn that had it is still transcribed; that of a reply is free when the reply is over."""
    for at_ms, name, role, kind, taken in (
        (1220, "item_1", "user", "input_text", True),
        (1700, "item_2", "assistant", "output_text", False),
    ):
        delete = {"type": "conversation.item.delete", "item_id": name}
        item = {"id": name, "type": "message", "role": role, "content": [{"type": kind, "text": "Mine."}]}
        create = {"type": "conversation.item.create", "item": item}
        client = Remote(SCENE, {1200: [COMMIT, CREATE], at_ms: [delete, create]}, MANUAL)
        client.writer._history = lambda client=client: client.history()[: client.history() != []]
        client.scene.replies["Mine."] = ANSWER
        client.strict = []
        client.run_remote()
        assert ((role, "Mine.") in said(client)) == taken
        assert len(client.all("error")) == (not taken)


def test_truncating_twice_keeps_the_shorter() -> None:
    def truncate(ms: int) -> Event:
        return {"type": "conversation.item.truncate", "item_id": "item_2", "audio_end_ms": ms}

    client = Remote(SCENE, {1700: truncate(350), 1800: truncate(200), 2500: truncate(9000)}).run_remote()
    assert [event["audio_end_ms"] for event in client.all("conversation.item.truncated")][:2] == [350, 200]
    assert statuses(client) == ["cancelled"]
    assert said(client) == [("user", "how are you")]  # the first word is over after 300 ms


def test_a_session_that_is_never_quiet_ends_all_the_same() -> None:
    """A reply of a minute is given half of it."""
    scene = Scene((), {"how are you": "word " * 200}, 60_000)
    pace = ConnectionLimits(session_s=5)
    client = Remote(scene, {60: [typed("how are you"), CREATE]}, audio=False, pace=pace).run_remote()
    assert 35_000 <= client.end_ms < 37_000
    assert client.socket.closed == (1000, "session expired")


def test_a_reply_may_be_asked_for_as_soon_as_the_one_before_is_cancelled() -> None:
    scene = Scene((), {"how are you": "One two three four five six.", "and": ANSWER}, 6000)
    again = {**CREATE, "event_id": "again"}
    client = Remote(
        scene, {100: [typed("how are you"), CREATE], 1000: [CANCEL, typed("and"), CREATE, again]}, audio=False
    )
    client.writer._history = lambda: client.history()[:-1]
    client.run_remote()
    assert [event["error"]["event_id"] for event in client.all("error")] == ["again"]
    assert statuses(client) == ["cancelled", "completed"]
    assert said(client) == [
        ("user", "how are you"),
        ("assistant", "One two"),
        ("user", "and"),
        ("assistant", ANSWER),
    ]


def test_a_change_of_detection_while_the_user_speaks_loses_no_word() -> None:
    """Partials of what was said before are decoded with another pre-roll than the new detection wants."""
    voice = Voice(320, 2000, "how are you today")
    scene = Scene((voice,), {"how are you today": ANSWER}, 6000)
    client = Remote(scene, {1500: detection(type="server_vad", prefix_padding_ms=50)}).run_remote()
    assert said(client) == [("user", "how are you today"), ("assistant", ANSWER)]


def test_what_was_cleared_is_in_no_later_turn() -> None:
    scene = Scene((Voice(1000, 1180, "no"), Voice(1300, 1900, "how are you")), {"how are you": ANSWER}, 6000)
    clear = {"type": "input_audio_buffer.clear"}
    client = Remote(scene, {1200: clear, 2000: [COMMIT, CREATE]}, MANUAL)
    client.strict = [client.writer]
    client.run_remote()
    assert said(client) == [("user", "how are you"), ("assistant", ANSWER)]


def test_audio_lasts_as_long_whatever_format_comes_after_it() -> None:
    """60 ms in 3840 bytes, which would be 480 ms of mu-law."""
    pcmu = {"type": "session.update", "session": {"audio": {"input": {"format": {"type": "audio/pcmu"}}}}}
    says = {100: [append(np.zeros(960, np.float32)), pcmu, COMMIT]}
    client = Remote(Scene((), {}, 1000), says, MANUAL, audio=False).run_remote()
    assert "60 ms" in client.one("error")["error"]["message"]


def test_a_client_that_is_gone_is_not_served_what_it_sent_before() -> None:
    """Ten seconds' worth of events wait to be read when the connection breaks in mid-reply."""
    flood = [{"type": "input_audio_buffer.clear"}] * 5000
    client = Remote(SCENE, {1700: flood})
    client.loop.call_at(1.8, client.socket.vanish)
    client.run_remote()
    assert client.end_ms < 2200


def test_a_long_message_counts_as_several() -> None:
    """Updates of 400 KB, each as long as 101 events: five at once, and then one in 202 ms."""
    update = {"type": "session.update", "session": {"tracing": "x" * 4096 * 100}}
    client = Remote(Scene((), {}, 2000), {1500: [update] * 8}, audio=False).run_remote()
    times = [ms for ms, event in client.sent if event["type"] == "session.updated"][1:]
    assert times == [1500] * 5 + [1510, 1712, 1914]


def test_thousands_of_items_may_go_at_once() -> None:
    """Where so many are allowed; the last one leaves no room for any of them."""
    limits = Limits(items=3000, history=2000)
    says = {100: [typed("z") for _ in range(1500)], 200: typed("y" * 2000)}
    pace = ConnectionLimits(events_per_s=1e6)
    client = Remote(Scene((), {}, 2000), says, audio=False, limits=limits, pace=pace).run_remote()
    assert len(client.all("conversation.item.deleted")) == 1500
    assert said(client) == [("user", "y" * 2000)] and client.end_ms == 2000
