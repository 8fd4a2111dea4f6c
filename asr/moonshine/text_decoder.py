"""The decoder on ONNX Runtime: push frames, decode tokens, take tokens back; buffers are written in place."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from asr.moonshine.config import ALIGNMENT_HEADS, Heads, MoonshineConfig
from asr.moonshine.decoder_graph import LONGEST, cross_graph, decode_graph, padded_head
from asr.moonshine.graph_ops import MASKED, Array, WeightType
from asr.onnx import OnnxGraph, open_graph

_FRAMES = (
    64  # by which the buffer of the audio grows: the unused part is computed with too, and growing copies all
)
_TOKENS = 64  # at first; then twice as many
_NONE_WATCHED = np.zeros(0, np.int64)
_ONE_WATCHED = np.zeros(1, np.int64)  # an output of nothing cannot be bound


class DecoderGraphs(NamedTuple):
    """The two graphs of a decoder."""

    cross: OnnxGraph  # keys and values of the audio
    decode: OnnxGraph  # a pass over tokens


class Step(NamedTuple):
    """What follows each of the rows that were asked for."""

    best: NDArray[np.int64]  # [rows], the most likely token
    log_prob: Array  # [rows], of that token
    attention: Array  # [rows, frames], of the alignment heads, averaged; each row sums to 1
    watched: Array = np.zeros((0, 0), np.float32)  # [rows, watched], log-probabilities of those asked about


@dataclass
class DecoderState:
    """Keys and values of frames and tokens; `frames` and `tokens` count what of the buffers is in use."""

    cross: Array  # [layers, 2, heads, frame capacity, head dim]
    mask: Array  # [frame capacity], added to the scores
    own: Array  # [layers, 2, 1, heads, token capacity, padded head dim]
    frames: int = 0
    tokens: int = 0
    binding: ort.IOBinding | None = field(default=None, repr=False)  # of these buffers; None after they grew


def decoder_graphs(
    state: Mapping[str, Array],
    config: MoonshineConfig,
    *,
    alignment: Heads = ALIGNMENT_HEADS,
    weights: WeightType = "int8",
    audio_weights: WeightType | None = None,
) -> DecoderGraphs:
    """The graphs of a decoder's weights, named as in the hub's checkpoints.

    `audio_weights` are those that make keys and values of the audio, by default as the others are.
    """
    return DecoderGraphs(
        cross_graph(state, config, audio_weights or weights), decode_graph(state, config, alignment, weights)
    )


class TextDecoder:
    """Stateless between calls but for the states it hands out; one thread at a time for each state."""

    def __init__(self, graphs: DecoderGraphs, config: MoonshineConfig, *, threads: int = 1) -> None:
        self._cross = open_graph(graphs.cross, threads=threads)
        self._decode = open_graph(graphs.decode, threads=threads)
        self._config = config

    def begin(self) -> DecoderState:
        """The state before the first frame and token."""
        c = self._config
        return DecoderState(
            cross=np.zeros((c.layers, 2, c.heads, _FRAMES, c.head_dim), np.float32),
            mask=np.full(_FRAMES, MASKED, np.float32),
            own=np.zeros((c.layers, 2, 1, c.heads, _TOKENS, padded_head(c)), np.float32),
        )

    def push(self, state: DecoderState, hidden: Array, at: int | None = None) -> None:
        """Take the encoder's frames `hidden` [n, width] as frames `at` and on, in place of what was there.

        `at` is at most the number of frames so far, which it is by default. The tokens stay as they were
        decoded, with the frames of that time.
        """
        at = state.frames if at is None else at
        if not 0 <= at <= state.frames:
            raise ValueError(f"frame {at} cannot follow {state.frames} frames")
        end = at + len(hidden)
        if end > len(state.mask):
            _grow_frames(state, end)
        if len(hidden):
            state.cross[:, :, :, at:end] = self._cross.run(None, {"hidden": hidden})[0]
        state.mask[at:end], state.mask[end:], state.frames = 0, MASKED, end

    def decode(
        self,
        state: DecoderState,
        tokens: Sequence[int],
        rows_from: int = 0,
        watched: NDArray[np.int64] = _NONE_WATCHED,
    ) -> Step:
        """Append `tokens`, at least one, in one pass; what follows those from the `rows_from`-th of them on.

        Of the tokens `watched` [n] it tells how likely each is to follow. Raises ValueError for more than
        LONGEST tokens, and for a state without frames.
        """
        new, total = len(tokens), state.tokens + len(tokens)
        if not (state.frames and 0 <= rows_from < new and total <= LONGEST):
            raise ValueError(
                f"cannot decode {new} tokens after {state.tokens} (of at most {LONGEST}), "
                f"with {state.frames} frames, and give what follows from the {rows_from}. on"
            )
        if total >= state.own.shape[4]:  # the graph writes one row behind the last
            _grow_tokens(state, total + 1)
        state.binding = binding = state.binding or self._bind(state)
        asked = watched if len(watched) else _ONE_WATCHED
        inputs = {
            "tokens": np.array([tokens], np.int64),
            "last": np.array([total], np.int32),
            "total": np.array(total + 1, np.int32),
            "rows_from": np.array([rows_from]),
            "watched": asked,
        }
        rows = new - rows_from
        best, log_prob = np.empty(rows, np.int64), np.empty(rows, np.float32)
        attention = np.empty((rows, len(state.mask)), np.float32)
        watched_log_prob = np.empty((rows, len(asked)), np.float32)
        for name, array in inputs.items():
            binding.bind_ortvalue_input(name, ort.OrtValue.ortvalue_from_numpy(array))
        outputs = {
            "best": best,
            "log_prob": log_prob,
            "watched_log_prob": watched_log_prob,
            "attention": attention,
        }
        for name, array in outputs.items():
            binding.bind_ortvalue_output(name, ort.OrtValue.ortvalue_from_numpy(array))
        self._decode.run_with_iobinding(binding)
        state.tokens = total
        return Step(best, log_prob, attention[:, : state.frames], watched_log_prob[:, : len(watched)])

    def truncate(self, state: DecoderState, positions: int) -> None:
        """Keep only the first `positions` tokens."""
        if not 0 <= positions <= state.tokens:
            raise ValueError(f"cannot keep {positions} of {state.tokens} tokens")
        state.tokens = positions

    def _bind(self, state: DecoderState) -> ort.IOBinding:
        """The state's buffers, which the graph reads and, those of the tokens, writes in place."""
        binding = self._decode.io_binding()
        binding.bind_ortvalue_input("mask", ort.OrtValue.ortvalue_from_numpy(state.mask))
        for i in range(self._config.layers):
            for part, name in enumerate(("key", "value")):
                cross = ort.OrtValue.ortvalue_from_numpy(state.cross[i, part])
                binding.bind_ortvalue_input(f"cross_{name}.{i}", cross)
                own = ort.OrtValue.ortvalue_from_numpy(state.own[i, part])
                binding.bind_ortvalue_input(f"{name}.{i}", own)
                binding.bind_ortvalue_output(f"new_{name}.{i}", own)
        return binding


def _grow_frames(state: DecoderState, frames: int) -> None:
    capacity = -(-frames // _FRAMES) * _FRAMES
    old, shape = state.cross, list(state.cross.shape)
    shape[3] = capacity
    state.cross, state.mask = np.zeros(shape, np.float32), np.full(capacity, MASKED, np.float32)
    state.cross[:, :, :, : old.shape[3]] = old
    state.mask[: state.frames] = 0
    state.binding = None


def _grow_tokens(state: DecoderState, tokens: int) -> None:
    old, shape = state.own, list(state.own.shape)
    while shape[4] < tokens:
        shape[4] *= 2
    state.own = np.zeros(shape, np.float32)
    state.own[:, :, :, :, : old.shape[4]] = old
    state.binding = None
