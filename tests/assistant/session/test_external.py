"""Sessions that a client controls: typed input, text output, turns that it ends, replies that it asks for."""

from collections.abc import AsyncIterator

import pytest
from fakes import Scene, ScriptedWriter, Timing, Voice
from world import SYSTEM, World

from assistant.runtime import InlineWorker, Recorder, VirtualLoop, run_virtual
from assistant.session.conversation import AssistantItem, ItemAdded, ItemRemoved, UserItem
from assistant.session.events import (
    AudioDelta,
    Listener,
    ReplyDone,
    ReplyStarted,
    SpeechStarted,
    SpeechStopped,
    TextDelta,
)
from assistant.session.scheduled import SessionLanguageModel
from assistant.session.session import Input, Session, SessionConfig, Typed
from assistant.session.stages import Stages
from assistant.session.turn import (
    AudioCleared,
    AudioCommitted,
    ReplyCancelled,
    ReplyRequested,
    TurnConfig,
)
from llm.text.chat import Message

HELLO = Voice(320, 960, "how are you")
ANSWER = "Fine. And you?"
MANUAL = TurnConfig(detection="none")


def world(
    *voices: Voice, inputs: dict[int, Input] | None = None, turn: TurnConfig | None = None, end_ms: int = 5000
) -> World:
    replies: dict[str, str | Exception] = {voice.words: ANSWER for voice in voices}
    made = World(Scene(voices, replies, end_ms), turn, inputs=inputs)
    made.check_history = lambda: None  # type: ignore[method-assign]  # an end of turn without a reply is fine here
    return made


def messages(world: World) -> list[tuple[str, str]]:
    return [(m.role, m.content) for m in world.history()[1:]]


def test_what_happens_is_told_in_order() -> None:
    told = world(HELLO).run()
    assert told.records  # reads the events
    events = [event for event in told.events if not isinstance(event, AudioDelta | TextDelta)]
    kinds = [type(event).__name__ for event in events]
    assert kinds[:6] == [
        "SpeechStarted",
        "Partial",
        "SpeechStopped",
        "ItemAdded",
        "ItemAdded",
        "ReplyStarted",
    ]
    assert kinds[-1] == "ReplyDone" and set(kinds[6:-1]) == {"ItemChanged"}
    started, stopped = (e for e in events if isinstance(e, SpeechStarted | SpeechStopped))
    # Voice from 320 to 960 ms, in windows of 32 ms.
    assert (started.sample, stopped.sample) == (320 * 16, 960 * 16)
    user, reply = (e.item for e in events if isinstance(e, ItemAdded))
    assert user == UserItem("item_1", "how are you", spoken=True) and reply == AssistantItem("item_2")
    assert "".join(e.text for e in told.events if isinstance(e, TextDelta)) == ANSWER
    assert "".join(e.chunk.text for e in told.events if isinstance(e, AudioDelta)) == ANSWER
    final = told.session.conversation.get("item_2")
    assert isinstance(final, AssistantItem) and final.complete and final.text == ANSWER


def test_spans_tell_the_session() -> None:
    named = World(Scene((HELLO,), {"how are you": ANSWER}, 4000), name="kitchen").run()
    assert {span.session for span in named.recorder.spans} == {"kitchen"}


def test_a_turn_that_the_client_ends_is_answered_without_detection() -> None:
    """No voice is looked for; the client says where the turn began and that it is over."""
    told = world(HELLO, inputs={1200: AudioCommitted(300 * 16, 1200 * 16)}, turn=MANUAL).run()
    assert messages(told) == [("user", "how are you"), ("assistant", ANSWER)]
    (record,) = told.records
    assert told.ms(record.decided_ns) == 1200


def test_a_turn_may_end_without_an_answer_and_be_answered_later() -> None:
    """The transcript takes 100 ms from 1200; the reply is asked for at 1220, before it is there."""
    turn = TurnConfig(detection="none", create_response=False)
    quiet = world(HELLO, inputs={1200: AudioCommitted(300 * 16, 1200 * 16)}, turn=turn)
    quiet.strict.remove(quiet.writer)
    quiet.run_unchecked()
    assert messages(quiet) == [("user", "how are you")] and quiet.records == [] and quiet.sounded() == []
    asked = world(
        HELLO,
        inputs={1200: AudioCommitted(300 * 16, 1200 * 16), 1220: ReplyRequested()},
        turn=turn,
    )
    asked.run_unchecked()
    assert messages(asked) == [("user", "how are you"), ("assistant", ANSWER)]
    assert [record.transcript for record in asked.records] == ["how are you"]


def test_with_detection_and_without_answers_turns_still_end() -> None:
    told = world(HELLO, turn=TurnConfig(create_response=False))
    told.run_unchecked()
    assert messages(told) == [("user", "how are you")]
    assert told.records == [] and told.sounded() == []


def test_silence_alone_ends_a_turn_where_that_is_wanted() -> None:
    """Incomplete by every score; 500 ms of silence are over with the window at 1472, in the frame at 1480."""
    voice = Voice(320, 960, "how are you", sounds=0.01, reads=0.01)
    told = world(voice, turn=TurnConfig(detection="silence", silence_ms=500)).run()
    assert told.ms(told.records[0].decided_ns) == 1480


