"""The client's side of the protocol without a socket: event by event, what is sent and done."""

import base64
from collections.abc import Iterable, Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asr.stabilize import Partial
from assistant.client import protocol
from assistant.client.state import (
    Command,
    EndOfAudio,
    Event,
    Fail,
    Hush,
    Outcome,
    Over,
    Play,
    Say,
    Show,
    State,
)
from assistant.session.events import ReplyDiscarded, ReplyStarted, SpeechStarted, SpeechStopped

TRANSCRIBED = "conversation.item.input_audio_transcription"
SECOND = bytes(48_000)  # of audio/pcm


def event(kind: str, **fields: Any) -> Event:  # noqa: ANN401  # of an event
    return {"type": kind, "event_id": "event_1", **fields}


def asked(item: str = "u1", words: str = "Why?", end_ms: int = 900) -> list[Event]:
    """A turn of the user's."""
    return [
        event("input_audio_buffer.speech_started", audio_start_ms=320, item_id=item),
        event("input_audio_buffer.speech_stopped", audio_end_ms=end_ms, item_id=item),
        event("input_audio_buffer.committed", previous_item_id=None, item_id=item),
        event(f"{TRANSCRIBED}.completed", item_id=item, content_index=0, transcript=words),
    ]


def created(name: str = "r1") -> Event:
    return event("response.created", response={"id": name, "status": "in_progress"})


def text(delta: str, name: str = "r1") -> Event:
    return event(
        "response.output_audio_transcript.delta", response_id=name, item_id=f"of {name}", delta=delta
    )


def audio(data: bytes = SECOND, name: str = "r1") -> Event:
    delta = base64.b64encode(data).decode()
    return event("response.output_audio.delta", response_id=name, item_id=f"of {name}", delta=delta)


def audio_done(name: str = "r1") -> Event:
    return event("response.output_audio.done", response_id=name, item_id=f"of {name}")


def done(name: str = "r1", status: str = "completed", **fields: Any) -> Event:  # noqa: ANN401  # likewise
    return event("response.done", response={"id": name, "status": status, "output": [], **fields})


def retrieved(words: str | None, name: str = "r1") -> Event:
    content = [{"type": "output_audio", "transcript": words}]
    return event("conversation.item.retrieved", item={"id": f"of {name}", "content": content})


class Client:
    """A state, and all that came of what it was given."""

    def __init__(self, *events: Event) -> None:
        self.state = State()
        self.sent: list[Event] = []
        self.done: list[Command] = []
        self.take(*events)

    def take(self, *events: Event) -> "Client":
        for one in events:
            self.follow(protocol.take(self.state, one))
        return self

    def follow(self, outcome: Outcome) -> "Client":
        self.state, sent, commands = outcome
        self.sent += sent
        self.done += commands
        return self

    def all(self, kind: type) -> list[Any]:
        return [command for command in self.done if isinstance(command, kind)]

    def types(self) -> list[str]:
        return [one["type"] for one in self.sent]

    def shown(self) -> list[object]:
        return [command.event for command in self.all(Show)]


def test_settings_are_those_that_every_server_takes_and_partials_are_asked_for_apart() -> None:
    first, partials = protocol.begin(push_to_talk=False)
    heard = first["session"]["audio"]["input"]
    assert heard["format"] == {"type": "audio/pcm", "rate": 24000}
    assert heard["turn_detection"] == {"type": "semantic_vad"} and "include" not in first["session"]
    assert partials["session"]["include"] == ["assistant.partials"]
    assert protocol.begin(push_to_talk=True)[0]["session"]["audio"]["input"]["turn_detection"] is None


def test_it_is_ready_when_the_settings_are_taken() -> None:
    client = Client(event("session.created", session={}))
    assert not client.state.ready
    assert client.take(event("session.updated", session={})).state.ready


def test_a_turn_from_the_first_word_to_the_last_sample() -> None:
    client = Client(
        *asked(), created(), text("Because "), audio(), text("so."), audio(), audio_done(), done()
    )
    assert client.all(Play) == [Play("r1", SECOND)] * 2 and client.all(EndOfAudio) == [EndOfAudio("r1")]
    assert client.all(Over) == [], "it still sounds"
    client.follow(protocol.played(client.state, "r1"))
    (over,) = client.all(Over)
    assert (over.transcript, over.reply.text, over.reply.audio_ms) == ("Why?", "Because so.", 2000)
    assert over.ended_ms == 900 and not over.reply.interrupted
    assert client.shown() == [
        SpeechStarted(320 * 16, "u1"),
        SpeechStopped(900 * 16, "u1"),
        Partial("Why?", ""),
        ReplyStarted(0, ""),
        ReplyDiscarded(0),
    ]
    assert client.sent == [] and client.state.replies == {} and client.state.words == {}


