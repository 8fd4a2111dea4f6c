import numpy as np
import pytest
from hibari import dsp
from numpy.typing import NDArray

from tts.vocoder import HOP, Vocoder

FRAMES = 60
Frames = tuple[list[NDArray[np.float32]], NDArray[np.float32]]


@pytest.fixture
def frames() -> Frames:
    """Five random spectra [601, F] of plausible size, and a pitch [F] that glides and falls silent twice."""
    rng = np.random.default_rng(5)
    spectra = [rng.normal(-4, 1, (601, FRAMES)).astype(np.float32) for _ in range(5)]
    pitch = (180 + 60 * np.sin(np.arange(FRAMES) / 7)).astype(np.float32)
    pitch[:6] = 0
    pitch[30:38] = 12
    return spectra, pitch


def noise(frame_count: int) -> NDArray[np.complex64]:
    return (
        np.random.default_rng(3).standard_normal((601, 2 * frame_count), dtype=np.float32).view(np.complex64)
    )


@pytest.mark.parametrize("start", [0, 1, 2, 3, 17])
@pytest.mark.parametrize("sizes", [[FRAMES], [1] * FRAMES, [5, 1, 2, 30, FRAMES], [FRAMES - 18, FRAMES]])
def test_any_runs_of_frames_join_to_the_whole_sentence(frames: Frames, start: int, sizes: list[int]):
    spectra, pitch = frames
    whole = dsp.synth(*(part.copy() for part in spectra), pitch, np.random.default_rng(3))
    vocoder, at, pieces = Vocoder(pitch, noise(FRAMES), start), start, []
    for size in sizes:
        pieces.append(vocoder.push(tuple(part[:, at : at + size] for part in spectra)))
        at = min(at + size, FRAMES)
        if at == FRAMES:
            break
    reference = whole[HOP * (start + 1) :] if start else whole
    joined = np.concatenate(pieces)
    assert joined.shape == reference.shape
    assert joined.dtype == np.float32
    assert np.abs(joined - reference).max() <= 1e-5 * np.abs(whole).max()


def test_shortest_utterance(frames: Frames):
    spectra, pitch = ([part[:, :6] for part in frames[0]], frames[1][20:26])
    whole = dsp.synth(*(part.copy() for part in spectra), pitch, np.random.default_rng(3))
    vocoder = Vocoder(pitch, noise(6))
    joined = np.concatenate([vocoder.push(tuple(part[:, i : i + 1] for part in spectra)) for i in range(6)])
    np.testing.assert_allclose(joined, whole, atol=1e-5 * np.abs(whole).max())
