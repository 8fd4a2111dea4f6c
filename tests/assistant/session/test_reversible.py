"""Voices over a reply, on virtual time: it is ducked and held, and goes on or does not.

"Tell me a story" is said from 320 to 960 and answered at 1290, a word every 300 ms; the first 10 ms of each
are silent. A voice from 2500 is heard in windows from 2496 on: it ducks the reply with the window that ends
at 2560, in the frame at 2560, and holds it with the one at 2688, in the frame at 2700.
"""

from collections.abc import Callable, Iterator

import numpy as np
import pytest
from fakes import VOICE_RATE, Scene, ScriptedSpeaker, Timing, Voice
from world import World

from assistant.session.conversation import ItemAdded, UserItem
from assistant.session.events import (
    Failed,
    ReplyContinued,
    ReplyDone,
    ReplyHeld,
    ReplyStarted,
    SessionEvent,
    SpeechStarted,
    SpeechStopped,
)
from assistant.session.stages import Stages
from assistant.session.turn import ReplyCancelled, TurnConfig
from llm.text.chat import Message
from tts.stream import SpeechChunk

TURN = TurnConfig(patience=0.5, prepare_ms=64, min_silence_ms=250)
STORY = "Yes. Once upon a time there was a king who slept, and slept, and slept."
ASKED = Voice(320, 960, "tell me a story")
BEGIN_MS, WORD_MS = 1290, 300


def converse(*voices: Voice, end_ms: int = 8000, turn: TurnConfig = TURN, **replies: str) -> World:
    """A story that the voices come over; each is answered as `replies` have it, if it is a turn."""
    answers = {
        "tell me a story": STORY,
        **{voice.words: "Fine." for voice in voices if voice.words},
        **replies,
    }
    world = World(Scene((ASKED, *voices), answers, end_ms), turn)
    world.strict.remove(world.writer)  # a backchannel may be dropped before its reply is asked for
    return world.run()


def said(world: World) -> list[str]:
    return [message.content for message in world.history() if message.role == "user"]


def kinds(world: World, *of: type[SessionEvent]) -> list[str]:
    assert world.records
    return [type(event).__name__ for event in world.events if isinstance(event, of)]


def sounded_ms(world: World) -> list[tuple[int, int]]:
    """From when to when it sounded, gaps of a millisecond not counted."""
    joined: list[tuple[int, int]] = []
    for _, start, end in world.sounded():
        if joined and start - joined[-1][1] <= 1:
            joined[-1] = joined[-1][0], end
        else:
            joined.append((start, end))
    return joined


def level_at(world: World, ms: float) -> float:
    """How loud the sample is that sounds then, as a share of its own loudness."""
    for (start_ns, audio), plain in zip(world.sink.recorded, world.sink.unscaled, strict=True):
        sample = round((ms * 1_000_000 - start_ns + world.start_ns) * VOICE_RATE / 1e9)
        if 0 <= sample < len(audio) and plain[sample]:
            return float(audio[sample] / plain[sample])
    raise AssertionError(f"nothing sounds at {ms} ms")


def test_a_cough_ducks_the_reply_and_it_comes_back() -> None:
    """Voice until 2600: the window that ends at 2624 is silent, in the frame at 2640."""
    world = converse(Voice(2500, 2600, ""))
    (record,) = world.records
    assert record.heard == STORY and not record.interrupted
    assert sounded_ms(world) == [(BEGIN_MS, BEGIN_MS + 15 * WORD_MS)]
    levels = [level_at(world, ms) for ms in (2555, 2575, 2590, 2635, 2655, 2670)]
    assert levels == pytest.approx([1, 0.5, 0.125, 0.125, 0.625, 1], abs=0.01)
    assert kinds(world, ReplyHeld, ReplyContinued, SpeechStarted) == ["SpeechStarted"]


@pytest.mark.parametrize("words", ["yeah", "oh okay", ""])
def test_a_backchannel_holds_the_reply_and_it_goes_on_at_the_very_sample(words: str) -> None:
    """Voice until 2900: 64 ms of silence are over with the window that ends at 2976, in the frame at 2980.
    The transcript is there 100 ms later, and it sounds again 20 ms behind that."""
    world = converse(Voice(2500, 2900, words))
    (record,) = world.records
    assert (record.heard, record.interrupted, record.underruns) == (STORY, False, 0)
    whole_ms = 15 * WORD_MS
    assert sounded_ms(world) == [(BEGIN_MS, 2700), (3100, 3100 + whole_ms - (2700 - BEGIN_MS))]
    given = np.concatenate([audio for _, audio in world.sink.given])
    np.testing.assert_array_equal(np.concatenate(world.sink.unscaled), given)
    assert [level_at(world, ms) for ms in (2695, 3126, 5000)] == pytest.approx([0.125, 1, 1])
    assert said(world) == ["tell me a story"]
    told = kinds(world, SpeechStarted, SpeechStopped, ReplyStarted, ReplyHeld, ReplyContinued, ReplyDone)
    over = ["SpeechStarted", "ReplyHeld", "ReplyContinued", "SpeechStopped"]
    assert told == [
        "SpeechStarted",
        "SpeechStopped",
        "ReplyStarted",
        "SpeechStarted",
        "ReplyHeld",
        *over[2:],
        "ReplyDone",
    ]


