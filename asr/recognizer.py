"""The models that read speech, together: streaming encoder, full encoder, decoder, vocabulary."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from asr.align import words_of
from asr.moonshine.config import RATE
from asr.moonshine.text_decoder import DecoderState, Step
from asr.moonshine.vocabulary import text_of
from asr.reading import read, token_limit
from asr.words import Hypothesis

Array = NDArray[np.float32]


class AudioStream(Protocol):
    """Audio to hidden states while it comes in; see `asr.moonshine.audio_stream`."""

    def begin(self) -> Any: ...  # noqa: ANN401, D102  # a state of its own, copied by copy.copy
    def push(self, state: Any, audio: Array) -> Array: ...  # noqa: ANN401, D102
    def peek(self, state: Any) -> Array: ...  # noqa: ANN401, D102


class WholeEncoder(Protocol):
    """Audio to hidden states at once; see `asr.moonshine.full_encoder`."""

    def encode(self, audio: Array) -> Array: ...  # noqa: D102


class Decoder(Protocol):
    """Hidden states to tokens; see `asr.moonshine.text_decoder`."""

    def begin(self) -> DecoderState: ...  # noqa: D102
    def listen(self, state: DecoderState, hidden: Array, at: int | None = None) -> None: ...  # noqa: D102
    def read(self, state: DecoderState, tokens: Sequence[int], rows_from: int = 0) -> Step: ...  # noqa: D102
    def truncate(self, state: DecoderState, positions: int) -> None: ...  # noqa: D102


@dataclass(frozen=True)
class Recognizer:
    """The models of one checkpoint; one thread at a time."""

    stream: AudioStream
    full: WholeEncoder
    decoder: Decoder
    vocabulary: Sequence[bytes]

    def transcribe(self, audio: Array, draft: Sequence[int] = (), offset_s: float = 0.0) -> Hypothesis:
        """Read the whole of `audio` [n] with full attention; its words are `offset_s` later than in it.

        A `draft` of the tokens is verified in one pass: the same result, sooner.
        """
        state = self.decoder.begin()
        self.decoder.listen(state, self.full.encode(audio))
        reading = read(self.decoder, state, draft, token_limit(len(audio) / RATE))
        words = words_of(reading.tokens, self.vocabulary, reading.rows, offset_s, offset_s)
        text = text_of(reading.tokens, self.vocabulary)
        return Hypothesis(text, reading.tokens, reading.accepted, tuple(words))
