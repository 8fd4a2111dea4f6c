"""What a client heard, from made-up events: times are worked out by hand."""

import pytest
from heard import audio, created, done, log, ms, spoken, text

from assistant.server.bench.measure import heard_replies, measure, transcript


def test_the_first_audible_sample_counts_from_when_its_delta_came() -> None:
    quiet = 103  # 20 log10(103 / 32768) is -50.05 dBFS
    found = log((1200, created()), (1250, audio([*ms(5, quiet), *ms(5, 104)])), (2000, done()))
    assert measure(spoken(1.0), found).ttfa_ms == pytest.approx(255)


def test_audio_that_waits_for_what_plays_already_is_heard_behind_it() -> None:
    found = log(
        (1200, created()), (1200, audio(ms(100, 0))), (1210, audio([*ms(3, 0), -9000])), (2000, done())
    )
    assert measure(spoken(1.0), found).ttfa_ms == pytest.approx(303)


def test_a_gap_is_what_lies_between_the_end_of_the_audio_and_more_of_it() -> None:
    found = log(
        (1000, created()),
        (1000, audio(ms(40))),
        (1030, audio(ms(10))),  # in time: plays until 1050
        (1062.5, audio(ms(20))),  # 12.5 ms late: plays until 1082.5
        (1082, audio(ms(20))),
        (2000, done()),
    )
    assert measure(spoken(), found).gaps_ms == pytest.approx([12.5])


def test_silence_inside_the_audio_and_between_replies_is_no_gap() -> None:
    found = log(
        (1000, created("a")),
        (1000, audio([*ms(10), *ms(500, 0), *ms(10)], "a")),
        (1600, done("a")),
        (5000, created("b")),
        (5010, audio(ms(10), "b")),
        (5100, done("b")),
    )
    assert measure(spoken(), found).gaps_ms == ()


def test_of_two_replies_the_last_that_was_audible_counts_and_the_first_had_cut_in() -> None:
    found = log(
        (400, created("a")),
        (410, audio(ms(10), "a")),
        (500, done("a", "cancelled")),
        (1300, created("b")),
        (1301, text("Yes", "b")),
        (1310, audio(ms(10), "b")),
        (1320, text(" it is.", "b")),
        (1400, done("b", ttfa_ms="309.9")),
        (1500, created("c")),
        (1600, done("c", "cancelled")),
    )
    turn = measure(spoken(1.0), found)
    assert (turn.ttfa_ms, turn.reply, turn.cut_into) == (pytest.approx(310), "Yes it is.", True)
    assert turn.metadata == {"ttfa_ms": "309.9"}
    assert [reply.status for reply in heard_replies(found.received)] == [
        "cancelled",
        "completed",
        "cancelled",
    ]
    assert not measure(spoken(0.3), found).cut_into


def test_without_a_label_or_a_sound_there_is_no_time() -> None:
    answered = log((1000, created()), (1000, audio(ms(10))), (1100, done()))
    silent = log((1000, created()), (1000, audio(ms(10, 0))), (1100, done()))
    assert measure(spoken(None), answered).ttfa_ms is None
    assert measure(spoken(), silent).ttfa_ms is None
    assert measure(spoken(), log()).reply == ""


def test_the_transcript_is_that_of_the_items_that_are_left() -> None:
    def completed(item: str, words: str) -> dict[str, str]:
        kind = "conversation.item.input_audio_transcription.completed"
        return {"type": kind, "item_id": item, "transcript": words}

    found = log(
        (1, completed("a", "What's the")),
        (2, {"type": "conversation.item.deleted", "item_id": "a"}),
        (3, completed("b", " What's the weather ")),
        (4, completed("c", "in Boston?")),
    )
    assert transcript(found.received) == "What's the weather in Boston?"


def test_errors_are_kept() -> None:
    found = log((1, {"type": "error", "error": {"code": "rate_limited"}}))
    assert measure(spoken(), found).errors == ("rate_limited",)


def test_a_log_knows_when_it_has_been_answered() -> None:
    steps = (
        ({"type": "input_audio_buffer.speech_started"}, False),
        (created("a"), False),
        (done("a"), True),
        ({"type": "input_audio_buffer.speech_started"}, False),
        ({"type": "input_audio_buffer.committed"}, False),
        (created("b"), False),
        (done("b", "cancelled"), True),
        ({"type": "input_audio_buffer.speech_started"}, False),
        ({"type": "conversation.item.deleted", "item_id": "x"}, True),
    )
    found = log()
    for event, answered in steps:
        found.take(0, event)
        assert found.answered is answered, event
    assert not found.replying
