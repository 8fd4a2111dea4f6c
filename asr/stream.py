"""Transcribing while the user speaks: partials whose cost does not grow, then the final text.

Audio is encoded once, as it comes in. A partial decodes the words that are not stable yet, with the
hypothesis before as a draft. Long-form audio is cut into segments, so that state and work stay bounded.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import zip_longest

import numpy as np
from numpy.typing import NDArray

from asr.audio import RATE, AudioSpan
from asr.boundaries import Boundary, SegmentConfig, find_boundary
from asr.phrases import COMMON
from asr.recognizer import Recognizer
from asr.segment import Segment
from asr.stabilize import Partial, Stabilizer, partial_of, same_word
from asr.words import Hypothesis, Word

_BLOCK = 2 * RATE  # samples encoded before it is asked whether a segment is long enough
_FEW_WORDS = 3
_MOMENT_S = 1.0
_NOTHING_S = 3.0  # of audio without a word, of which only the last part is kept
_LEAD = RATE // 2  # samples
_SHORT_S = 1.0  # a second pass that ends so long before the first has stopped short
_AS_LONG = 0.8  # of a reading's letters: what reads a phrase once has half of them, or fewer
_MOST_LOST = RATE  # samples of silence in place of audio that was lost


@dataclass(frozen=True)
class StreamConfig:
    """When to decode, what to add around the voice, and what is called stable."""

    partial_ms: int = 160
    """New audio between two partials."""
    stability_delay_ms: int = 400
    """A word is stable when two partials agree on it and it ended so long ago."""
    show: float = 0.6
    """The confidence from which an unstable word is shown. At 0.6 37 % of the words shown are taken back (at
    0 three quarters) and the first partial comes 0.25 s after the voice; at 0.7 23 % and 0.41 s."""
    pre_roll_ms: int = 256
    """Audio before the first voiced window: the VAD is late on soft beginnings."""
    tail_ms: int = 140
    """Silence appended for the final text: transcribed 100-200 ms after the voice ends, turns lose 1.3 points
    of WER without it. From 100 to 320 ms of it the WER of full attention moves by half a point (turns 1.8 to
    2.4 %, prompts 2.3 to 2.7 %)."""
    min_confidence: float = 0.3
    """Three words or fewer that are less sure than this are rejected, unless the second pass is sure of two:
    what near silence gives is at most 0.2, and the least sure transcript of up to three words among the 171
    evaluation recordings, on which this was chosen, is 0.4."""
    second_pass: bool = True
    """At a pause, transcribe with full attention, with the streaming hypothesis as a draft."""
    phrases: tuple[str, ...] = COMMON
    """Phrases that are likely to be said."""
    phrase_bonus: float = 2.0
    """What a reading gains by each of them, in nats; 0 ignores them."""
    checkpoint: str | None = None
    """A Moonshine checkpoint of your own in the hub's form, a folder or owner/name, in place of the shipped
    one. It has full attention only, so partials cost more the longer one speaks."""
    max_turn_s: int = 60
    """Audio that is kept: the end of the turn is judged by the sound of its last part."""
    segment: SegmentConfig = field(default_factory=SegmentConfig)

    def __post_init__(self) -> None:
        if self.partial_ms < 1 or self.max_turn_s < 1:
            raise ValueError("partial_ms >= 1 and max_turn_s >= 1 must hold")
        if min(self.pre_roll_ms, self.tail_ms, self.stability_delay_ms) < 0:
            raise ValueError("pre_roll_ms, tail_ms and stability_delay_ms cannot be negative")
        if not 0 <= self.phrase_bonus <= 10:
            raise ValueError("phrase_bonus must be 0 to 10")


class Transcriber:
    """The transcript of one utterance at a time: cheap state over models that many of them share.

    Used by one thread at a time; others may use the same models.
    """

    def __init__(
        self,
        models: Recognizer,
        config: StreamConfig | None = None,
        latest: Callable[[], Recognizer] | None = None,
    ) -> None:
        """`latest` gives the models for each utterance anew: what is likely to be said may change."""
        self._models, self._latest = models, latest
        self.config = config or StreamConfig()
        self._tail = np.zeros(self.config.tail_ms * RATE // 1000, np.float32)
        self.begin()

    def begin(self, start_sample: int = 0) -> None:
        """Start another utterance, with sample number `start_sample`: no draft, nothing stable."""
        self._models = self._latest() if self._latest else self._models
        self._next = start_sample
        self._ended: list[Word] = []  # words of the segments before this one, as they were shown
        self._rescored: list[Word] = []  # the same after the second pass over their segment
        self._segment = Segment(self._models, 0.0)
        self._stabilizer = Stabilizer(self.config.stability_delay_ms / 1000)
        self._committed: list[str] = []  # the segment's stable words as they were when they became that
        self._words = 0  # that were read of the segment last

    def partial(self, span: AudioSpan) -> Partial:
        """Transcribe on to the end of `span`; what of it was pushed before is skipped."""
        self._push(span)
        words = self._decode()
        shown = self._shown(words)
        self._end_segment(words)
        return shown

    def final(self, span: AudioSpan) -> Hypothesis:
        """As `partial`, as if the utterance ended there; it may go on all the same."""
        self._push(span)
        last = self._last_words()
        whole = [replace(word, stable=True) for word in (*self._rescored, *last.words)]
        text = " ".join(word.text for word in whole)
        return Hypothesis(text, last.tokens, last.accepted, tuple(whole), ending=last.ending)

    def _last_words(self) -> Hypothesis:
        """What is said in the segment: nothing where neither pass is sure of its words.

        Of a breath, full attention makes "You", and is sure of it.
        """
        if (last := self._read_at_once()) is not None:
            return last
        first = self._segment.rescore(self._tail)
        if not first.words:  # of silence, full attention makes words
            return first.unrepeated or first
        if self.config.second_pass:
            last = self._transcribe_whole(self._segment.audio, first.tokens)
            last = _repeats_if_both(last, first.letters)
        else:
            last = first.unrepeated or first
        sure = len(last.words) > 1 and not self._has_low_confidence(last)
        if self._has_low_confidence(first) and not sure:
            return Hypothesis("", (), 0)
        return last

    def _read_at_once(self) -> Hypothesis | None:
        """The second pass without the first, where no guard needs that: the partials have read enough words.

        None where it may have invented a repetition, or there is no second pass.
        """
        enough = self._words > _FEW_WORDS and self._segment.seconds > _MOMENT_S
        if not (enough and self.config.second_pass):
            return None
        last = self._transcribe_whole(self._segment.audio, self._segment.tokens)
        return last if last.words and last.unrepeated is None else None

    def _transcribe_whole(self, audio: NDArray[np.float32], draft: Sequence[int]) -> Hypothesis:
        """Transcribe `audio`, with which the segment begins, once more as if nothing followed."""
        start_s = self._segment.start_s
        if self.config.second_pass:
            return self._models.transcribe(np.concatenate([audio, self._tail]), draft, start_s)
        segment = Segment(self._models, start_s, draft)
        segment.push(audio)
        return segment.rescore(self._tail)

    def _push(self, span: AudioSpan) -> None:
        """Encode what is new in `span`, and end segments that have become long enough on the way."""
        lost = min(max(0, span.start_sample - self._next), _MOST_LOST)
        new = span.audio[max(0, self._next - span.start_sample) :]
        # The encoder's state would keep what is not finite for as long as the segment lasts.
        new = np.nan_to_num(new, posinf=0.0, neginf=0.0)
        blocks = list(_blocks(np.concatenate([np.zeros(lost, np.float32), new])))
        for index, block in enumerate(blocks, 1):
            self._segment.push(block)
            self._next += len(block)
            if index < len(blocks):
                self._end_segment(self._decode())
        self._next = max(self._next, span.end_sample)

    def _has_low_confidence(self, said: Hypothesis) -> bool:
        """Whether few words, or words of a moment, are so unsure that rather nothing was said: a breath."""
        if len(said.words) > _FEW_WORDS and self._segment.seconds > _MOMENT_S:
            return False
        return said.confidence < self.config.min_confidence

    def _decode(self) -> list[Word]:
        words = self._segment.decode()
        self._words = len(words)
        stable = self._stabilizer.push(words, self._segment.start_s + self._segment.seconds)
        self._segment.commit(words, stable)
        self._committed += [word.text for word in words[len(self._committed) : stable]]
        return words

    def _as_committed(self, words: Sequence[Word]) -> list[Word]:
        """`words`, with the stable ones as they were: letters may have gone on, "time" become "timetable"."""
        return [
            word if committed is None or same_word(word.text, committed) else replace(word, text=committed)
            for word, committed in zip_longest(words, self._committed[: len(words)])
        ]

    def _shown(self, words: Sequence[Word]) -> Partial:
        """The words before this segment, its stable ones, and the others up to the first unsure one."""
        stable = self._stabilizer.stable
        unsure = (i for i, word in enumerate(words) if i >= stable and word.confidence < self.config.show)
        sure = words[: next(unsure, len(words))]
        return partial_of([*self._ended, *self._as_committed(sure)], len(self._ended) + stable)

    def _end_segment(self, words: Sequence[Word]) -> None:
        """Begin another segment in a pause between two `words` of this one, if it is long enough."""
        segment, audio = self._segment, self._segment.audio
        inside = [
            replace(w, start_s=w.start_s - segment.start_s, end_s=w.end_s - segment.start_s) for w in words
        ]
        found = find_boundary(audio, inside, self.config.segment)
        if not words and segment.seconds > _NOTHING_S:  # speech is decoded better without silence before it
            found = Boundary(len(audio) - _LEAD, 0)
        if found is None:
            return
        boundary, ended = found
        tokens = sum(word.tokens for word in words[:ended])
        self._ended += [replace(word, stable=True) for word in self._as_committed(words[:ended])]
        del self._committed[:ended]
        if ended:
            again = self._transcribe_whole(audio[:boundary], segment.tokens[:tokens])
            letters = sum(sum(map(str.isalnum, word.text)) for word in words[:ended])
            second = _repeats_if_both(again, letters).words
            self._rescored += words[:ended] if _stops_short(second, words[:ended]) else second
        start_s, forced = segment.start_s + boundary / RATE, max(0, segment.forced - tokens)
        self._words = 0
        self._segment = Segment(self._models, start_s, segment.tokens[tokens:], forced)
        self._stabilizer.rebase(ended)
        for block in _blocks(audio[boundary:]):
            self._segment.push(block)


def _repeats_if_both(second: Hypothesis, letters: int) -> Hypothesis:
    """`second` with the repetition at its end if the first pass, with so many letters, has it as well."""
    if second.unrepeated is None or letters >= _AS_LONG * second.letters:
        return second
    return second.unrepeated


def _stops_short(second: Sequence[Word], words: Sequence[Word]) -> bool:
    return not second or second[-1].end_s < words[-1].end_s - _SHORT_S


def _blocks(audio: NDArray[np.float32]) -> Iterator[NDArray[np.float32]]:
    for at in range(0, len(audio), _BLOCK):
        yield audio[at : at + _BLOCK]
