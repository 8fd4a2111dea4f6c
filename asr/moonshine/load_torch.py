"""Torch modules with the weights of a state dict."""

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

_FRONTEND = ("conv1", "conv2", "conv3", "groupnorm", "linear", "log_gain")


def load(module: nn.Module, state: Mapping[str, NDArray[np.float32]], *, partly: bool = False) -> None:
    """Fill `module` with `state`, named as in the hub's checkpoints.

    Raises ValueError if a weight is missing (not with `partly`), left over or of another shape.
    """
    named = {_ours(name): torch.tensor(value) for name, value in state.items()}
    try:
        missing, left = module.load_state_dict(named, strict=False)
    except RuntimeError as error:
        raise ValueError(f"weights of another model: {' '.join(str(error).split())}") from error
    if left or (missing and not partly):
        raise ValueError(f"weights of another model: missing {missing[:3]}, unknown {left[:3]}")


def _ours(name: str) -> str:
    return f"frontend.{name}" if name.split(".")[0] in _FRONTEND else name


def state_of(module: nn.Module) -> dict[str, NDArray[np.float32]]:
    """The weights of `module`, named as in the hub's checkpoints: what `load` reads."""
    state = module.state_dict()
    return {name.removeprefix("frontend."): value.float().cpu().numpy() for name, value in state.items()}
