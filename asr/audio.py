"""What audio is here: float32 mono at one sample rate, and a span of it with its place in the stream."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

RATE = 16000
"""Hz, of all audio that comes in: what the models of speech recognition were trained on."""


@dataclass(frozen=True)
class AudioSpan:
    """Audio [n] at RATE whose first sample is number `start_sample` of the stream it is cut from."""

    audio: NDArray[np.float32]
    start_sample: int = 0

    @property
    def end_sample(self) -> int:
        """The number of the sample after the last."""
        return self.start_sample + len(self.audio)
