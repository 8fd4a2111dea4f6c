"""Sessions in which the client says when a turn is over and what is answered; see test_session for times.

The voice lasts from 320 to 960 ms. Reading takes 100 ms, the prompt 70, a token 15 and a chunk 30.
"""

from collections.abc import AsyncIterator, Mapping

import pytest
from fakes import PER_MS, Scene, Timing, Voice
from world import SYSTEM, World

from assistant.session.conversation import Item, UserItem
from assistant.session.events import ReplyDropped, ReplyStarted
from assistant.session.request import ReplyRequest
from assistant.session.session import Input, Typed
from assistant.session.turn import (
    AudioCleared,
    AudioCommitted,
    ReplyCancelled,
    ReplyRequested,
    TurnConfig,
)
from llm.text.chat import Message

NONE = TurnConfig(detection="none")
HELLO = (Voice(320, 960, "hello"),)


class Told(World):
    """A scene in which the client says something behind the frames that end at some times, in ms."""

    def __init__(
        self, scene: Scene, turn: TurnConfig, inputs: Mapping[int, Input | tuple[Input, ...]]
    ) -> None:
        super().__init__(scene, turn)
        self._inputs = inputs
        self.strict = [self.reader, self.writer]  # a detector is not always asked

    async def frames(self) -> AsyncIterator[Input]:
        end_ms = 0
        async for frame in super().frames():
            yield frame
            end_ms += 20
            told = self._inputs.get(end_ms, ())
            for each in told if isinstance(told, tuple) else (told,):
                yield each

    def spoken_history(self) -> list[Message]:
        """Of a reply that was stopped before its transcript was there, the record has none."""
        return [message for message in super().spoken_history() if message.content]

    def check_history(self) -> None:
        """What was said need not be answered here."""

    def check(self) -> None:
        for model in self.strict:
            model.check()

    @property
    def items(self) -> list[Item]:
        return list(self.session.conversation.items)


def user(number: int, text: str) -> UserItem:
    return UserItem(f"item_{number}", text, spoken=True)


def texts(world: Told) -> list[tuple[str, str]]:
    return [(message.role, message.content) for message in world.history()[1:]]


def committed(start_ms: int, end_ms: int) -> AudioCommitted:
    return AudioCommitted(start_ms * PER_MS, end_ms * PER_MS)


def test_a_turn_that_the_client_ends_is_answered() -> None:
    world = Told(Scene(HELLO, {"hello": "Hi. Yes?"}, 4000), NONE, {1000: committed(0, 1000)})
    world.run()
    (record,) = world.records
    assert (record.transcript, record.heard, record.interrupted) == ("hello", "Hi. Yes?", False)
    assert world.ms(record.decided_ns) == 1000
    assert world.ms(record.voice_end_ns) == 1000
    # Read until 1100, in the cache at 1170; the first word is a phrase at 1185, or when the next is there.
    assert world.sounded()[0][1] >= 1185 + 30
    assert texts(world) == [("user", "hello"), ("assistant", "Hi. Yes?")]


def test_only_the_audio_since_the_client_says_is_read() -> None:
    voices = (Voice(320, 960, "not this"), Voice(1500, 2140, "but this"))
    inputs: dict[int, Input | tuple[Input, ...]] = {1000: AudioCleared(), 2200: committed(1400, 2200)}
    world = Told(Scene(voices, {"but this": "Hi. Yes?"}, 5000), NONE, inputs)
    world.strict = [world.writer]
    world.run()
    assert world.reader.finals == ["but this"]
    assert texts(world) == [("user", "but this"), ("assistant", "Hi. Yes?")]


def test_a_turn_that_is_not_to_be_answered_is_when_it_is_asked_for() -> None:
    config = TurnConfig(create_response=False)
    world = Told(Scene(HELLO, {"hello": "Hi. Yes?"}, 7000), config, {4000: ReplyRequested()})
    world.strict = [world.reader]
    world.run()
    (record,) = world.records
    assert (record.transcript, record.heard) == ("hello", "Hi. Yes?")
    assert world.ms(record.decided_ns) == 4000
    assert texts(world) == [("user", "hello"), ("assistant", "Hi. Yes?")]


def test_a_reply_that_is_asked_for_waits_for_the_transcript() -> None:
    config = TurnConfig(detection="none", create_response=False)
    inputs = {1000: (committed(0, 1000), ReplyRequested())}
    world = Told(Scene(HELLO, {"hello": "Hi. Yes?"}, 5000, Timing(read=1500)), config, inputs)
    world.run()
    (record,) = world.records
    assert (record.transcript, record.heard) == ("hello", "Hi. Yes?")
    assert world.ms(record.decided_ns) == 2500


def test_with_nothing_said_the_instructions_are_answered() -> None:
    world = Told(Scene((), {SYSTEM: "Hi. Yes?"}, 3000), NONE, {500: ReplyRequested()})
    world.run()
    assert world.failures == [] and world.session.idle
    (record,) = world.records
    assert (record.transcript, record.heard) == ("", "Hi. Yes?")
    assert texts(world) == [("assistant", "Hi. Yes?")]


@pytest.mark.parametrize("cancelled_ms", [1000, 1040])
def test_what_was_said_stays_when_its_reply_is_cancelled_before_the_transcript(cancelled_ms: int) -> None:
    """The transcript is there at 1100. Also when the turn had no time to begin: cancelled in its moment."""
    inputs: dict[int, Input | tuple[Input, ...]] = {
        1000: (committed(0, 1000), ReplyCancelled())[: 2 if cancelled_ms == 1000 else 1]
    }
    if cancelled_ms > 1000:
        inputs[cancelled_ms] = ReplyCancelled()
    world = Told(Scene(HELLO, {"hello": "Never."}, 3000), NONE, inputs)
    world.strict = [world.reader]
    world.run()
    assert world.items == [user(1, "hello")]
    (record,) = world.records
    assert (record.interrupted, record.heard, record.boundaries) == (True, "", None)
    assert world.sounded() == [] and world.writer.transcripts == []