def test_a_transcript_may_come_behind_the_reply() -> None:
    started, stopped, committed, completed = asked()
    client = Client(started, stopped, committed, created(), audio(), completed, done())
    client.follow(protocol.played(client.state, "r1"))
    assert client.all(Over)[0].transcript == "Why?"


def test_several_turns_of_the_user_have_one_reply() -> None:
    client = Client(*asked("u1", "Wait."), *asked("u2", "Why?", 1900), created(), audio(), done())
    client.follow(protocol.played(client.state, "r1"))
    assert (client.all(Over)[0].transcript, client.all(Over)[0].ended_ms) == ("Wait. Why?", 1900)


def test_the_server_hears_a_voice_over_the_reply() -> None:
    client = Client(*asked(), created(), text("Because so."), audio())
    client.take(event("input_audio_buffer.speech_started", audio_start_ms=3000, item_id="u2"))
    assert client.all(Hush) == [Hush()] and client.sent == []
    client.follow(protocol.hushed(client.state, {"r1": 640}))
    truncate, retrieve = client.sent
    assert truncate["type"] == "conversation.item.truncate"
    assert (truncate["item_id"], truncate["content_index"], truncate["audio_end_ms"]) == ("of r1", 0, 640)
    assert (retrieve["type"], retrieve["item_id"]) == ("conversation.item.retrieve", "of r1")
    client.take(audio(), done(status="cancelled"))
    assert len(client.all(Play)) == 1, "what still comes of it is not played"
    assert client.all(Over) == []
    (over,) = client.take(retrieved("Because")).all(Over)
    assert over.reply.interrupted and (over.reply.heard, over.reply.heard_ms) == ("Because", 640)


def test_the_user_is_heard_here_or_presses_a_key_and_the_server_is_told_to_stop() -> None:
    client = Client(*asked(), created(), audio())
    client.follow(protocol.interrupt(client.state))
    assert client.types() == ["response.cancel"] and client.all(Hush)
    client.follow(protocol.hushed(client.state, {"r1": 100}))
    client.take(event("input_audio_buffer.speech_started", audio_start_ms=3000, item_id="u2"))
    client.follow(protocol.interrupt(client.state))
    assert client.types().count("response.cancel") == 1 and len(client.all(Hush)) == 1


def test_a_reply_that_is_done_over_there_and_still_sounds_here_is_only_truncated() -> None:
    client = Client(*asked(), created(), audio(), done())
    client.follow(protocol.interrupt(client.state))
    client.follow(protocol.hushed(client.state, {"r1": 100}))
    assert client.types() == ["conversation.item.truncate", "conversation.item.retrieve"]


@pytest.mark.parametrize("code", ["item_truncate_invalid_item_id", "item_retrieve_invalid_item_id"])
def test_a_reply_that_the_server_has_deleted_is_over_without_a_word(code: str) -> None:
    client = Client(*asked(), created(), audio(), done())
    client.follow(protocol.interrupt(client.state))
    client.follow(protocol.hushed(client.state, {"r1": 100}))
    about = client.sent[-1]["event_id"]
    client.take(event("error", error={"code": code, "message": "no such item", "event_id": about}))
    assert client.all(Say) == [] and client.all(Over)[0].reply.heard is None
    client.take(event("error", error={"code": code, "message": "no such item", "event_id": about}))
    assert client.all(Say) == [] and len(client.all(Over)) == 1


def test_a_turn_that_is_taken_back_is_a_part_of_the_next() -> None:
    client = Client(*asked(), created(), audio())
    client.take(
        event("input_audio_buffer.speech_started", audio_start_ms=1000, item_id="u2"),
        event("conversation.item.deleted", item_id="u1"),
    )
    client.follow(protocol.hushed(client.state, {"r1": 0}))
    client.take(done(status="cancelled"), retrieved(None))
    assert client.all(Over) == [] and client.state.replies == {}
    client.take(*asked("u2", "Why so?")[1:], created("r2"), audio(name="r2"), done("r2"))
    client.follow(protocol.played(client.state, "r2"))
    assert [over.transcript for over in client.all(Over)] == ["Why so?"]


def test_noise_that_was_taken_for_a_voice_is_forgotten() -> None:
    client = Client(*asked("u1", ""), event("conversation.item.deleted", item_id="u1"))
    client.take(*asked("u2"), created(), audio(), done())
    client.follow(protocol.played(client.state, "r1"))
    assert client.all(Over)[0].transcript == "Why?"


def test_a_reply_without_audio_is_over_when_it_is_done() -> None:
    client = Client(*asked(), created(), done(status="cancelled"))
    (over,) = client.all(Over)
    assert over.reply.interrupted and over.reply.heard_ms == 0
    failure = {"type": "failed", "error": {"message": "out of memory"}}
    client = Client(*asked(), created(), done(status="failed", status_details=failure))
    assert client.all(Fail) == [Fail("reply", "out of memory")] and len(client.all(Over)) == 1


