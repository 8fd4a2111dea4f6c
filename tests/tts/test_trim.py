import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tts.trim import Trimmer

QUIET, LOUD = 0.001, 0.5


def trim(audio: list[float], sizes: list[int], lead: int = 4, pause: int = 6):
    trimmer, at, out = Trimmer(threshold=0.01, lead=lead, pause=pause), 0, []
    for size in sizes:
        out.append(trimmer.push(np.array(audio[at : at + size], np.float32)))
        at += size
    return out, trimmer.finish(), trimmer


def test_keeps_lead_and_pause_and_what_lies_between():
    audio = [QUIET] * 20 + [LOUD] * 3 + [QUIET] * 9 + [LOUD] + [QUIET] * 30
    (out,), tail, trimmer = trim(audio, [len(audio)])
    np.testing.assert_allclose(out[4:], np.float32(audio[20:33]))
    np.testing.assert_allclose(out[:4], QUIET * np.array([0.2, 0.4, 0.6, 0.8]), rtol=1e-5)  # fades in
    assert len(tail) == 6
    assert np.all(np.diff(np.abs(tail)) < 0)  # fades out
    assert trimmer.position == 33


def test_holds_quiet_audio_back_until_louder_audio_follows():
    out, tail, _ = trim([LOUD] * 5 + [QUIET] * 10 + [LOUD] * 5, [5, 5, 5, 5])
    assert [len(piece) for piece in out] == [5, 0, 0, 15]
    assert len(tail) == 6
    assert not tail.any()


def test_pads_a_pause_that_is_shorter_than_asked():
    out, tail, _ = trim([LOUD, QUIET, QUIET], [3])
    assert [len(piece) for piece in out] == [1]
    assert len(tail) == 6
    assert not tail[2:].any()


@pytest.mark.parametrize("audio", [[], [QUIET] * 50])
def test_silence_gives_nothing(audio: list[float]):
    out, tail, _ = trim(audio, [7] * 8)
    assert sum(map(len, out)) == 0
    assert len(tail) == 0


@given(st.lists(st.sampled_from([QUIET, LOUD, -LOUD]), min_size=1), st.lists(st.integers(0, 9), max_size=20))
def test_chunking_does_not_matter(audio: list[float], sizes: list[int]):
    whole, tail, _ = trim(audio, [len(audio)])
    pieces, piece_tail, trimmer = trim(audio, [*sizes, len(audio)])
    np.testing.assert_array_equal(np.concatenate([*pieces, piece_tail]), np.concatenate([*whole, tail]))
    if any(abs(sample) == LOUD for sample in audio):
        last = max(i for i, sample in enumerate(audio) if abs(sample) == LOUD)
        assert trimmer.position == last + 1
