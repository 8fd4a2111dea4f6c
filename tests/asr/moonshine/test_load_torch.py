"""Weights into torch modules and back: by name, with what does not belong refused."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from asr.moonshine.config import MoonshineConfig
from asr.moonshine.encoder import Encoder
from asr.moonshine.load_torch import load, state_of

SMALL = MoonshineConfig(width=24, layers=2, heads=4, mlp=40, vocabulary=50)


@pytest.fixture
def state() -> dict[str, NDArray[np.float32]]:
    torch.manual_seed(3)
    return state_of(Encoder(SMALL))


def test_what_was_taken_out_goes_in_again(state: dict[str, NDArray[np.float32]]) -> None:
    """Half precision and arrays that may not be written to are taken too."""
    state = {name: value.astype(np.float16).astype(np.float32) for name, value in state.items()}
    for value in state.values():
        value.flags.writeable = False
    halves = {name: value.astype(np.float16) for name, value in state.items()}
    for given in (state, halves):
        encoder = Encoder(SMALL)
        load(encoder, given)
        assert all((state_of(encoder)[name] == value).all() for name, value in state.items())


def test_the_module_has_a_copy(state: dict[str, NDArray[np.float32]]) -> None:
    encoder = Encoder(SMALL)
    load(encoder, state)
    state["conv1.weight"][:] = 7
    assert not (state_of(encoder)["conv1.weight"] == 7).any()


def test_weights_of_another_model_are_refused(state: dict[str, NDArray[np.float32]]) -> None:
    missing = {name: value for name, value in state.items() if name != "layers.1.mlp.fc2.bias"}
    with pytest.raises(ValueError, match=r"missing \['layers\.1\.mlp\.fc2\.bias'\]"):
        load(Encoder(SMALL), missing)
    load(Encoder(SMALL), missing, partly=True)
    with pytest.raises(ValueError, match=r"unknown \['layers\.2\.bias'\]"):
        load(Encoder(SMALL), state | {"layers.2.bias": np.zeros(1, np.float32)}, partly=True)
    with pytest.raises(ValueError, match=r"layer_norm\.weight"):
        load(Encoder(SMALL), state | {"layer_norm.weight": np.zeros(23, np.float32)})
