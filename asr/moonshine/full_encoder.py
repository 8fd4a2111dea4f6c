"""The encoder with full attention on ONNX Runtime: a whole utterance in, its hidden states out."""

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
