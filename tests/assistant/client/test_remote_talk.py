"""Whole conversations with a server: front end, protocol and gate against the real connection and session.

What is checked against is the loudspeaker's own recording, and what the server got.
"""

import asyncio

import pytest
from conversation import Talked, press
from near_server import WORD_MS, Voice, sound
from plain import DEAF
from stores import MemoryStore

from assistant.client.errors import RealtimeError
from assistant.microphone.devices.port import Audio
from assistant.microphone.echo.canceller import Cleaned, EchoCanceller
from assistant.microphone.front_end import TalkOptions

HOW = Voice(480, 1120, "how are you", 0.3)
TELL = Voice(480, 1120, "tell me a story", 0.3)
NO = Voice(3200, 4000, "no thank you", 0.5)
FINE = "I am fine, thanks."
STORY = "Yes. Once upon a time there was a king who slept, and slept, and slept, and slept."
RINGS_MS = 5  # a resampler, on either side of a voice that begins and ends at once
REPLIES = {"how are you": FINE, "tell me a story": STORY, "no thank you": "Fine."}


def talked(*voices: Voice, seconds: float = 6.0, **more: object) -> Talked:
    return Talked(voices, REPLIES, TalkOptions(seconds=seconds), **more)  # type: ignore[arg-type]


def test_a_question_is_answered_and_told_as_it_was_heard() -> None:
    talk = talked(HOW).run()
    (turn,) = talk.replay.turns
    assert (turn.transcript, turn.reply, turn.heard) == ("how are you", FINE, FINE)
    assert not turn.interrupted and turn.underruns == 0 and talk.replay.failures == 0
    ((begin, end),) = talk.loud()
    assert end - begin == pytest.approx(len(FINE.split()) * WORD_MS, abs=RINGS_MS * 2 + 1)
    # The server's windows are 32 ms: what it states is up to one of them behind the voice's end.
    assert turn.ttfa_ms is not None and -34 <= turn.ttfa_ms - (begin - 1120) <= RINGS_MS + 1
    assert sum(part.ms for part in turn.parts) == pytest.approx(turn.ttfa_ms)
    first, you, assistant, wait = talk.shown.lines
    assert (first, you, assistant) == ("listening", "you:       how are you", f"assistant: {FINE}")
    assert wait.startswith(f"           {turn.ttfa_ms:.0f} ms: endpoint.wait ")


def test_the_view_goes_through_a_turn_with_partial_words() -> None:
    talk = talked(Voice(480, 2400, "how are you", 0.3)).run()
    states = [view.state for view in talk.shown.views]
    order = [state for n, state in enumerate(states) if n == 0 or states[n - 1] != state]
    assert order[:2] == ["starting", "listening"] and order[-1] == "listening"
    assert [state for state in order if state in ("hearing", "thinking", "speaking")][-1] == "speaking"
    assert any(view.unstable == "how are you" for view in talk.shown.views)
    assert any(view.reply.startswith("I am") for view in talk.shown.views)


