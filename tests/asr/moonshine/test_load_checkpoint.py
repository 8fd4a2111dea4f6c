"""A checkpoint of the user's own: read as torch reads it, in chunks as at once."""

from pathlib import Path

import hub_folders
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from asr.audio import AudioSpan
from asr.load_checkpoint import open_checkpoint
from asr.moonshine.config import BOS
from asr.recognizer import Recognizer
from asr.stream import StreamConfig, Transcriber

ROUNDING = 0.35  # nats by which 8-bit weights and activations may change a choice of this small model


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    model = hub_folders.moonshine(hidden_size=64, intermediate_size=96, partial_rotary_factor=0.5)
    return hub_folders.save(model, tmp_path_factory.mktemp("checkpoint"))


@pytest.fixture(scope="module")
def own(folder: Path) -> Recognizer:
    return open_checkpoint(str(folder))


def speech(seconds: float) -> NDArray[np.float32]:
    return np.random.default_rng(3).normal(0, 0.1, int(seconds * 16000)).astype(np.float32)


def test_it_reads_what_torch_reads(own: Recognizer, folder: Path) -> None:
    """Each of its tokens is torch's best, or as good but for the rounding to 8 bits."""
    audio = speech(2.0)
    tokens = own.transcribe(audio).tokens
    encoder, decoder = hub_folders.modules_of(folder)
    with torch.no_grad():
        hidden = encoder(torch.from_numpy(audio)[None])
        logits = decoder.logits(torch.tensor([[BOS, *tokens]]), hidden)[0]
    chosen = logits[range(len(tokens)), tokens]
    assert len(tokens) > 3
    assert float((logits[: len(tokens)].max(-1).values - chosen).max()) < ROUNDING


def test_partials_lead_to_the_same_final_text(own: Recognizer) -> None:
    audio = speech(3.0)
    stream = Transcriber(own, StreamConfig(second_pass=False))
    for end in range(4000, len(audio), 4000):
        stream.partial(AudioSpan(audio[end - 4000 : end], end - 4000))
    silence = np.zeros(StreamConfig().tail_ms * 16, np.float32)
    assert stream.final(AudioSpan(audio)).tokens == own.transcribe(np.concatenate([audio, silence])).tokens
