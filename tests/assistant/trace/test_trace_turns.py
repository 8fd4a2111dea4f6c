"""Which clip a reply belongs to, and how long it has sounded."""

from pathlib import Path

import numpy as np

from assistant.audio import Clip
from assistant.session.events import AudioDelta, Failed, ReplyDone
from assistant.session.parts import PARTS, Boundaries
from assistant.trace.pauses import NO_PAUSE, UNLABELLED
from assistant.trace.turns import FalseStart, ReplayedTurn, Turns
from tts.stream import SpeechChunk

MS = 1_000_000


def done(
    number: int,
    decided_ms: int,
    *,
    ready_ms: int | None = None,
    sounded: bool = False,
    interrupted: bool = False,
    reopened: bool = False,
) -> ReplyDone:
    """A reply whose speech was ready at `ready_ms` and given to the sink, by default none."""
    ends = dict.fromkeys(PARTS, decided_ms * MS) | {"tts.first_chunk": (ready_ms or 0) * MS}
    return ReplyDone(
        number=number,
        transcript=f"words {number}",
        reply="Yes.",
        heard="Yes.",
        voice_end_ns=(decided_ms - 300) * MS,
        decided_ns=decided_ms * MS,
        boundaries=None if ready_ms is None else Boundaries(ends, {}),
        interrupted=interrupted,
        reopened=reopened,
        underruns=0,
        sounded=sounded,
    )


def clip(name: str) -> Clip:
    return Clip(Path(name), speech_end_sample=16000)


def test_a_reply_that_a_clip_is_said_over_belongs_to_the_clip_before() -> None:
    turns = Turns("s")
    turns.clip(clip("first"), 0, 16000)
    turns.clip(clip("over it"), 2000 * MS, 16000)
    turns.push(done(1, 1400, interrupted=True))  # over in the second clip, decided in the first
    turns.push(done(2, 3400))
    first, second = turns.all()
    assert (first.file, first.transcript, first.interrupted) == ("first", "words 1", True)
    assert (second.file, second.transcript, second.interrupted) == ("over it", "words 2", False)


def test_a_turn_that_went_on_is_part_of_the_next() -> None:
    turns = Turns("s")
    turns.clip(clip("one"), 0, 16000)
    turns.push(done(1, 700, reopened=True))
    turns.push(done(2, 1400))
    (turn,) = turns.all()
    assert turn.transcript == "words 2" and turn.false_starts == 1


def paused(*records: ReplyDone, kinds: tuple[str, ...] = ("list", "filler")) -> ReplayedTurn:
    """What came of a clip that begins at 1000 ms, pauses at 1500 and 2400 for 500, and is over at 3500."""
    said = Clip(Path("p"), None, 0, 20000, 8000, pauses=((4000, 8000), (11200, 15200)), pause_kinds=kinds)
    turns = Turns("s")
    turns.clip(said, 1000 * MS, 8000)
    for record in records:
        turns.push(record)
    (turn,) = turns.all()
    return turn


def test_a_reply_in_time_is_no_false_start_however_it_ends() -> None:
    turn = paused(done(0, 3500, ready_ms=3620, interrupted=True))
    assert (turn.false_starts, turn.heard_false_starts, turn.notes) == (0, 0, ("interrupted",))
    assert turn.pause_kinds == ("list", "filler")


def test_a_false_start_is_heard_or_not_and_lies_in_a_pause() -> None:
    turn = paused(
        done(0, 1800, reopened=True),
        done(1, 2199, ready_ms=2100, sounded=True, interrupted=True),  # 199 ms late: still in the pause
        done(2, 2300, reopened=True),
        done(3, 2700, ready_ms=2700, sounded=True, interrupted=True),
        done(4, 2800, ready_ms=2700, interrupted=True),  # stopped before its first sample sounded
        done(5, 3800, ready_ms=3650),
    )
    assert turn.early == (
        FalseStart(-1700.0, "list", heard=False),
        FalseStart(-1301.0, "list", heard=True),
        FalseStart(-1200.0, NO_PAUSE, heard=False),
        FalseStart(-800.0, "filler", heard=True),
        FalseStart(-700.0, "filler", heard=False),
    )
    assert (turn.false_starts, turn.heard_false_starts) == (5, 2)
    assert turn.notes == ("heard false start", "interrupted")
    assert turn.ready_ms == 150


def test_an_answer_to_the_first_part_is_a_false_start_that_nobody_stopped() -> None:
    turn = paused(done(0, 2800, ready_ms=2750, sounded=True), kinds=())
    assert turn.early == (FalseStart(-700.0, UNLABELLED, heard=True),)
    assert turn.ready_ms == -750


def test_without_a_label_only_what_was_taken_back_is_a_false_start() -> None:
    turns = Turns("s")
    for record in (done(0, 700, ready_ms=600, interrupted=True), done(1, 1300, reopened=True), done(2, 1900)):
        turns.push(record)
    assert [turn.early for turn in turns.all()] == [(), (FalseStart(300.0, NO_PAUSE, heard=False),)]
    assert [turn.ready_ms for turn in turns.all()] == [200, None]  # the detected end was 300 ms before


def test_replies_that_were_prepared_and_came_to_nothing() -> None:
    """Numbers are given to all that is begun: 0 to 4 in the first clip, and 5 and 6 in the second."""
    turns = Turns("s")
    turns.clip(clip("one"), 0, 16000)
    turns.clip(clip("two"), 2000 * MS, 16000)
    for record in (done(1, 400, reopened=True), done(4, 1400), done(6, 3400)):
        turns.push(record)
    assert [(turn.prepared, turn.discarded) for turn in turns.all()] == [(5, 4), (2, 1)]


def test_what_was_decided_before_any_clip_is_of_none() -> None:
    turns = Turns("s")
    turns.clip(clip("late"), 500 * MS, 16000)
    turns.push(done(1, 400))
    assert [turn.transcript for turn in turns.all()] == [""]


def test_without_clips_every_reply_is_a_turn() -> None:
    turns = Turns("s")
    for event in (done(1, 700), Failed("asr", "no"), done(2, 900, reopened=True), done(3, 1400)):
        turns.push(event)
    assert [(turn.file, turn.transcript) for turn in turns.all()] == [
        ("s turn 1", "words 1"),
        ("s turn 2", "words 3"),
    ]
    assert turns.failures == 1


def test_a_reply_sounds_from_its_first_audio_until_it_is_over() -> None:
    now_ms = 0
    turns = Turns("s", lambda: now_ms * MS)
    chunk = SpeechChunk("Yes.", np.zeros(10, np.float32), 24000)
    assert not turns.sounds_for(0)
    now_ms = 100
    turns.push(AudioDelta(1, chunk))
    now_ms = 200
    turns.push(AudioDelta(1, chunk))
    assert turns.sounds_for(100) and not turns.sounds_for(101) and not turns.sounds_for(None)
    turns.push(done(1, 50))
    assert not turns.sounds_for(0)
    turns.push(AudioDelta(2, chunk))
    assert turns.sounds_for(0) and not turns.sounds_for(1)
