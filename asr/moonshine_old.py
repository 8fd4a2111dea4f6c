"""Moonshine tiny (Jeffries et al. 2024) on ONNX Runtime: 16 kHz audio in, English text out."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from asr.onnx import ModelFileError, open_session

_LAYERS, _HEADS, _HEAD_DIM = 6, 8, 36
_SAMPLES_PER_FRAME = 384  # strides 64, 3 and 2 of the encoder's convolutions
_BOS, _EOS = 1, 2
_TOKENS_PER_SECOND = 6.5  # the authors' bound on how much can be said, against endless repetition
_SHORTEST = 1600  # samples: below 895 the encoder's convolutions have nothing to work on

Array = NDArray[np.float32]


@dataclass(frozen=True)
class Hypothesis:
    """One reading of an utterance. `accepted` counts the draft tokens that it begins with."""

    text: str
    tokens: tuple[int, ...]
    accepted: int


def read_vocabulary(path: Path) -> list[bytes]:
    """The bytes of every token in `tokenizer.bin`: a length (one byte, or two above 127), then bytes."""
    data, at = path.read_bytes(), 0
    tokens: list[bytes] = []
    while at < len(data):
        length, at = data[at], at + 1
        if length > 127 and at < len(data):
            length, at = data[at] * 128 + length - 128, at + 1
        if at + length > len(data):
            raise ModelFileError(
                f"{path}: token {len(tokens)} ends {at + length - len(data)} bytes after the file"
            )
        tokens.append(data[at : at + length])
        at += length
    return tokens


class Moonshine:
    """Encoder and decoder of one checkpoint. Stateless between calls; one thread at a time."""

    def __init__(self, encoder: Path, decoder: Path, vocabulary: Path, *, threads: int = 2) -> None:
        self._encoder = open_session(encoder, threads=threads)
        self._decoder = open_session(decoder, threads=threads)
        self._outputs = [output.name for output in self._decoder.get_outputs()]
        self._tokens = read_vocabulary(vocabulary)

    def encode(self, audio: Array) -> Array:
        """Hidden states [1, frames, 288], 41.67 frames a second, of `audio` ([n] at 16 kHz)."""
        audio = np.pad(audio, (0, max(0, _SHORTEST - len(audio))))[None]
        feeds = {"input_values": audio, "attention_mask": np.ones(audio.shape, np.int64)}
        hidden: Array = self._encoder.run(None, feeds)[0]
        return hidden

    def transcribe(self, audio: Array, draft: Sequence[int] = ()) -> Hypothesis:
        """Read `audio` greedily. A `draft` of the text is verified in one pass: same result, sooner.

        But for near ties: the graph quantizes the activations of a pass together, so a token that is
        verified among others may come out otherwise than alone (measured: logits up to 0.12 apart).
        """
        hidden = self.encode(audio)
        limit = int(len(audio) / 16000 * _TOKENS_PER_SECOND) + 4
        tokens, accepted = self._decode(hidden, tuple(draft[:limit]), limit)
        return Hypothesis(self._text(tokens), tuple(tokens), accepted)

    def _decode(self, hidden: Array, draft: tuple[int, ...], limit: int) -> tuple[list[int], int]:
        state = _State(hidden)
        best = state.run(self, [_BOS, *draft])  # [1 + draft]
        accepted = _agreement(best, draft)
        state.truncate(1 + accepted)
        tokens, following = list(draft[:accepted]), int(best[accepted])
        while following != _EOS and len(tokens) < limit:
            tokens.append(following)
            following = int(state.run(self, [following])[-1])
        return tokens, accepted

    def _text(self, tokens: Sequence[int]) -> str:
        joined = b"".join(self._tokens[token] for token in tokens)
        return joined.decode("utf-8", errors="replace").replace("\u2581", " ").strip()


class _State:
    """The decoder's key-value cache for one utterance."""

    def __init__(self, hidden: Array) -> None:
        frames = hidden.shape[1]
        self._fixed = {
            "encoder_hidden_states": hidden,
            # The graph takes every 384th element: with one mask element a frame it fails from 385 frames on.
            "encoder_attention_mask": np.ones((1, frames * _SAMPLES_PER_FRAME), np.int64),
        }
        self._first = True
        self._past: dict[str, Array] = {}
        for layer in range(_LAYERS):
            for kind in ("key", "value"):
                # [batch, heads, positions, head dim]; the first run fills the encoder's half
                self._past[f"{layer}.decoder.{kind}"] = np.zeros((1, _HEADS, 0, _HEAD_DIM), np.float32)
                self._past[f"{layer}.encoder.{kind}"] = np.zeros((1, _HEADS, frames, _HEAD_DIM), np.float32)

    def run(self, model: Moonshine, tokens: Sequence[int]) -> NDArray[np.int64]:
        """Append `tokens`; the most likely token after each of them, [tokens]."""
        past = {f"past_key_values.{name}": value for name, value in self._past.items()}
        ids = np.array([tokens], np.int64)
        branch = np.array([not self._first])
        feeds = {**self._fixed, **past, "input_ids": ids, "use_cache_branch": branch}
        results = dict(zip(model._outputs, model._decoder.run(None, feeds), strict=True))
        for name in self._past:
            if self._first or ".decoder." in name:
                self._past[name] = results[f"present.{name}"]
        self._first = False
        best: NDArray[np.int64] = results["logits"][0].argmax(axis=-1)
        return best

    def truncate(self, positions: int) -> None:
        """Keep only the first `positions` tokens of the cache."""
        for name, value in self._past.items():
            if ".decoder." in name:
                self._past[name] = np.ascontiguousarray(value[:, :, :positions])


def _agreement(best: NDArray[np.int64], draft: Sequence[int]) -> int:
    """How many tokens of `draft` the model would have chosen itself, up to where it would have ended."""
    for count, token in enumerate(draft):
        if best[count] != token or token == _EOS:
            return count
    return len(draft)
