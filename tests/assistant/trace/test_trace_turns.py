"""Which clip a reply belongs to, and how long it has sounded."""

from pathlib import Path

import numpy as np

from assistant.audio import Clip
from assistant.session.events import AudioDelta, Failed, ReplyDone
from assistant.trace.turns import Turns
from tts.stream import SpeechChunk

MS = 1_000_000


def done(number: int, decided_ms: int, *, interrupted: bool = False, reopened: bool = False) -> ReplyDone:
    return ReplyDone(
        number=number,
        transcript=f"words {number}",
        reply="Yes.",
        heard="Yes.",
        voice_end_ns=(decided_ms - 300) * MS,
        decided_ns=decided_ms * MS,
        boundaries=None,
        interrupted=interrupted,
        reopened=reopened,
        underruns=0,
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
    assert turn.transcript == "words 2" and turn.cut_in


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
