"""The ring of a session's audio, and what the voice detector hears of it."""

import numpy as np
import pytest

from assistant.session.ring import AudioRing, Frame

MS = 1_000_000


def counting(start: int, count: int) -> np.ndarray:
    return np.arange(start, start + count, dtype=np.float32)


def test_windows_are_cut_however_the_frames_are() -> None:
    ring, found = AudioRing(1), []
    for start in range(0, 3200, 320):
        ring.push(Frame(counting(start, 320), 0))
        found += list(ring.windows())
    assert [end for end, _ in found] == [512 * n for n in range(1, 7)]
    assert np.concatenate([window for _, window in found]).tolist() == list(range(3072))


def test_the_detector_hears_its_own_audio_where_there_is_some() -> None:
    """Everything else comes from the first array."""
    ring = AudioRing(1)
    ring.push(Frame(counting(0, 300), 0, -counting(0, 300)))
    ring.push(Frame(counting(300, 300), 0))
    ring.push(Frame(counting(600, 424), 0, -counting(600, 424)))
    (first_end, first), (second_end, second) = ring.windows()
    assert (first_end, second_end) == (512, 1024)
    heard = np.concatenate([first, second])
    assert heard.tolist() == [*(-counting(0, 300)), *counting(300, 300), *(-counting(600, 424))]
    assert ring.audio(0).tolist() == list(range(1024))
    assert ring.span(500).audio.tolist() == list(range(500, 1024))


def test_both_arrays_of_a_frame_are_the_same_time() -> None:
    with pytest.raises(AssertionError):
        AudioRing(1).push(Frame(counting(0, 320), 0, counting(0, 319)))


def test_samples_have_times_and_times_samples() -> None:
    ring = AudioRing(1)
    assert ring.sample_at(5 * MS) == 0  # nobody has recorded anything
    ring.push(Frame(counting(0, 320), 100 * MS))
    ring.push(Frame(counting(320, 320), 120 * MS))
    assert ring.recorded_ns(320) == 100 * MS and ring.sample_at(100 * MS) == 320
    assert ring.sample_at(140 * MS) == 960  # still to come
