"""One segment of long-form audio while it grows: encoder and decoder state, and the words so far."""

import copy
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from asr.align import spelling_end, words_of
from asr.audio import RATE
from asr.decode import Row, token_limit
from asr.recognizer import Recognizer
from asr.words import Hypothesis, Word

Array = NDArray[np.float32]

_SHORTEST = RATE // 10  # samples: words of less are only hallucinated


class Segment:
    """Takes audio, and decodes all of it on demand; committed words are not decoded again."""

    def __init__(
        self, models: Recognizer, start_s: float, draft: Sequence[int] = (), forced: int = 0
    ) -> None:
        """Begin `start_s` after the beginning of the utterance.

        `draft` are tokens that are likely to come, of which the first `forced` are sure.
        """
        self.start_s = start_s
        self.tokens = tuple(draft)
        self._models = models
        self._encoder, self._decoder = models.stream.begin(), models.decoder.begin()
        self._audio: list[Array] = []
        self._samples = 0
        self._final_frames = 0
        self.forced = forced  # of `tokens`, the first that stay
        self._committed: list[Word] = []
        self._base = 0  # the first token that is not of a word in _committed
        self._peaks: list[int] = []  # of the rows of the tokens before that
        self._rows: list[Row] = []  # of the tokens from _base on; those of forced tokens are kept
        self._kept = 0  # of these

    @property
    def seconds(self) -> float:
        """The length of the audio so far."""
        return self._samples / RATE

    @property
    def audio(self) -> Array:
        """The audio so far, [n] at 16 kHz."""
        self._audio = [np.concatenate([np.zeros(0, np.float32), *self._audio])]
        return self._audio[0]

    def push(self, audio: Array) -> None:
        """Encode what comes next."""
        self._audio.append(audio)
        self._samples += len(audio)
        hidden = self._models.stream.push(self._encoder, audio)
        self._models.decoder.push(self._decoder, hidden, self._final_frames)
        self._final_frames += len(hidden)

    def decode(self) -> list[Word]:
        """The words so far; times count from the beginning of the utterance."""
        if self._samples < _SHORTEST or not self._push_provisional(None):
            return []
        known = [*self._peaks, *(row.peak for row in self._rows[: self._kept])]
        limit = token_limit(self.seconds)
        decoded = self._models.decode(self._decoder, self.tokens, limit, self.forced, known)
        decoded = decoded.without_repetition()  # until something else follows
        self.tokens = decoded.tokens
        self._rows = [*self._rows[: self._kept], *decoded.rows]
        begin_s = self._committed[-1].end_s if self._committed else self.start_s
        fresh = self.tokens[self._base :]
        words = words_of(fresh, self._models.vocabulary, self._rows, self.start_s, begin_s)
        return [*self._committed, *words]

    def rescore(self, tail: Array) -> Hypothesis:
        """Decode all words once more, `tail` behind the audio, as if nothing else followed.

        The committed ones too: they were chosen while less was known.
        """
        if self._samples < _SHORTEST or not self._push_provisional(tail):
            return Hypothesis("", (), 0)
        limit = token_limit(self.seconds)
        decoded = self._models.decode(self._decoder, self.tokens, limit)
        return self._models.hypothesis(decoded, self.start_s)

    def commit(self, words: Sequence[Word], stable: int) -> None:
        """Keep the first `stable` of `words`, which `decode` returned last, as they are."""
        if not stable:
            return
        before = sum(word.tokens for word in words[: stable - 1])
        end = before + words[stable - 1].tokens
        # The punctuation behind the last word depends on what follows.
        end = spelling_end(self.tokens, self._models.vocabulary, before, end)
        if end <= self.forced:
            return
        self._peaks += [row.peak for row in self._rows[: before - self._base]]
        self._rows, self._kept = self._rows[before - self._base :], end - before
        self._committed, self._base, self.forced = list(words[: stable - 1]), before, end

    def _push_provisional(self, tail: Array | None) -> bool:
        """Give the decoder the frames that are not final yet; whether there are any frames at all."""
        models, encoder = self._models, self._encoder
        pushed: list[Array] = []
        if tail is not None:
            encoder = copy.copy(encoder)
            pushed.append(models.stream.push(encoder, tail))
        hidden = np.concatenate([*pushed, models.stream.peek(encoder)])
        models.decoder.push(self._decoder, hidden, self._final_frames)
        return self._final_frames + len(hidden) > 0
