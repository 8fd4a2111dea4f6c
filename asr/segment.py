"""Reading one piece of a talk while it grows: encoder and decoder state, the words so far."""

import copy
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from asr.align import spelling_end, words_of
from asr.moonshine.config import RATE
from asr.reading import Row, read, token_limit
from asr.recognizer import Recognizer
from asr.words import Hypothesis, Word

Array = NDArray[np.float32]

_SHORTEST = RATE // 10  # samples: of less, words are only made up


class Segment:
    """Hears audio, and reads all of it on demand; the words that were `fix`ed are not read again."""

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
        self._fixed: list[Word] = []
        self._base = 0  # the first token that is not of a word in _fixed
        self._peaks: list[int] = []  # of the rows of the tokens before that
        self._rows: list[Row] = []  # of the tokens from _base on; those of forced tokens are kept
        self._kept = 0  # of these

    @property
    def seconds(self) -> float:
        """Of audio heard."""
        return self._samples / RATE

    @property
    def audio(self) -> Array:
        """All that was heard, [n] at 16 kHz."""
        self._audio = [np.concatenate([np.zeros(0, np.float32), *self._audio])]
        return self._audio[0]

    def hear(self, audio: Array) -> None:
        """Encode what comes next."""
        self._audio.append(audio)
        self._samples += len(audio)
        hidden = self._models.stream.push(self._encoder, audio)
        self._models.decoder.listen(self._decoder, hidden, self._final_frames)
        self._final_frames += len(hidden)

    def read(self) -> list[Word]:
        """The words of what was heard; times count from the beginning of the utterance."""
        if self._samples < _SHORTEST or not self._listen_to_the_end(None):
            return []
        known = [*self._peaks, *(row.peak for row in self._rows[: self._kept])]
        limit = token_limit(self.seconds)
        reading = read(self._models.decoder, self._decoder, self.tokens, limit, self.forced, known)
        self.tokens = reading.tokens
        self._rows = [*self._rows[: self._kept], *reading.rows]
        begin_s = self._fixed[-1].end_s if self._fixed else self.start_s
        fresh = self.tokens[self._base :]
        return [*self._fixed, *words_of(fresh, self._models.vocabulary, self._rows, self.start_s, begin_s)]

    def read_again(self, tail: Array) -> Hypothesis:
        """Read all words once more, `tail` behind the audio, as if nothing else followed.

        Those that were fixed too: they were chosen while less was known.
        """
        if self._samples < _SHORTEST or not self._listen_to_the_end(tail):
            return Hypothesis("", (), 0)
        limit = token_limit(self.seconds)
        reading = read(self._models.decoder, self._decoder, self.tokens, limit)
        words = words_of(reading.tokens, self._models.vocabulary, reading.rows, self.start_s, self.start_s)
        text = " ".join(word.text for word in words)
        return Hypothesis(text, reading.tokens, reading.accepted, tuple(words))

    def fix(self, words: Sequence[Word], stable: int) -> None:
        """Read the first `stable` of `words`, which `read` returned last, never again."""
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
        self._fixed, self._base, self.forced = list(words[: stable - 1]), before, end

    def _listen_to_the_end(self, tail: Array | None) -> bool:
        """Let the decoder hear the frames that are not final yet; whether there are any frames at all."""
        models, encoder = self._models, self._encoder
        pieces: list[Array] = []
        if tail is not None:
            encoder = copy.copy(encoder)
            pieces.append(models.stream.push(encoder, tail))
        hidden = np.concatenate([*pieces, models.stream.peek(encoder)])
        models.decoder.listen(self._decoder, hidden, self._final_frames)
        return self._final_frames + len(hidden) > 0
