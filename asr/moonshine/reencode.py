"""Streaming with an encoder that cannot: every look at the end encodes all that was heard, anew."""

from dataclasses import dataclass, field

import numpy as np

from asr.moonshine.config import RECEPTIVE_SAMPLES
from asr.moonshine.full_encoder import FullEncoder
from asr.moonshine.graph_ops import Array


@dataclass
class Heard:
    """The audio so far, [n] at 16 kHz."""

    audio: Array = field(default_factory=lambda: np.zeros(0, np.float32))


class ReencodingStream:
    """For checkpoints of which no streaming encoder was trained. Its work grows with a segment's length."""

    def __init__(self, encoder: FullEncoder, width: int) -> None:
        self._encoder = encoder
        self._nothing = np.zeros((0, width), np.float32)

    def begin(self) -> Heard:
        """The state before any audio."""
        return Heard()

    def push(self, state: Heard, audio: Array) -> Array:
        """Hear `audio` [n]; no frame is ever final, [0, width]."""
        state.audio = np.concatenate([state.audio, audio])
        return self._nothing

    def peek(self, state: Heard) -> Array:
        """All frames [n, width] of what was heard."""
        long_enough = len(state.audio) >= RECEPTIVE_SAMPLES
        return self._encoder.encode(state.audio) if long_enough else self._nothing
