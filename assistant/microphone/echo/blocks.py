"""Signals cut into blocks of one size, whatever sizes they come in."""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]


class Blocks:
    """Gives rows of several signals in blocks of `size` samples; the rest waits for what comes next."""

    def __init__(self, signals: int, size: int) -> None:
        self._size = size
        self._waiting = np.zeros((signals, 0), np.float32)

    def push(self, *signals: Array) -> list[Array]:
        """The blocks [signals, size] that these samples, [n] of each signal, complete."""
        waiting = np.concatenate([self._waiting, np.stack(signals)], axis=1)
        whole = waiting.shape[1] // self._size
        self._waiting = waiting[:, whole * self._size :].copy()
        return [waiting[:, at * self._size : (at + 1) * self._size] for at in range(whole)]
