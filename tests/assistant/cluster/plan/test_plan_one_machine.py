"""Sessions on one machine, where the times can be worked out by hand."""

import pytest
from made_costs import TURN, costs, turn

from assistant.cluster.plan.costs import Passes, Shared
from assistant.cluster.plan.one_machine import Held, dealt, drawn, hold


def test_one_turn_waits_for_its_steps_one_behind_the_other() -> None:
    """40 ms until it is asked, transcript 60, prompt 20, 5 passes of 10, chunk 30, 30 until it sounds."""
    held = hold([[TURN]], costs(), 4)
    assert held.waits_ms == pytest.approx([230.0], abs=0.1)
    assert held.with_gap == 0


def test_what_is_left_between_steps_is_waited_for() -> None:
    assert hold([[turn(rest_ms=15.0)]], costs(), 4).waits_ms == pytest.approx([245.0], abs=0.1)


def test_a_doubtful_transcript_is_read_before_anything_is_decided() -> None:
    assert hold([[turn(closes_ms=25.0)]], costs(), 4).waits_ms == pytest.approx([255.0], abs=0.1)


def test_silence_can_decide_later_than_the_reply_is_ready() -> None:
    held = hold([[turn(by_words=False, decide_ms=700.0)]], costs(), 4)
    assert held.waits_ms == pytest.approx([730.0], abs=0.1)


def test_a_score_is_decided_by_when_it_is_done() -> None:
    """Asked for so that it is there after 400 ms."""
    held = hold([[turn(by_words=False, decide_ms=400.0, scores=1, score_ms=90.0)]], costs(), 4)
    assert held.waits_ms == pytest.approx([430.0], abs=0.1)


def test_cores_are_busy_for_what_was_measured() -> None:
    """60 + 20 + 15 passes of 10 + 30 + 3 chunks of 10: 290 ms. 0.5 + 2 s of speech, 0.23 to the reply and
    2 of it, in which a tenth of a core listens."""
    held = hold([[TURN]], costs(listen=Shared(0.1, 0.0)), 4)
    assert held.cores_busy == pytest.approx(0.29 / 4.73 + 0.1, rel=0.01)


def test_two_that_end_at_once_share_one_core() -> None:
    """One recognition thread: the second waits for 60 ms of the first. Then everything shares one core."""
    held = hold([[TURN], [TURN]], costs(), 1)
    alone = hold([[TURN], [TURN]], costs(), 8)
    assert max(held.waits_ms) > max(alone.waits_ms) + 50
    assert min(held.waits_ms) >= 230.0 - 0.1


@pytest.mark.parametrize(("more_ms", "pass_ms"), [(1.0, 11.0), (10.0, 20.0)])
def test_sessions_share_passes(more_ms: float, pass_ms: float) -> None:
    """Both transcripts are there after 100 ms; a pass begins for the first, four serve both. The voice speaks
    for the first, 30 ms and, before it is known to sound, 10 more; then for the second."""
    both = [turn(prompt_ms=0.0)]
    held = hold([both, both], costs(passes=Passes(10.0, more_ms)), 8)
    first_ms = 100 + 10 + 4 * pass_ms + 30 + 30
    assert sorted(held.waits_ms) == pytest.approx([first_ms, first_ms + 40], abs=0.1)


def test_a_voice_slower_than_speech_has_gaps() -> None:
    held = hold([[turn(chunk_ms=900.0)]], costs(), 4)
    assert held.with_gap == 1
    assert held.gaps == 1.0


def test_a_prepared_reply_that_is_discarded_costs_its_beginning() -> None:
    """Another transcript of 60 ms, prompt of 20, five passes of 10 and a chunk of 30."""
    once, twice = (hold([[turn(finals=n, prepared=n)]], costs(), 4) for n in (1, 2))
    assert (twice.cores_busy - once.cores_busy) * 4.73 == pytest.approx(0.16, rel=0.01)


def test_partials_that_cannot_be_decoded_in_time_are_left_out() -> None:
    """Each takes all audio that there is: 20 of 200 ms want 4 s of the 2 that are spoken."""
    held = hold([[turn(partials=20, partial_ms=200.0)]], costs(), 4)
    assert (held.cores_busy * 4.73 - 0.29) == pytest.approx(2.0, abs=0.25)


def test_more_sessions_than_cores_wait_longer_and_the_same_again() -> None:
    one, again = (
        hold(drawn([TURN], 12, 20, 3), costs(listen=Shared(0.05, 0.05)), 2, stagger_s=5.0, seed=3)
        for _ in range(2)
    )
    assert one == again
    assert one.wait_ms(95) > 300


def test_lines_are_dealt_as_a_replay_deals_clips() -> None:
    turns = [turn(tokens=number) for number in range(5, 8)]
    lines = dealt(turns, 2, 3)
    assert [[each.tokens for each in line] for line in lines] == [[5, 7, 6], [6, 5, 7]]


def test_a_percentile_is_over_all_turns() -> None:
    held = Held(1, tuple(float(n) for n in range(101)), 1, 0.0, 0.0, 0.0)
    assert held.wait_ms(95) == 95.0