def test_by_keys_the_turn_ends_where_the_audio_did() -> None:
    client = Client()
    client.follow(protocol.commit(client.state, 1000, 2500))
    assert client.types() == ["input_audio_buffer.commit", "response.create"]
    client.take(asked()[2], created(), audio(), done())
    client.follow(protocol.played(client.state, "r1"))
    assert client.all(Over)[0].ended_ms == 2500
    client = Client().follow(protocol.commit(State(), 1000, 1099))
    assert client.types() == ["input_audio_buffer.clear"]


def test_partials_are_shown_and_failed_transcriptions_told() -> None:
    client = Client(event(f"{TRANSCRIBED}.partial", item_id="u1", stable="how", unstable="are"))
    assert client.shown() == [Partial("how", "are")]
    client.take(event(f"{TRANSCRIBED}.failed", item_id="u1", error={"message": "no memory"}))
    assert client.all(Fail) == [Fail("transcribe", "no memory")]


def test_errors_are_told_but_those_of_what_may_be_refused() -> None:
    client = Client()
    for about in (None, "partials", "cancel"):
        client.take(event("error", error={"message": "no", "event_id": about}))
    assert client.all(Say) == [Say("the server: no")]


def test_a_lost_connection_ends_what_was_under_way() -> None:
    client = Client(*asked(), created(), text("Because so."), audio(), *asked("u2", "Stop."))
    client.follow(protocol.hushed(client.state, {"r1": 300}))
    client.follow(protocol.lose(client.state, {}))
    (over,) = client.all(Over)
    assert over.reply.interrupted and over.reply.heard_ms == 300 and client.state.replies == {}
    client = Client(*asked(), created(), audio()).follow(protocol.lose(State(), {}))
    assert client.all(Over) == []


def test_what_is_unknown_changes_nothing() -> None:
    client = Client(event("rate_limits.updated", rate_limits=[]), audio(name="other"), done("other"))
    client.take(text("?", "other"), audio_done("other"), retrieved("?", "other"))
    client.follow(protocol.played(client.state, "other")).follow(protocol.hushed(client.state, {"other": 1}))
    assert client.state == State() and client.sent == [] and client.done == []


@pytest.mark.parametrize(
    "bad",
    [
        {},
        {"type": "response.done"},
        {"type": "response.done", "response": None},
        {"type": "response.done", "response": {"id": "r1", "status": "failed", "status_details": "?"}},
        {"type": "response.created", "response": {}},
        {"type": "error"},
        {"type": "error", "error": {}},
        {"type": "input_audio_buffer.speech_started", "item_id": "u1"},
        audio(b"abc"),
        {**audio(), "delta": "!"},
        {**audio(), "delta": None},
    ],
)
def test_what_is_no_event_of_the_protocol_raises(bad: Mapping[str, Any]) -> None:
    client = Client(*asked(), created())
    with pytest.raises((AttributeError, KeyError, TypeError, ValueError)):
        protocol.take(client.state, bad)


STEPS: list[Any] = [
    *asked("u1"),
    *asked("u2", "Stop."),
    *(make(name) for name in ("r1", "r2") for make in (created, audio_done, done)),
    *(audio(name=name) for name in ("r1", "r2")),
    *(retrieved("Because", name) for name in ("r1", "r2")),
    event("conversation.item.deleted", item_id="u1"),
    "interrupt",
    "hush",
    "played",
    "lose",
]


@given(st.lists(st.sampled_from(range(len(STEPS))), max_size=40))
@settings(max_examples=200, deadline=None)
def test_in_any_order_a_reply_is_told_once_and_nothing_is_played_behind_a_hush(order: Iterable[int]) -> None:
    client, begun = Client(), 0
    for index in order:
        step, before = STEPS[index], len(client.all(Play))
        quiet = {name for name, reply in client.state.replies.items() if reply.interrupted or reply.silent}
        if isinstance(step, str):
            names = list(client.state.replies)
            client.follow(
                {
                    "interrupt": lambda: protocol.interrupt(client.state),
                    "hush": lambda names=names: protocol.hushed(client.state, dict.fromkeys(names, 7)),
                    "played": lambda names=names: protocol.played(client.state, names[0] if names else ""),
                    "lose": lambda: protocol.lose(client.state, {}),
                }[step]()
            )
        else:
            begun += step["type"] == "response.created"
            client.take(step)
        assert not {play.reply for play in client.all(Play)[before:]} & quiet
    overs = [over.reply.number for over in client.all(Over)]
    assert len(overs) == len(set(overs)) <= begun