def test_the_next_reply_waits_for_the_words_of_a_turn_whose_reply_was_cancelled() -> None:
    inputs: dict[int, Input | tuple[Input, ...]] = {
        1000: committed(0, 1000),
        1040: ReplyCancelled(),
        1100: ReplyRequested(),
    }
    world = Told(Scene(HELLO, {"hello": "Hi. Yes?"}, 6000, Timing(read=1500)), NONE, inputs)
    world.run()
    assert texts(world) == [("user", "hello"), ("assistant", "Hi. Yes?")]
    assert [record.interrupted for record in world.records] == [True, False]


@pytest.mark.parametrize("stopped_by", [ReplyCancelled(), committed(1200, 1400)])
def test_a_reply_that_is_stopped_while_it_waits_for_a_transcript_is_dropped_once(stopped_by: Input) -> None:
    config = TurnConfig(detection="none", create_response=False)
    request = ReplyRequest("mine")
    inputs = {1000: (committed(0, 1000), ReplyRequested(request)), 1400: stopped_by}
    world = Told(Scene(HELLO, {"hello": "Never."}, 6000, Timing(read=1500)), config, inputs)
    world.strict = [world.reader]
    world.run()
    assert world.records == [] and world.writer.transcripts == []
    assert [event for event in world.events if isinstance(event, ReplyDropped)] == [ReplyDropped(request)]
    assert not [event for event in world.events if isinstance(event, ReplyStarted)]


def test_a_reply_that_was_made_is_not_dropped_as_well() -> None:
    request = ReplyRequest("mine")
    world = Told(Scene((), {SYSTEM: "Hi. Yes?"}, 3000), NONE, {500: ReplyRequested(request)})
    world.run()
    assert len(world.records) == 1
    assert not [event for event in world.events if isinstance(event, ReplyDropped)]


def test_a_cancelled_reply_keeps_what_was_heard_of_it() -> None:
    """Words of 300 ms: two are over by the time of the third."""
    story = "Once upon a time there was a king who slept."
    world = Told(
        Scene(HELLO, {"hello": story}, 4000), NONE, {1000: committed(0, 1000), 2200: ReplyCancelled()}
    )
    world.run()
    (record,) = world.records
    (_, begun, _), *_ = world.sounded()
    words = story.split()[: (2200 - begun) // 300]
    assert len(words) >= 2
    assert (record.interrupted, record.heard) == (True, " ".join(words))
    assert texts(world) == [("user", "hello"), ("assistant", " ".join(words))]
    assert world.sounded()[-1][2] == 2200  # silence at once


def test_typing_stops_the_reply_and_is_answered() -> None:
    story = "Once upon a time there was a king who slept."
    inputs: dict[int, Input | tuple[Input, ...]] = {1000: committed(0, 1000), 2200: Typed("stop")}
    scene = Scene((*HELLO, Voice(9000, 9001, "stop")), {"hello": story, "stop": "As you like."}, 5000)
    world = Told(scene, NONE, inputs)
    world.strict = [world.writer]
    world.run()
    first, second = world.records
    assert first.interrupted and not second.interrupted
    assert (second.transcript, second.heard) == ("stop", "As you like.")
    assert second.voice_end_ns == second.decided_ns  # nobody spoke
    assert texts(world) == [
        ("user", "hello"),
        ("assistant", first.heard),
        ("user", "stop"),
        ("assistant", "As you like."),
    ]


def test_typing_in_the_middle_of_a_transcript_loses_no_words() -> None:
    inputs: dict[int, Input | tuple[Input, ...]] = {1000: committed(0, 1000), 1040: Typed("and you")}
    scene = Scene((*HELLO, Voice(9000, 9001, "and you")), {"and you": "As you like."}, 5000)
    world = Told(scene, NONE, inputs)
    world.writer._history = lambda: [Message("system", SYSTEM), Message("user", "hello")]
    world.strict = [world.writer]
    world.run()
    assert texts(world) == [("user", "hello"), ("user", "and you"), ("assistant", "As you like.")]


def test_a_turn_that_is_cleared_in_its_pause_leaves_nothing() -> None:
    """Transcribed already, and 120 ms before its end at 1220."""
    world = Told(
        Scene(HELLO, {"hello": "Never."}, 3000), TurnConfig(min_silence_ms=250), {1160: AudioCleared()}
    )
    world.strict = [world.reader]
    world.run()
    assert world.reader.finals == ["hello"]
    assert world.items == [] and world.records == [] and world.sounded() == []
    assert world.session.idle


def test_what_a_client_says_comes_behind_the_audio_before_it() -> None:
    """The detector is stuck in the window at 320, completed by the frame at 360, until 1360."""
    scene = Scene(HELLO, {"hello": "Hi. Yes?"}, 6000, Timing(vad={320: 1000}))
    world = Told(scene, TurnConfig(min_silence_ms=1500), {1000: committed(0, 1000)})
    world.strict = [world.writer]
    world.run()
    (record,) = world.records
    assert world.ms(record.decided_ns) == 1360
    assert texts(world) == [("user", "hello"), ("assistant", "Hi. Yes?")]