def test_a_client_may_end_a_turn_while_the_user_still_speaks() -> None:
    told = world(Voice(320, 1600, "how are you"), inputs={1640: AudioCommitted(0, 1640 * 16)}).run()
    (record,) = told.records
    assert told.ms(record.decided_ns) == 1640 and record.transcript == "how are you"


def test_cleared_audio_leaves_nothing() -> None:
    for at_ms in (800, 1100):  # while the user speaks, and in the pause
        told = world(HELLO, inputs={at_ms: AudioCleared()})
        told.strict = []
        told.run_unchecked()
        assert messages(told) == [] and told.records == [] and told.sounded() == [], at_ms


def test_a_cancelled_reply_keeps_what_was_heard_and_the_turn() -> None:
    """ "Fine." sounds from 1290 to 1590, "And" until 1890."""
    told = world(HELLO, inputs={1700: ReplyCancelled(), 3000: ReplyCancelled()}).run()
    (record,) = told.records
    assert record.interrupted and not record.reopened and record.heard == "Fine."
    assert messages(told) == [("user", "how are you"), ("assistant", "Fine.")]


def test_a_typed_message_is_answered_aloud_and_stops_the_reply_before_it() -> None:
    typed = world(HELLO, inputs={1700: Typed("what is this")})
    typed.scene.replies["what is this"] = "A test."  # type: ignore[index]
    typed.run_unchecked()
    assert messages(typed) == [
        ("user", "how are you"),
        ("assistant", "Fine."),
        ("user", "what is this"),
        ("assistant", "A test."),
    ]
    assert [record.interrupted for record in typed.records] == [True, False]


class TextOnly:
    """A session without a microphone and without a voice."""

    def __init__(self, replies: dict[str, str | Exception]) -> None:
        self.loop = VirtualLoop()
        scene = Scene((), replies, 0)
        self.writer = ScriptedWriter(scene, self.loop, self.history)
        worker = InlineWorker("llm", self.loop)
        stages = Stages(SessionLanguageModel(self.writer, worker, self.loop.clock))
        self.session = Session(stages, SessionConfig(SYSTEM), self.loop.clock, Recorder())
        self.events = self.session.subscribe()
        self.asked: list[Message] = []

    def history(self) -> list[Message]:
        return [m for m in self.session.conversation.messages() if m.content != self.line]

    def run(self, *lines: str) -> list[ReplyDone]:
        done: list[ReplyDone] = []

        async def source() -> AsyncIterator[Input]:
            for self.line in lines:
                yield Typed(self.line)
                done.append(await finished(self.events))

        run_virtual(self.session.run(source()), self.loop)
        return done


async def finished(events: Listener) -> ReplyDone:
    async for event in events:
        if isinstance(event, ReplyDone):
            return event
    raise AssertionError("no reply")


def test_typed_lines_are_answered_in_text_one_after_the_other() -> None:
    chat = TextOnly({"hello": "Hi there.", "bye": "So long."})
    first, second = chat.run("hello", "bye")
    assert (first.reply, first.heard, second.heard) == ("Hi there.", "Hi there.", "So long.")
    assert [m.content for m in chat.session.conversation.messages()] == [
        SYSTEM,
        "hello",
        "Hi there.",
        "bye",
        "So long.",
    ]


def test_a_source_that_fails_leaves_silence_and_what_was_heard() -> None:
    """The microphone is lost at 1700: "Fine." has sounded, and the rest must not."""
    told = world(HELLO)
    frames = told.frames

    async def lost() -> AsyncIterator[Input]:
        async for frame in frames():
            if told.loop.clock.now_ns() > 1_700_000_000:
                raise OSError("the microphone is gone")
            yield frame

    told.frames = lost  # type: ignore[method-assign]
    with pytest.raises(ExceptionGroup, match="unhandled"):
        told.run_unchecked()
    (record,) = told.records
    assert record.interrupted and record.heard == "Fine."
    assert max(end_ms for _, _, end_ms in told.sounded()) <= 1720


def test_a_committed_turn_stops_the_reply_where_nothing_is_detected() -> None:
    again = Voice(1700, 2340, "who are you")
    inputs: dict[int, Input] = {
        1200: AudioCommitted(300 * 16, 1200 * 16),
        2400: AudioCommitted(1690 * 16, 2400 * 16),
    }
    told = world(HELLO, again, inputs=inputs, turn=MANUAL, end_ms=6000)
    told.scene.replies["how are you"] = "Fine. " + "And you? " * 20  # type: ignore[index]
    told.run_unchecked()
    assert [record.interrupted for record in told.records] == [True, False]
    assert [record.transcript for record in told.records] == ["how are you", "who are you"]


def test_a_reopened_turn_takes_its_items_back() -> None:
    """Decided at 1220, taken back at 1320 before anything sounded: the listener sees both go."""
    voices = (Voice(320, 960, "book a table"), Voice(1260, 1900, "for two"))
    replies: dict[str, str | Exception] = {"book a table": "Sure.", "book a table for two": "Done."}
    told = World(Scene(voices, replies, 4500, Timing(chunk=100))).run()
    assert told.records
    removed = [event.id for event in told.events if isinstance(event, ItemRemoved)]
    added = [event.item.id for event in told.events if isinstance(event, ItemAdded)]
    assert sorted(removed) == added[:2]
    assert [event.number for event in told.events if isinstance(event, ReplyStarted)] == [0, 1]
