"""Voice activity on recorded turns, against the same graph run by hand."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray
from recordings import recordings

from asr.vad import Vad, VadState

pytestmark = pytest.mark.models


@pytest.fixture
def vad(model_path: Callable[[str], Path]) -> Vad:
    return Vad(model_path("silero-vad-v6"))


def windows(audio: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    return [audio[at : at + 512] for at in range(0, len(audio) - 511, 512)]


def by_hand(model: Path, audio: NDArray[np.float32]) -> list[float]:
    """As Silero's own wrapper does it: the last 64 samples in front of each window, the state fed back."""
    session = onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    state = np.zeros((2, 1, 128), np.float32)
    padded = np.concatenate([np.zeros(64, np.float32), audio])
    scores = []
    for index in range(len(audio) // 512):
        feeds = {"input": padded[None, index * 512 : index * 512 + 576], "state": state}
        speech, state = session.run(None, {**feeds, "sr": np.array(16000, np.int64)})
        scores.append(speech.item())
    return scores


@pytest.mark.parametrize("name", ["000", "006"])
def test_scores_equal_the_graph_run_by_hand(name: str, vad: Vad, model_path: Callable[[str], Path]) -> None:
    audio = recordings()[name].audio
    scores = [vad.probability(window) for window in windows(audio)]
    np.testing.assert_allclose(scores, by_hand(model_path("silero-vad-v6"), audio), atol=1e-6)


def test_speech_is_voiced_and_the_silence_around_it_is_not(vad: Vad) -> None:
    turn = recordings()["000"]
    scores = np.array([vad.probability(window) for window in windows(turn.audio)])
    ends = np.arange(1, len(scores) + 1) * 512
    assert (scores[ends < turn.start - 512] < 0.35).all()
    assert (scores[ends > turn.end + 8000] < 0.35).all()
    assert np.mean(scores[(ends > turn.start + 1024) & (ends < turn.end - 1024)] > 0.5) > 0.9


def test_the_stream_is_remembered_until_it_is_reset(vad: Vad) -> None:
    pieces = windows(recordings()["000"].audio)[:80]
    stream = [vad.probability(piece) for piece in pieces]
    vad.reset()
    assert [vad.probability(piece) for piece in pieces] == stream
    alone = []
    for piece in pieces:
        vad.reset()
        alone.append(vad.probability(piece))
    assert alone[0] == stream[0]
    assert np.abs(np.subtract(alone, stream)).max() > 0.2


def test_the_callers_buffer_may_be_used_again(vad: Vad) -> None:
    first, second, *_ = windows(recordings()["000"].audio[20000:])
    fresh = [vad.probability(first), vad.probability(second)]
    vad.reset()
    buffer = first.copy()
    assert vad.probability(buffer) == fresh[0]
    buffer[:] = second
    assert vad.probability(buffer) == fresh[1]


@pytest.mark.parametrize("shape", [(511,), (513,), (0,), (1, 512)])
def test_another_size_than_512_samples_is_refused(shape: tuple[int, ...], vad: Vad) -> None:
    with pytest.raises(ValueError, match="512 samples"):
        vad.probability(np.zeros(shape, np.float32))


def streams() -> list[list[NDArray[np.float32]]]:
    """Five streams of their own content and length: speech, its later part, another turn, noise, silence."""
    recorded = recordings()
    noise = np.random.default_rng(0).normal(0, 0.1, 40 * 512).astype(np.float32)
    first, second = recorded["000"].audio, recorded["006"].audio
    return [windows(a) for a in (first, first[20000:], second, noise, np.zeros(30 * 512, np.float32))]


def alone(vad: Vad, stream: list[NDArray[np.float32]]) -> list[float]:
    vad.reset()
    return [vad.probability(window) for window in stream]


def test_a_batch_gives_every_stream_what_it_gets_alone(vad: Vad) -> None:
    """At each step other streams are due, in another order; none is influenced by those beside it."""
    audio, rng = streams(), np.random.default_rng(1)
    states = [VadState() for _ in audio]
    scores: list[list[float]] = [[] for _ in audio]
    sizes = set()
    while left := [i for i, stream in enumerate(audio) if len(scores[i]) < len(stream)]:
        due = rng.permutation(left)[: rng.integers(1, len(left) + 1)]
        sizes.add(len(due))
        batch = vad.probabilities([audio[i][len(scores[i])] for i in due], [states[i] for i in due])
        for i, score in zip(due, batch, strict=True):
            scores[i].append(score)
    assert sizes == {1, 2, 3, 4, 5}
    for stream, together in zip(audio, scores, strict=True):
        np.testing.assert_allclose(together, alone(vad, stream), atol=1e-5)
    assert np.ptp([max(score) for score in scores]) > 0.5  # streams that were mixed up would show


def test_a_batch_does_not_touch_the_stream_of_single_windows(vad: Vad) -> None:
    speech, other, *_ = streams()
    expected = alone(vad, speech[:40])
    vad.reset()
    for window, beside, score in zip(speech[:40], other[:40], expected, strict=True):
        assert vad.probability(window) == score
        vad.probabilities([beside], [VadState()])


def test_no_windows_are_no_probabilities(vad: Vad) -> None:
    assert vad.probabilities([], []) == []


@pytest.mark.parametrize("count", [1, 3])
def test_every_window_needs_a_state(count: int, vad: Vad) -> None:
    with pytest.raises(ValueError, match="2 windows"):
        vad.probabilities([np.zeros(512, np.float32)] * 2, [VadState() for _ in range(count)])


def test_a_stream_cannot_be_in_a_batch_twice(vad: Vad) -> None:
    with pytest.raises(ValueError, match="different states"):
        vad.probabilities([np.zeros(512, np.float32)] * 2, [VadState()] * 2)
