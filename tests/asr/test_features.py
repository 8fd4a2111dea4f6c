"""Log-mel features against transformers' own extractor."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from transformers import WhisperFeatureExtractor

from asr.features import log_mel, mel_filters

SAMPLES = 8 * 16000


def tone_with_offset() -> NDArray[np.float32]:
    return (0.3 * np.sin(np.arange(SAMPLES) * 0.05) + 0.2).astype(np.float32)


def noise_after_silence() -> NDArray[np.float32]:
    audio = np.random.default_rng(1).normal(scale=0.1, size=SAMPLES).astype(np.float32)
    audio[: SAMPLES // 3] = 0
    return audio


def click() -> NDArray[np.float32]:
    audio = np.zeros(SAMPLES, np.float32)
    audio[64321] = 1
    return audio


@pytest.fixture(scope="module")
def extractor() -> WhisperFeatureExtractor:
    return WhisperFeatureExtractor(chunk_length=8)


@pytest.mark.parametrize("make", [tone_with_offset, noise_after_silence, click])
def test_features_equal_those_of_transformers(
    make: Callable[[], NDArray[np.float32]], extractor: WhisperFeatureExtractor
) -> None:
    audio = make()
    reference = extractor(audio, sampling_rate=16000, do_normalize=True, return_tensors="np")
    features = log_mel(audio)
    assert features.dtype == np.float32
    np.testing.assert_allclose(features, reference["input_features"][0], atol=2e-4)  # of a range of about 2


def test_silence_gives_the_floor() -> None:
    audio = np.zeros(SAMPLES, np.float32)
    # log10(1e-10) = -10 everywhere, so (-10 + 4) / 4
    np.testing.assert_allclose(log_mel(audio), np.full((80, 800), -1.5), atol=1e-6)


def test_loudness_and_offset_do_not_matter() -> None:
    audio = noise_after_silence()
    np.testing.assert_allclose(log_mel(audio), log_mel(audio * 0.25 + 0.5), atol=1e-3)


def test_filters_equal_those_of_transformers(extractor: WhisperFeatureExtractor) -> None:
    np.testing.assert_allclose(mel_filters(), extractor.mel_filters.T, atol=1e-7)