def test_backchannels_may_come_one_after_the_other() -> None:
    world = converse(
        Voice(2500, 2900, "yeah"), Voice(3500, 3900, "okay"), Voice(4300, 4700, "wow"), end_ms=10_000
    )
    (record,) = world.records
    assert record.heard == STORY and len(sounded_ms(world)) == 4
    given = np.concatenate([audio for _, audio in world.sink.given])
    np.testing.assert_array_equal(np.concatenate(world.sink.unscaled), given)


def test_a_stop_word_silences_the_reply_before_anybody_knows_what_it_was() -> None:
    """The transcript is there at 3080; it was silent from 2700 on."""
    world = converse(Voice(2500, 2900, "stop"))
    story, answer = world.records
    assert (story.heard, story.interrupted, story.reopened) == ("Yes. Once upon a", True, False)
    assert sounded_ms(world)[0] == (BEGIN_MS, 2700)
    assert (answer.transcript, answer.heard) == ("stop", "Fine.")
    assert [level_at(world, sounded_ms(world)[1][0] + ms) for ms in (11, 200)] == [1, 1]
    assert kinds(world, ReplyHeld, ReplyContinued) == ["ReplyHeld"]


def test_the_reply_is_over_before_what_the_user_said_enters_the_conversation() -> None:
    world = converse(Voice(2500, 2900, "stop"))
    assert world.records
    over = next(n for n, event in enumerate(world.events) if isinstance(event, ReplyDone))
    added = [
        n
        for n, event in enumerate(world.events)
        if isinstance(event, ItemAdded) and isinstance(event.item, UserItem)
    ]
    assert added[0] < over < added[1]


def test_a_long_voice_stops_the_reply_while_it_lasts() -> None:
    """A second after 2496 is over in the window that ends at 3520, in the frame at 3520."""
    world = converse(Voice(2500, 4500, "no tell me a better one"))
    story, answer = world.records
    assert story.heard == "Yes. Once upon a" and story.interrupted
    done = world.events.index(story)
    partials = [n for n, event in enumerate(world.events) if type(event).__name__ == "Partial" and n > done]
    assert partials, "it is over before the user is"
    assert answer.heard == "Fine."


@pytest.mark.parametrize("end_ms", [1900, 3000])
def test_going_on_in_the_first_half_second_of_a_reply_is_one_turn(end_ms: int) -> None:
    """Heard from 1300. A voice from 1400 is heard from 1408 on and holds it with the window that ends at
    1600, in the frame at 1600, in the silence before a word. It is short, and known by its transcript, or
    takes over while it lasts."""
    whole = "tell me a story for my son"
    world = converse(Voice(1400, end_ms, "for my son"), **{whole: "Once upon a time."})
    early, record = world.records
    assert early.reopened and early.boundaries is not None  # it was heard
    assert sounded_ms(world)[0] == (BEGIN_MS, 1590)
    assert (record.transcript, record.heard) == (whole, "Once upon a time.")
    assert world.history()[1:] == [Message("user", whole), Message("assistant", "Once upon a time.")]


def test_an_early_backchannel_costs_no_reply() -> None:
    world = converse(Voice(1400, 1700, "okay"))
    (record,) = world.records
    assert record.heard == STORY and not record.interrupted
    assert said(world) == ["tell me a story"]


@pytest.mark.parametrize("reopen_ms", [0, 5000])
def test_how_little_counts_as_too_early_can_be_set(reopen_ms: int) -> None:
    turn = TurnConfig(patience=0.5, prepare_ms=64, min_silence_ms=250, reopen_ms=reopen_ms)
    world = converse(Voice(2500, 2900, "twice"), turn=turn, **{"tell me a story twice": "Once."})
    assert said(world) == (["tell me a story twice"] if reopen_ms else ["tell me a story", "twice"])


QUESTION = "There is one about a king, and one about a queen. Shall it be the queen?"


