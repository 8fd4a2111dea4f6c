"""The torch modules with the shipped weights against the shipped graphs, on the recordings in traces/."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

import pytest
import shipped
import torch
from recordings import recordings
from torch import Tensor

from asr.moonshine.config import BOS, EOS, MoonshineConfig
from asr.moonshine.decoder import Decoder
from asr.moonshine.encoder import Encoder
from asr.moonshine.load_torch import load
from asr.moonshine.ort_weights import read_decoder, read_encoder
from asr.moonshine.vocabulary import read_vocabulary, text_of

pytestmark = pytest.mark.models

FLOATS = 1e-4  # of the largest value: other orders of summation; measured at most 4.2e-5, of logits 9e-7
ROUNDED = 0.06  # root mean square of what the rounding of activations costs; measured 0.042 to 0.051
NEAR_TIE = 0.5  # logits; measured 0.17 on the one recording that is read otherwise


def difference(ours: Tensor, theirs: Tensor) -> float:
    """The largest, as a share of the largest value."""
    return float((ours - theirs).abs().max() / theirs.abs().max())


@dataclass(frozen=True)
class Shipped:
    """Torch modules with the shipped weights, and the graphs they come from."""

    encoder: Encoder
    decoder: Decoder
    encoder_path: Path
    decoder_path: Path
    vocabulary: list[bytes]


@pytest.fixture(scope="module")
def tiny(model_path: Callable[[str], Path]) -> Shipped:
    encoder_path, decoder_path, vocabulary = (
        model_path(f"moonshine-tiny-en-{part}") for part in ("encoder", "decoder", "tokenizer")
    )
    encoder, decoder = Encoder(MoonshineConfig()), Decoder(MoonshineConfig())
    load(encoder, read_encoder(encoder_path))
    load(decoder, read_decoder(decoder_path))
    return Shipped(encoder, decoder, encoder_path, decoder_path, read_vocabulary(vocabulary))


@torch.no_grad()
def test_the_shipped_graphs_with_float_products_compute_the_same(tiny: Shipped) -> None:
    """The architecture and every weight, without the roundings of the activations."""
    encoder, decoder = shipped.open_floats(tiny.encoder_path), shipped.open_floats(tiny.decoder_path)
    for recording in recordings().values():
        hidden = tiny.encoder(torch.tensor(recording.audio)[None])
        expected = shipped.encode(encoder, recording.audio)
        assert difference(hidden, torch.tensor(expected)) < FLOATS
        tokens = [BOS, *read(tiny.decoder, hidden)]
        logits = tiny.decoder.logits(torch.tensor([tokens]), torch.tensor(expected))[0]
        assert difference(logits, torch.tensor(shipped.logits(decoder, expected, tokens))) < FLOATS / 10


@torch.no_grad()
def test_the_shipped_graphs_read_the_same_words(tiny: Shipped) -> None:
    """As they are: word for word, but for near ties of the shipped decoder itself."""
    encoder, decoder = shipped.open_model(tiny.encoder_path), shipped.open_model(tiny.decoder_path)
    ties = []
    for name, recording in recordings().items():
        expected = shipped.encode(encoder, recording.audio)
        hidden = tiny.encoder(torch.tensor(recording.audio)[None])
        spread = (hidden - torch.tensor(expected)).square().mean() / hidden.square().mean()
        assert spread.sqrt() < ROUNDED
        ours, theirs = read(tiny.decoder, hidden), shipped.read(decoder, expected)
        if text_of(ours, tiny.vocabulary) != text_of(theirs, tiny.vocabulary):
            same = len(list(takewhile(lambda pair: pair[0] == pair[1], zip(ours, theirs, strict=False))))
            logits = shipped.logits(decoder, expected, [BOS, *theirs[:same]])[-1]
            assert logits.max() - logits[[*ours, EOS][same]] < NEAR_TIE
            ties.append(name)
    assert len(ties) <= 1, ties


def read(decoder: Decoder, hidden: Tensor) -> list[int]:
    """The tokens, chosen greedily one by one."""
    state, tokens = decoder.begin(hidden), [BOS]
    while len(tokens) < 60 and (best := int(decoder(torch.tensor([tokens[-1:]]), state).argmax())) != EOS:
        tokens.append(best)
    return tokens[1:]
