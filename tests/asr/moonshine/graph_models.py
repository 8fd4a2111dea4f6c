"""Small random models in torch, and their weights as the graphs' builders want them."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from asr.moonshine.config import MoonshineConfig
from asr.moonshine.decoder import Decoder
from asr.moonshine.load_torch import load
from asr.moonshine.local import LocalEncoder
from asr.moonshine.ort_weights import read_encoder

SMALL = MoonshineConfig(width=40, layers=3, heads=4, mlp=72, vocabulary=300)
"""Heads of 10 channels, of which 8 turn, and sizes that fill no block of 32 weights."""

State = dict[str, NDArray[np.float32]]


def random_model(model: nn.Module, seed: int = 0) -> State:
    """Give `model` random weights, none of them zero, and return them."""
    generator = torch.Generator().manual_seed(seed)
    for parameter in model.parameters():
        scale = 1.0 if parameter.dim() == 1 else 1.5 * parameter[0].numel() ** -0.5
        parameter.data = torch.randn(parameter.shape, generator=generator) * scale
    model.requires_grad_(False).eval()
    return {name.removeprefix("frontend."): value.numpy() for name, value in model.state_dict().items()}


def random_decoder(config: MoonshineConfig = SMALL) -> tuple[Decoder, State]:
    """A decoder and its weights."""
    model = Decoder(config)
    return model, random_model(model)


def tiny_local(model_path: Callable[[str], Path], config: MoonshineConfig) -> tuple[LocalEncoder, State]:
    """The shipped encoder's weights with local attention, and small random positions."""
    model = LocalEncoder(config)
    state = random_model(model)
    for name, value in state.items():
        value *= 0.1 if name.startswith("position") else 1
    state |= read_encoder(model_path("moonshine-tiny-en-encoder"))
    load(model, state)
    return model, state
