"""End-of-turn scores of recorded turns, whole and cut off."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray
from recordings import recordings
from transformers import WhisperFeatureExtractor

from asr.turn_end import TurnEnd

pytestmark = pytest.mark.models

SILENCE = 3200  # 200 ms after the last word, as the assistant would have heard
WHOLE = ["000", "002", "005", "013", "014", "018"]


@pytest.fixture(scope="module")
def turn_end(model_path: Callable[[str], Path]) -> TurnEnd:
    return TurnEnd(model_path("smart-turn-v3.2"))


def spoken(name: str) -> NDArray[np.float32]:
    turn = recordings()[name]
    return turn.audio[turn.start : turn.end + SILENCE]


def test_score_equals_the_graph_run_by_hand_on_audio_padded_in_front(
    turn_end: TurnEnd, model_path: Callable[[str], Path]
) -> None:
    """The graph as it is written: every 8-bit number made a float before it is multiplied."""
    audio = spoken("005")
    padded = np.concatenate([np.zeros(128000 - len(audio), np.float32), audio])
    extract = WhisperFeatureExtractor(chunk_length=8)
    features = extract(padded, sampling_rate=16000, do_normalize=True, return_tensors="np")["input_features"]
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(
        str(model_path("smart-turn-v3.2")), options, providers=["CPUExecutionProvider"]
    )
    (reference,) = session.run(None, {"input_features": features.astype(np.float32)})
    assert turn_end.probability(audio) == pytest.approx(reference.item(), abs=0.02)
    assert turn_end.probability(padded) == turn_end.probability(audio)


def test_a_finished_turn_is_complete_and_one_cut_off_in_a_word_less_so(turn_end: TurnEnd) -> None:
    whole = [turn_end.probability(spoken(name)) for name in WHOLE]
    cut = [turn_end.probability(spoken(name)[: int((len(spoken(name)) - SILENCE) * 0.7)]) for name in WHOLE]
    assert min(whole) > 0.5
    assert (np.array(cut) < np.array(whole)).all()
    assert np.median(cut) < 0.3  # the model takes one word in two or three for the last


def test_only_the_last_eight_seconds_are_read(turn_end: TurnEnd) -> None:
    long = np.concatenate([spoken("027"), spoken("027")])
    assert len(long) > 128000
    assert turn_end.probability(long) == turn_end.probability(long[-128000:])


@pytest.mark.parametrize("samples", [0, 1, 128000, 128001])
def test_silence_of_any_length_gives_a_probability(samples: int, turn_end: TurnEnd) -> None:
    assert 0 <= turn_end.probability(np.zeros(samples, np.float32)) <= 1
