"""The encoder with full attention on ONNX Runtime: a whole utterance in, its hidden states out."""

from dataclasses import dataclass, field

import numpy as np

from asr.moonshine.config import RECEPTIVE_SAMPLES, SAMPLES_PER_FRAME, MoonshineConfig
from asr.moonshine.graph_ops import Array, rotation
from asr.onnx import OnnxGraph, open_graph


class FullEncoder:
    """Stateless; time and memory grow with the square of the length."""

    def __init__(self, graph: OnnxGraph, config: MoonshineConfig, *, threads: int = 1) -> None:
        self._session, self._config = open_graph(graph, threads=threads), config

    def encode(self, audio: Array) -> Array:
        """Hidden states [frames, width] of `audio` [n]; silence is added to what is shorter than a frame."""
        audio = np.pad(audio, (0, max(0, RECEPTIVE_SAMPLES - len(audio))))
        frames = (len(audio) - RECEPTIVE_SAMPLES) // SAMPLES_PER_FRAME + 1
        cos, sin = rotation(np.arange(frames), self._config, self._config.rotary_dim)
        (hidden,) = self._session.run(None, {"audio": audio, "cos": cos, "sin": sin})
        states: Array = hidden[0]
        return states


@dataclass
class AudioSoFar:
    """The state of a ReencodingStream, [n] at 16 kHz."""

    audio: Array = field(default_factory=lambda: np.zeros(0, np.float32))


class ReencodingStream:
    """Streaming with an encoder that cannot: every look at the end encodes the audio so far again.

    For checkpoints of which no streaming encoder was trained. Its work grows with a segment's length.
    """

    def __init__(self, encoder: FullEncoder, width: int) -> None:
        self._encoder = encoder
        self._nothing = np.zeros((0, width), np.float32)

    def begin(self) -> AudioSoFar:
        """The state before any audio."""
        return AudioSoFar()

    def push(self, state: AudioSoFar, audio: Array) -> Array:
        """Take `audio` [n]; no frame is ever final, [0, width]."""
        state.audio = np.concatenate([state.audio, audio])
        return self._nothing

    def peek(self, state: AudioSoFar) -> Array:
        """All frames [n, width] so far."""
        long_enough = len(state.audio) >= RECEPTIVE_SAMPLES
        return self._encoder.encode(state.audio) if long_enough else self._nothing
