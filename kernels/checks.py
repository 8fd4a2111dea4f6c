"""The check of a launcher's arguments that all launchers share."""

import torch
from torch import Tensor


def check_tensor(
    name: str, x: Tensor, dtype: torch.dtype, shape: tuple[int, ...], device: torch.device
) -> None:
    """Raise ValueError unless a tensor is of that type and shape, contiguous, and on that device."""
    if x.dtype != dtype or tuple(x.shape) != shape or not x.is_contiguous():
        what = f"{x.dtype} {tuple(x.shape)} with strides {x.stride()}"
        raise ValueError(f"{name} is {what}: must be contiguous {dtype} {shape}")
    if x.device != device:
        raise ValueError(f"{name} is on {x.device} and the rest on {device}: move it there")
