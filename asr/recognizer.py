"""The models of speech recognition together: streaming encoder, full encoder, decoder, vocabulary."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from asr.align import words_of
from asr.audio import RATE
from asr.biasing import biased
from asr.decode import Decoding, decode, token_limit
from asr.ending import Marks
from asr.moonshine.full_encoder import FullEncoder
from asr.moonshine.text_decoder import DecoderState, TextDecoder
from asr.moonshine.vocabulary import text_of
from asr.phrases import Phrases
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
    phrases: Phrases | None = None
    """What is likely to be said."""

    @cached_property
    def marks(self) -> Marks:
        """The vocabulary's marks."""
        return Marks(self.vocabulary)

    def biased_to(self, phrases: Sequence[str], bonus: float) -> "Recognizer":
        """The same models, with `phrases` as what is likely to be said; see `asr.biasing`."""
        found = Phrases(phrases, self.vocabulary, bonus) if phrases and bonus else None
        return replace(self, phrases=found)

    def decode(
        self,
        state: DecoderState,
        draft: Sequence[int],
        limit: int,
        forced: int = 0,
        known: Sequence[int] = (),
    ) -> Decoding:
        """As `asr.decode.decode`, with the phrases."""
        if self.phrases is None:
            return decode(self.decoder, state, draft, limit, forced, known, self.marks.watched)
        reading = decode(self.decoder, state, draft, limit, forced, known, self.phrases.watched)
        return biased(self.decoder, state, reading, self.phrases, limit, forced, known)

    def transcribe(self, audio: Array, draft: Sequence[int] = (), offset_s: float = 0.0) -> Hypothesis:
        """Transcribe all of `audio` [n] with full attention; word times are `offset_s` later than in it.

        A `draft` of the tokens is verified in one pass: the same result, sooner.
        """
        state = self.decoder.begin()
        self.decoder.push(state, self.full.encode(audio))
        decoded = self.decode(state, draft, token_limit(len(audio) / RATE))
        return self.hypothesis(decoded, offset_s)

    def hypothesis(self, decoded: Decoding, offset_s: float) -> Hypothesis:
        """The words of a reading of all its audio, which begins at `offset_s`."""
        if decoded.doubtful and not decoded.ended:  # a loop: nobody says that
            decoded = decoded.without_repetition()
        short = self.hypothesis(decoded.without_repetition(), offset_s) if decoded.doubtful else None
        words = words_of(decoded.tokens, self.vocabulary, decoded.rows, offset_s, offset_s)
        text = text_of(decoded.tokens, self.vocabulary)
        ending = self.marks.ending(decoded.tokens, decoded.rows)
        return Hypothesis(
            text, decoded.tokens, decoded.accepted, tuple(words), decoded.confidence, short, ending
        )
