"""The models of speech recognition together: streaming encoder, full encoder, decoder, vocabulary."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from asr.align import words_of
from asr.audio import RATE
from asr.decode import decode, token_limit
from asr.moonshine.full_encoder import FullEncoder
from asr.moonshine.text_decoder import TextDecoder
from asr.moonshine.vocabulary import text_of
from asr.words import Hypothesis

Array = NDArray[np.float32]


class AudioStream(Protocol):
    """Audio to hidden states while it comes in; see `asr.moonshine.audio_stream`."""

    def begin(self) -> Any: ...  # noqa: ANN401, D102  # a state of its own, copied by copy.copy
    def push(self, state: Any, audio: Array) -> Array: ...  # noqa: ANN401, D102
    def peek(self, state: Any) -> Array: ...  # noqa: ANN401, D102


@dataclass(frozen=True)
class Recognizer:
    """The models of one checkpoint, which any number of transcribers share, in any threads."""

    stream: AudioStream
    full: FullEncoder
    decoder: TextDecoder
    vocabulary: Sequence[bytes]

    def transcribe(self, audio: Array, draft: Sequence[int] = (), offset_s: float = 0.0) -> Hypothesis:
        """Transcribe all of `audio` [n] with full attention; word times are `offset_s` later than in it.

        A `draft` of the tokens is verified in one pass: the same result, sooner.
        """
        state = self.decoder.begin()
        self.decoder.push(state, self.full.encode(audio))
        decoded = decode(self.decoder, state, draft, token_limit(len(audio) / RATE))
        words = words_of(decoded.tokens, self.vocabulary, decoded.rows, offset_s, offset_s)
        text = text_of(decoded.tokens, self.vocabulary)
        return Hypothesis(text, decoded.tokens, decoded.accepted, tuple(words))
