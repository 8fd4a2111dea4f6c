"""The streaming encoder on ONNX Runtime: audio in as it comes, hidden states out, and a bounded state."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from asr.moonshine.config import RECEPTIVE_SAMPLES, SAMPLES_PER_FRAME, MoonshineConfig, Windows, look_ahead
from asr.moonshine.encoder_graph import delays, layers_graph
from asr.moonshine.graph_ops import MASKED, Array, WeightType, rotation, sinusoids
from asr.moonshine.stem_graph import stem_graph
from asr.onnx import OnnxGraph, open_graph

_BLOCK = 64  # frames in one run at most: masks and scores grow with the square of it
_OVERLAP = 63  # samples: a kernel of the first convolution less its stride
_ENDLESS = 2**62

State = dict[str, NDArray[Any]]


class StreamGraphs(NamedTuple):
    """The two graphs of a streaming encoder."""

    stem: OnnxGraph
    layers: OnnxGraph


@dataclass
class EncoderState:
    """What a streaming encoder remembers; `stem` and `layers` are inputs of the graphs, of constant size."""

    audio: Array  # what the convolutions have still to read, less than RECEPTIVE_SAMPLES
    stem: State
    layers: State
    frames: int = 0  # of the convolutions so far


def stream_graphs(
    state: Mapping[str, Array], windows: Windows, config: MoonshineConfig, *, weights: WeightType = "float32"
) -> StreamGraphs:
    """The graphs of a streaming encoder's weights, named as in `asr.moonshine.local`."""
    return StreamGraphs(stem_graph(state, config), layers_graph(state, windows, config, weights))


class StreamingEncoder:
    """Stateless between calls but for the states it hands out."""

    def __init__(
        self, graphs: StreamGraphs, windows: Windows, config: MoonshineConfig, *, threads: int = 1
    ) -> None:
        self._stem = open_graph(graphs.stem, threads=threads)
        self._layers = open_graph(graphs.layers, threads=threads)
        self._windows, self._config = windows, config
        shapes = {node.name: node.shape for node in self._layers.get_inputs()}
        self._position_dim = shapes["sinusoids"][1]
        kept = (output.name for output in self._layers.get_outputs() if output.name != "hidden")
        self._remembered = {name: shapes[name] for name in (name.removeprefix("next_") for name in kept)}
        self._ahead = look_ahead(windows)
        self._usual: dict[int, State] = {}  # masks in the middle of the audio, by the number of frames

    @property
    def look_ahead(self) -> int:
        """Frames that a frame waits for until it is final."""
        return self._ahead

    def begin(self) -> EncoderState:
        """The state before any audio."""
        width = self._config.width
        stem: State = {
            "features": np.zeros((1, width, 0), np.float32),
            "middle": np.zeros((1, 2 * width, 0), np.float32),
            "seen": np.zeros((3, 1)),
        }
        layers: State = {name: np.zeros(shape, np.float32) for name, shape in self._remembered.items()}
        return EncoderState(np.zeros(0, np.float32), stem, layers)

    def push(self, state: EncoderState, audio: Array) -> Array:
        """Take `audio` [n]; the frames [m, width] that are final by now and were not before."""
        state.audio = np.concatenate([state.audio, audio.astype(np.float32, copy=False)])
        final = [np.zeros((0, self._config.width), np.float32)]
        while len(frames := self._convolve(state)):
            inputs, begin = self._inputs(state, len(frames), _ENDLESS), state.frames - self._ahead
            hidden, state.layers = _run(
                self._layers, "hidden", {"frames": frames[None], **inputs}, state.layers
            )
            state.frames += len(frames)
            final.append(hidden[max(0, -begin) :])
        state.audio = state.audio.copy()  # else it would hold on to all that was pushed
        return np.concatenate(final)

    def peek(self, state: EncoderState) -> Array:
        """The frames [p, width] behind the final ones, as if the audio ended here; `state` stays as it is."""
        if not (self._ahead and state.frames):
            return np.zeros((0, self._config.width), np.float32)
        nothing = np.zeros((1, self._ahead, self._config.width), np.float32)
        inputs = self._inputs(state, self._ahead, state.frames)
        (hidden,) = self._layers.run(["hidden"], {"frames": nothing, **inputs, **state.layers})
        provisional: Array = hidden[0, max(0, self._ahead - state.frames) :]
        return provisional

    def _convolve(self, state: EncoderState) -> Array:
        """The next frames [m, width], at most _BLOCK, which the state's audio then lacks."""
        first = not state.frames
        needed = RECEPTIVE_SAMPLES if first else _OVERLAP + SAMPLES_PER_FRAME
        new = min(_BLOCK, (len(state.audio) - needed) // SAMPLES_PER_FRAME + 1)
        if new < 1:
            return np.zeros((0, self._config.width), np.float32)
        end = needed + (new - 1) * SAMPLES_PER_FRAME
        frames, state.stem = _run(self._stem, "frames", {"audio": state.audio[:end]}, state.stem)
        state.audio = state.audio[end - _OVERLAP :]
        return frames

    def _inputs(self, state: EncoderState, new: int, end: int) -> State:
        """Masks and positions for `new` frames after those of `state`; from frame `end` on there are none."""
        positions = np.arange(state.frames - self._ahead, state.frames + new)
        cos, sin = rotation(positions, self._config, self._config.rotary_dim)
        return {
            "sinusoids": sinusoids(positions[self._ahead :], self._position_dim),
            "old_sinusoids": sinusoids(positions[:new], self._position_dim),
            "cos": cos,
            "sin": sin,
            **self._masks(state.frames, new, end),
        }

    def _masks(self, first: int, new: int, end: int) -> State:
        farthest = self._ahead + max(window.left for window in self._windows)
        usual = first >= farthest and end >= first + new
        if usual and new in self._usual:
            return self._usual[new]
        masks: State = {}
        for i, (window, delay) in enumerate(zip(self._windows, delays(self._windows), strict=False)):
            span = window.left + window.right
            queries = first - delay - window.right + np.arange(new)[:, None]
            keys = first - delay - span + np.arange(span + new)
            near = (keys >= queries - window.left) & (keys <= queries + window.right)
            masks[f"mask.{i}"] = np.where(
                near & (keys >= 0) & (keys < end), np.float32(0), np.float32(MASKED)
            )[None, None]
        if usual:
            self._usual[new] = masks
        return masks


def _run(session: ort.InferenceSession, wanted: str, inputs: State, kept: State) -> tuple[Array, State]:
    """The output `wanted` [1, ...], and what the next run will want in the place of `kept`."""
    (result,), *new = session.run([wanted, *(f"next_{name}" for name in kept)], {**inputs, **kept})
    return result, dict(zip(kept, new, strict=True))
