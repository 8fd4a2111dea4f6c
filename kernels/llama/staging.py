"""Numbers on their way to a GPU and back, through memory that is page-locked once and kept.

A copy from it waits for nothing that the GPU is at. And after a fault of the GPU torch ends the process as
soon as page-locked memory is given back, before anybody can say what happened: so none is, unless all that
was launched has ended well.
"""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


class Upload:
    """Brings numbers to a tensor, which may be on a GPU."""

    def __init__(self, target: Tensor) -> None:
        self._target = target
        self._staged = torch.empty(target.shape, dtype=target.dtype, pin_memory=target.is_cuda)
        self._left = torch.cuda.Event() if target.is_cuda else None  # type: ignore[no-untyped-call]

    def staged(self) -> NDArray[Any]:
        """Where to write them, of the tensor's shape. Waits until what was there last time has left."""
        if self._left is not None:
            self._left.synchronize()
        return self._staged.numpy()

    def send(self, count: int | None = None) -> None:
        """Copy them, or the first `count`, once all that was launched before is done; returns at once."""
        self._target[:count].copy_(self._staged[:count], non_blocking=True)
        if self._left is not None:
            self._left.record()


class Download:
    """Brings float32 tensors from a GPU. Not for two threads at a time."""

    def __init__(self) -> None:
        self._locked: Tensor | None = None

    def fetch(self, x: Tensor) -> NDArray[np.float32]:
        """A copy in ordinary memory, once all that was launched before is done."""
        if not x.is_cuda:
            return x.clone().numpy()
        if self._locked is None or self._locked.numel() < x.numel():
            torch.cuda.synchronize(x.device)  # or it raises here, before any is given back
            self._locked = torch.empty(x.numel(), pin_memory=True)
        host = self._locked[: x.numel()].view(x.shape)
        host.copy_(x, non_blocking=True)
        torch.cuda.current_stream(x.device).synchronize()
        return host.numpy().copy()
