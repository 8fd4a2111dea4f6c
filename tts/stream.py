"""Phrases in, speech out: chunks of audio with the words that end in them, and natural pauses between."""

from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tts.speakable import speakable
from tts.tempo import MAX_SPEED, MIN_SPEED, at_speed
from tts.timing import word_ends
from tts.trim import Trimmer
from tts.vocoder import HOP
from tts.voice import Voice, never
from tts.voices import DEFAULT, check_name

# In 300 phrases the first sound came at most 10 frames before the end of the leading pad: frames well ahead
# of that need no decoding.
_ONSET_MARGIN = 14
MIN_VOLUME, MAX_VOLUME = 1, 100


@dataclass(frozen=True)
class SpeechChunk:
    """Audio of a phrase, and the words, with the spaces before them, that end in it: joined, the phrase."""

    audio: NDArray[np.float32]  # [n] mono, not to be written to
    sample_rate: int
    text: str


@dataclass(frozen=True)
class SpeakerConfig:
    """Voice, speed, volume, silence around phrases, and how much is kept for phrases that come again."""

    voice: str = DEFAULT
    speed: float = 1.0  # where nobody asks for another
    volume: float = 100  # percent of the voice's own amplitude: 50 is 6 dB quieter
    lead_ms: float = 10
    comma_pause_ms: float = 120
    sentence_pause_ms: float = 250
    other_pause_ms: float = 20  # after a phrase that no punctuation ends
    threshold_dbfs: float = -50  # a sample below it is silence
    cache_phrases: int = 32
    cache_seconds: float = 60

    def __post_init__(self) -> None:
        lengths = (self.lead_ms, self.comma_pause_ms, self.sentence_pause_ms, self.other_pause_ms)
        if min(*lengths, self.cache_phrases, self.cache_seconds) < 0:
            raise ValueError(f"no length and no limit may be negative: {self}")
        check_name(self.voice)
        if not MIN_SPEED <= self.speed <= MAX_SPEED:
            raise ValueError(f"speed must be {MIN_SPEED:g} to {MAX_SPEED:g}, not {self.speed:g}")
        if not MIN_VOLUME <= self.volume <= MAX_VOLUME:
            raise ValueError(f"volume must be {MIN_VOLUME} to {MAX_VOLUME} percent, not {self.volume:g}")


class Speaker:
    """Speaks phrases with a voice, on one thread; remembers the last ones whole."""

    def __init__(self, voice: Voice, config: SpeakerConfig | None = None) -> None:
        self._voice = voice
        self._config = config or SpeakerConfig()
        self._spoken: OrderedDict[tuple[str, float], list[SpeechChunk]] = OrderedDict()

    def warm_up(self) -> None:
        """Run everything once, so that the first phrase is no slower than the next."""
        for _ in self._synthesize("Hello there, how are you doing today?", 1.0, never):
            pass

    def speak(
        self, phrase: str, *, speed: float | None = None, should_stop: Callable[[], bool] = never
    ) -> Iterator[SpeechChunk]:
        """The chunks of `phrase`, cut at word ends: from just before its first sound to the pause after it.

        A phrase with nothing to say gives one chunk without audio. It takes 1 / `speed` times as long, its
        pause included; by default that is the configuration's. Ends early once `should_stop()`. Raises
        ValueError for a speed out of [0.25, 1.5].
        """
        speed = self._config.speed if speed is None else speed
        if not MIN_SPEED <= speed <= MAX_SPEED:
            raise ValueError(f"a speed is from {MIN_SPEED:g} to {MAX_SPEED:g}: {speed}")
        key = phrase, speed
        if key in self._spoken:
            self._spoken.move_to_end(key)
            for chunk in self._spoken[key]:
                if should_stop():
                    return
                yield chunk
            return
        chunks: list[SpeechChunk] = []
        for chunk in self._synthesize(phrase, speed, should_stop):
            chunks.append(chunk)
            yield chunk
        if not should_stop():
            self._remember(key, chunks)

    def _synthesize(
        self, phrase: str, speed: float, should_stop: Callable[[], bool]
    ) -> Iterator[SpeechChunk]:
        spoken = speakable(phrase)
        utterance = self._voice.prepare(spoken) if spoken else None
        if utterance is None:
            yield self._chunk(np.zeros(0, np.float32), phrase)
            return
        start = max(0, int(utterance.durations[0]) - _ONSET_MARGIN)
        ahead = HOP * (start + 1) if start else 0
        words = deque((word, round((end - ahead) / speed)) for word, end in word_ends(phrase, utterance))
        trimmer = self._trimmer(phrase, spoken, speed)
        rendered = self._voice.render(utterance, start=start, should_stop=should_stop)
        for audio in at_speed(rendered, speed):
            heard = trimmer.push(audio)
            yield from self._cut_at_words(heard, trimmer.position, words)
        if not should_stop():
            yield self._chunk(trimmer.finish(), "".join(word for word, _ in words))

    def _cut_at_words(
        self, audio: NDArray[np.float32], end: int, words: deque[tuple[str, int]]
    ) -> Iterator[SpeechChunk]:
        """`audio`, whose last sample is the stream's `end`-th, in pieces that end where words do."""
        text, done = "", 0
        while words and words[0][1] <= end:
            word, word_end = words.popleft()
            text += word
            cut = len(audio) - (end - word_end)
            if cut > done:
                yield self._chunk(audio[done:cut], text)
                text, done = "", cut
        if text or done < len(audio):
            yield self._chunk(audio[done:], text)

    def _trimmer(self, phrase: str, spoken: str, speed: float) -> Trimmer:
        config, mark = self._config, spoken.rstrip(")")[-1:]
        is_sentence = mark in ".!?…" or "\n" in phrase[len(phrase.rstrip()) :]
        other = config.comma_pause_ms if mark in ",;:—–-" else config.other_pause_ms  # noqa: RUF001
        pause_ms = config.sentence_pause_ms if is_sentence else other
        return Trimmer(
            threshold=10 ** (config.threshold_dbfs / 20),
            lead=round(config.lead_ms * self._voice.sample_rate / 1000),
            pause=round(pause_ms / speed * self._voice.sample_rate / 1000),
        )

    def _chunk(self, audio: NDArray[np.float32], text: str) -> SpeechChunk:
        if self._config.volume != MAX_VOLUME:
            audio = audio * np.float32(self._config.volume / MAX_VOLUME)
        audio.setflags(write=False)
        return SpeechChunk(audio, self._voice.sample_rate, text)

    def _remember(self, key: tuple[str, float], chunks: list[SpeechChunk]) -> None:
        """Keep a phrase that was spoken to its end, and drop the oldest ones above the limits."""
        self._spoken[key] = chunks
        limit = self._config.cache_seconds * self._voice.sample_rate
        while len(self._spoken) > self._config.cache_phrases or self._samples_kept() > limit:
            self._spoken.popitem(last=False)

    def _samples_kept(self) -> int:
        return sum(len(chunk.audio) for chunks in self._spoken.values() for chunk in chunks)