@pytest.mark.parametrize(("from_ms", "goes_on"), [(2500, True), (5000, False)])
def test_yes_over_the_end_of_a_question_is_its_answer(from_ms: int, goes_on: bool) -> None:
    """The question is over at 1290 + 16 * 300 = 6090; a voice from 5000 on holds it a little before 5200."""
    world = converse(Voice(from_ms, from_ms + 400, "yes"), end_ms=11_000, **{"tell me a story": QUESTION})
    assert said(world) == (["tell me a story"] if goes_on else ["tell me a story", "yes"])
    assert world.records[0].interrupted is not goes_on


@pytest.mark.parametrize("from_ms", range(5400, 5880, 20))
def test_a_voice_around_the_end_of_a_reply_leaves_nothing_silent(from_ms: int) -> None:
    """The reply ends at 5790, before, in and after what ducks and holds it. The next is heard as ever."""
    world = converse(
        Voice(from_ms, from_ms + 300, "yeah"),
        Voice(8000, 8600, "once more"),
        end_ms=11_000,
        **{"once more": STORY[:4]},
    )
    assert world.records[0].heard == STORY
    last = world.records[-1]
    assert (last.transcript, last.heard) == ("once more", "Yes.")
    begin, end = sounded_ms(world)[-1]
    assert level_at(world, begin + 11) == 1 and end - begin == WORD_MS


@pytest.mark.parametrize("at_ms", [2640, 2700, 2800, 2980, 3060])
def test_a_key_stops_a_reply_that_is_ducked_or_held(at_ms: int) -> None:
    voices = (ASKED, Voice(2500, 2900, "yeah"))
    world = World(
        Scene(voices, {"tell me a story": STORY, "yeah": "Well."}, 6000),
        TURN,
        inputs={at_ms: ReplyCancelled()},
    )
    world.strict.remove(world.writer)
    world.run()
    story, answer = world.records
    assert story.interrupted and story.heard == "Yes. Once upon a"
    assert answer.transcript == "yeah"


@pytest.mark.parametrize("end_ms", [2580, 2700, 2800, 3000, 3060, 3120])
def test_the_source_may_end_while_a_reply_is_ducked_or_held(end_ms: int) -> None:
    voices = (ASKED, Voice(2500, 2900, "yeah"))
    world = World(Scene(voices, {"tell me a story": STORY, "yeah": "Well."}, end_ms), TURN)
    world.strict = []
    world.run()
    (record,) = world.records
    assert record.interrupted and record.heard.startswith("Yes. Once upon a"[: len(record.heard)])
    assert sounded_ms(world)[-1][1] <= end_ms


class FailingSpeaker(ScriptedSpeaker):
    """Fails at the ninth word, which it comes to while the reply is held."""

    def speak(
        self, phrase: str, *, speed: float | None = None, should_stop: Callable[[], bool]
    ) -> Iterator[SpeechChunk]:
        for chunk in super().speak(phrase, speed=speed, should_stop=should_stop):
            if len(self.words) == 9:
                raise LookupError("no such word")
            yield chunk


class FailingWorld(World):
    def _stages(self) -> Stages:
        self.speaker = FailingSpeaker(self.scene, self.loop)
        return super()._stages()


def test_a_reply_that_fails_while_it_is_held_is_over_and_the_next_is_heard() -> None:
    """A chunk takes 190 ms: the ninth is due at about 1250 + 9 * 190 = 2960."""
    scene = Scene(
        (ASKED, Voice(2500, 2960, "yeah"), Voice(6000, 6640, "once more")),
        {"tell me a story": STORY, "yeah": "Well.", "once more": "Yes."},
        10_000,
        Timing(chunk=190),
    )
    world = FailingWorld(scene, TURN)
    world.strict.remove(world.writer)
    world.run()
    assert Failed("reply", "no such word", 0) in world.failures
    assert world.records[0].heard.startswith("Yes. Once upon a")
    assert world.records[-1].transcript == "once more" and world.records[-1].heard == "Yes."


def test_where_the_sink_cannot_hold_a_voice_stops_the_reply() -> None:
    turn = TurnConfig(patience=0.5, prepare_ms=64, min_silence_ms=250, reversible=False)
    world = converse(Voice(2500, 2900, "yeah"), turn=turn)
    story, answer = world.records
    assert story.interrupted and (answer.transcript, answer.heard) == ("yeah", "Fine.")
    for (_, audio), plain in zip(world.sink.recorded, world.sink.unscaled, strict=True):
        np.testing.assert_array_equal(audio, plain)
    assert kinds(world, ReplyHeld) == []