def test_a_voice_over_the_reply_silences_it_and_the_server_is_told_what_was_heard() -> None:
    talk = talked(TELL, NO, seconds=8).run()
    first, second = talk.replay.turns
    assert first.interrupted and (second.transcript, second.heard) == ("no thank you", "Fine.")
    (begin, end), _ = talk.loud()
    # 128 ms are 4 windows, the last over within 32 ms; a frame of 20 ms, its way in, and the loudspeaker's.
    assert 3200 + 128 < end <= 3200 + 128 + 32 + 20 + 15 + 60 + 10 + 5
    (truncate,) = talk.got("conversation.item.truncate")
    assert truncate["audio_end_ms"] == pytest.approx(end - begin, abs=RINGS_MS + 2)
    words = STORY.split()[: int(truncate["audio_end_ms"] // WORD_MS)]
    assert first.heard.split() == words
    assert talk.models[0].histories[-1][:2] == [("user", TELL.words), ("assistant", " ".join(words))]


def test_the_server_hears_silence_while_the_reply_sounds_and_then_the_voice_from_its_beginning() -> None:
    talk = talked(TELL, NO, seconds=8).run()
    assert talk.models[0].heard == pytest.approx([0.3, 0.5], rel=0.05)
    # Sample for sample: where the voice began in what the server got is where it began in the room.
    starts = [event["audio_start_ms"] for event in talk.told("input_audio_buffer.speech_started")]
    lead = starts[0] - TELL.start_ms
    assert starts[1] - lead == pytest.approx(NO.start_ms, abs=33)


class Echoing(EchoCanceller):
    """The linear filter leaves the echo, AEC3 only what is louder than it."""

    def __init__(self) -> None:
        super().__init__(None)

    def push(self, microphone: Audio, reference: Audio) -> Cleaned:
        return Cleaned(microphone, microphone * (abs(microphone).max() > 0.2))


def test_an_echo_that_the_linear_filter_leaves_interrupts_nothing_and_is_no_turn() -> None:
    talk = talked(TELL, NO, seconds=8, canceller=Echoing)
    user, hum = sound((TELL, NO)), sound((Voice(0, 10**6, "", 0.1),))
    port, late = talk.rig.port, 11  # blocks from when one is asked for until its echo is recorded

    def room(start: int, count: int) -> Audio:
        (speaker,) = [stream for stream in port.streams if stream.direction == "output"]
        sounds = len(speaker.played) > late and speaker.played[-late].any()
        return user(start, count) + sounds * hum(start, count)

    port.sound = room
    talk.run()
    first, second = talk.replay.turns
    assert talk.loud()[0][1] > NO.start_ms + 128 and first.interrupted
    assert (second.transcript, second.interrupted) == ("no thank you", False)
    assert len(talk.told("input_audio_buffer.speech_started")) == 2


def test_where_echo_cannot_be_cancelled_the_server_hears_nothing_while_it_speaks() -> None:
    talk = talked(TELL, NO, seconds=9, duplex=DEAF).run()
    (turn,) = talk.replay.turns
    assert not turn.interrupted and turn.heard == STORY
    assert len([line for line in talk.shown.lines if DEAF.reason in line]) == 1


@pytest.mark.parametrize("key", ["s", "\x1b"])
def test_a_key_stops_the_reply_and_it_listens_on(key: str) -> None:
    talk = talked(TELL, Voice(5000, 5640, "how are you", 0.5), seconds=9).run({3000: press(key)})
    first, second = talk.replay.turns
    assert first.interrupted and (second.transcript, second.heard) == ("how are you", FINE)
    assert talk.loud()[0][1] <= 3000 + 60 + 10 + 5
    assert len(talk.got("response.cancel")) == 1


def test_a_key_without_a_reply_changes_nothing() -> None:
    talk = talked(HOW).run({200: press("s")})
    assert talk.replay.turns[0].heard == FINE and not talk.got("response.cancel")
    assert talk.shown.lines[0] == "listening" and len(talk.shown.lines) == 4


def test_a_muted_microphone_sends_silence() -> None:
    later = Voice(3200, 3840, "how are you", 0.5)
    talk = talked(TELL, later).run({100: press("m"), 2000: press("m")})
    assert [turn.transcript for turn in talk.replay.turns] == ["how are you"]


def test_push_to_talk_sends_what_is_said_between_two_spaces() -> None:
    voices = (Voice(480, 1120, "not for you", 0.2), Voice(1700, 2340, "how are you", 0.4))
    options = TalkOptions(seconds=6, push_to_talk=True, keys=True)
    talk = Talked(voices, REPLIES, options).run({1500: press(" "), 2500: press(" ")})
    (turn,) = talk.replay.turns
    assert (turn.transcript, turn.heard) == ("how are you", FINE)
    assert turn.ttfa_ms == pytest.approx(talk.loud()[0][0] - 2500, abs=21)  # the frame that holds the press
    sent = sum(len(event["audio"]) * 3 // 4 for event in talk.got("input_audio_buffer.append"))
    assert sent / 48 == pytest.approx(1000, abs=41)


def test_a_space_over_the_reply_stops_it() -> None:
    options = TalkOptions(seconds=9, push_to_talk=True, keys=True)
    voices = (TELL, Voice(3200, 3840, "how are you", 0.5))
    presses = {300: press(" "), 1200: press(" "), 3000: press(" "), 3900: press(" ")}
    talk = Talked(voices, REPLIES, options).run(presses)
    first, second = talk.replay.turns
    assert first.interrupted and (second.transcript, second.heard) == ("how are you", FINE)


def test_the_floor_taken_and_given_back_at_once_is_no_turn() -> None:
    options = TalkOptions(seconds=4, push_to_talk=True, keys=True)
    talk = Talked((), REPLIES, options).run({1000: press(" "), 1040: press(" ")})
    assert talk.replay.turns == () and talk.got("input_audio_buffer.clear")
    assert talk.shown.lines == ["listening"]


def hang_up(talk: Talked) -> None:
    """The server is gone, without a word."""
    talk.tasks[-1].cancel()
    talk.servers[-1].peer.abort()
    talk.servers[-1].peer.inbox.put_nowait(talk.servers[-1].peer.closed)  # type: ignore[arg-type]


def test_a_lost_connection_is_opened_again_and_it_is_said_what_is_lost_with_it() -> None:
    away = RealtimeError("nobody listens", again=True)
    later = Voice(7000, 7640, "how are you", 0.5)
    talk = talked(TELL, later, seconds=11, refusals=[None, away, None]).run({3000: hang_up})
    first, second = talk.replay.turns
    assert first.interrupted and STORY.startswith(first.heard) and first.heard != STORY
    assert talk.loud()[0][1] <= 3000 + 60 + 10 + 5
    assert (second.transcript, second.heard) == ("how are you", FINE)
    assert talk.models[1].histories == [[]]
    told = [line for line in talk.shown.lines if "connect" in line]
    assert told == [
        "the server closed the connection (1006); connecting again in 0.5 s",
        "nobody listens; connecting again in 1 s",
        "connected again; what was said before is forgotten there",
    ]


def test_a_conversation_that_is_kept_goes_on_over_another_connection() -> None:
    """And of the reply that was cut off the model reads what the loudspeaker had played."""
    store = MemoryStore()
    later = Voice(7000, 7640, "how are you", 0.5)
    talk = talked(TELL, later, seconds=11, store=store).run({3000: hang_up})
    assert talk.asked == ["", "sess_near1"]
    first, second = talk.replay.turns
    assert first.interrupted and (second.transcript, second.heard) == ("how are you", FINE)
    (begin, end), *_ = talk.loud()
    (truncate,) = talk.got("conversation.item.truncate")
    assert truncate["audio_end_ms"] == pytest.approx(end - begin, abs=RINGS_MS + 2)
    words = STORY.split()[: int(truncate["audio_end_ms"] // WORD_MS)]
    history = [("user", TELL.words), ("assistant", " ".join(words))]
    assert 1 <= len(words) < len(STORY.split()) and talk.models[1].histories == [history]
    told = [line for line in talk.shown.lines if "connect" in line]
    assert told == [
        "the server closed the connection (1006); connecting again in 0.5 s",
        "connected again; the conversation goes on",
    ]


def test_a_server_that_restarts_is_said_to_and_knows_what_was_said() -> None:
    later = Voice(7000, 7640, "tell me a story", 0.5)
    talk = talked(HOW, later, seconds=12, store=MemoryStore())

    def restart(talk: Talked) -> None:
        talk.draining.set()
        talk.draining = asyncio.Event()

    talk.run({5000: restart})
    assert talk.models[1].histories[-1] == [("user", HOW.words), ("assistant", FINE)]
    told = [line for line in talk.shown.lines if "connect" in line]
    assert told == [
        "the server restarts; connecting again in 0.5 s",
        "connected again; the conversation goes on",
    ]


def test_a_conversation_that_is_kept_no_more_begins_anew_and_it_is_said_once() -> None:
    store = MemoryStore()

    def lose(talk: Talked) -> None:
        store.saved.clear()
        hang_up(talk)

    later = Voice(7000, 7640, "how are you", 0.5)
    talk = talked(TELL, later, seconds=11, store=store).run({3000: lose})
    assert talk.asked == ["", "sess_near1"] and talk.models[1].histories == [[]]
    assert not talk.got("conversation.item.truncate")
    assert [line for line in talk.shown.lines if "the server:" in line] == []
    assert talk.shown.lines.count("connected again; what was said before is forgotten there") == 1


def test_a_server_that_does_not_come_back_ends_it_with_its_reason() -> None:
    away = RealtimeError("nobody listens", again=True)
    talk = talked(HOW, seconds=300, refusals=[None, *[away] * 10])
    with pytest.raises(ExceptionGroup) as raised:
        talk.run({3000: hang_up})
    assert first_of(raised.value) is away
    assert talk.rig.now_ms < 3000 + 70_000
    assert len([line for line in talk.shown.lines if "connecting again" in line]) == 10


def test_a_server_that_wants_another_token_by_now_ends_it_at_once() -> None:
    refusal = RealtimeError("wants another token")
    talk = talked(HOW, seconds=300, refusals=[None, refusal])
    with pytest.raises(ExceptionGroup) as raised:
        talk.run({3000: hang_up})
    assert first_of(raised.value) is refusal


def test_a_first_connection_that_is_refused_is_not_tried_again() -> None:
    busy = RealtimeError("busy", again=True)
    talk = talked(HOW, refusals=[busy])
    with pytest.raises(ExceptionGroup) as raised:
        talk.run()
    assert first_of(raised.value) is busy and talk.shown.lines == []


def test_a_server_that_shuts_down_is_said_to() -> None:
    talk = talked(HOW, seconds=9, refusals=[None]).run({5000: lambda talk: talk.draining.set()})
    lines = [line for line in talk.shown.lines if "shutting down" in line]
    assert lines and lines[0] == "the server is shutting down; connecting again in 0.5 s"


def test_it_ends_when_the_user_quits_and_a_reply_is_cut_off() -> None:
    talk = talked(TELL, seconds=60).run({3000: press("q")})
    (turn,) = talk.replay.turns
    assert turn.interrupted and turn.heard and STORY.startswith(turn.heard)
    assert talk.rig.now_ms < 3200 + 60_000  # the virtual loop waits a minute for what is left behind


def first_of(error: BaseException) -> BaseException:
    return first_of(error.exceptions[0]) if isinstance(error, BaseExceptionGroup) else error
