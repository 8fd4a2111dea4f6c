"""What a server is sent while the loudspeaker sounds, sample by sample."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from asr.audio import RATE
from asr.vad import WINDOW
from assistant.client.gate import Gate

MS = RATE // 1000
FRAME = 20 * MS
PROOF_MS = 128
BEFORE_MS = 500
LATEST_MS = PROOF_MS + 2 * 32  # the window that is the proof is over, and the frame that it ends in


def voiced(window: NDArray[np.float32]) -> float:
    assert window.shape == (WINDOW,)
    return float(window.mean() > 0.5)


def through(
    sounds: list[bool], voice: list[bool], closes: frozenset[int] = frozenset()
) -> tuple[NDArray[np.float32], list[int], list[int]]:
    """What is sent of samples that count from 1, frame by frame; where it interrupts, and what was late."""
    gate = Gate(voiced, PROOF_MS, 0.5)
    sent, interrupts, late = [], [], []
    for number, (sound, said) in enumerate(zip(sounds, voice, strict=True)):
        if number in closes:
            gate.close()
        listen = np.arange(number * FRAME + 1, (number + 1) * FRAME + 1, dtype=np.float32)
        passed = gate.push(listen, np.full(FRAME, said, np.float32), sounds=sound)
        sent.append(passed.audio)
        late.append(passed.late)
        if passed.interrupts:
            interrupts.append((number + 1) * FRAME // MS)
        assert sum(map(len, sent)) + passed.late == (number + 1) * FRAME
    return np.concatenate(sent), interrupts, late


def test_in_silence_all_is_sent_at_once() -> None:
    sent, interrupts, late = through([False] * 50, [False] * 20 + [True] * 30)
    assert (sent == np.arange(1, 50 * FRAME + 1)).all()
    assert interrupts == [] and set(late) == {0}


def test_while_it_sounds_and_nobody_speaks_silence_is_sent() -> None:
    sent, interrupts, late = through([True] * 200, [False] * 200)
    assert not sent.any() and interrupts == []
    assert max(late) <= (BEFORE_MS + PROOF_MS + 64) * MS


@pytest.mark.parametrize("begin", [10, 60, 61, 67, 150])
def test_a_voice_is_sent_from_half_a_second_before_it_began_once_it_has_lasted(begin: int) -> None:
    voice = [number >= begin for number in range(begin + 40)]
    sent, (interrupted_ms,), late = through([True] * len(voice), voice)
    began_ms = begin * 20
    assert began_ms + PROOF_MS - 16 <= interrupted_ms <= began_ms + LATEST_MS  # half a window is enough
    first_ms = (np.flatnonzero(sent)[0]) / MS
    # Windows of 32 ms: the first that is voiced begins up to half of one before the voice, or behind it.
    assert first_ms == pytest.approx(max(0, began_ms - BEFORE_MS), abs=16)
    assert (sent[int(first_ms * MS) :] == np.arange(int(first_ms * MS) + 1, len(sent) + 1)).all()
    assert late[-1] == 0


def test_less_than_the_proof_is_no_voice() -> None:
    voice = [60 <= number < 65 for number in range(200)]
    sent, interrupts, _ = through([True] * 200, voice)
    assert interrupts == [] and not sent.any()


def test_who_begins_as_the_sound_ends_loses_nothing_of_it() -> None:
    sounds = [number < 100 for number in range(140)]
    voice = [number >= 97 for number in range(140)]
    sent, interrupts, _ = through(sounds, voice)
    assert interrupts == []
    first_ms = np.flatnonzero(sent)[0] / MS
    assert first_ms == pytest.approx(97 * 20 - BEFORE_MS, abs=16)


def test_of_an_end_without_a_voice_the_last_100_ms_are_sent() -> None:
    sounds = [number < 100 for number in range(140)]
    sent, _, _ = through(sounds, [False] * 140)
    assert np.flatnonzero(sent)[0] / MS == 100 * 20 + 20 - 100


def test_after_an_interruption_all_is_sent_until_another_reply_begins() -> None:
    voice = [60 <= number < 80 for number in range(300)]
    sent, interrupts, _ = through([True] * 300, voice, closes=frozenset({150}))
    assert len(interrupts) == 1
    assert sent[100 * FRAME : 150 * FRAME].all() and not sent[150 * FRAME :].any()


@given(st.lists(st.tuples(st.booleans(), st.booleans()), max_size=120), st.frozensets(st.integers(0, 119)))
@settings(max_examples=60, deadline=None)
def test_every_sample_is_sent_in_its_place_or_is_silence(
    frames: list[tuple[bool, bool]], closes: frozenset[int]
) -> None:
    if not frames:
        return
    sounds, voice = map(list, zip(*frames, strict=True))
    sent, _, _ = through(sounds, voice, closes)
    own = np.arange(1, len(sent) + 1)
    assert ((sent == own) | (sent == 0)).all()
