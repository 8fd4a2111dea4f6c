"""Playing a reply: paced to the sink, and always able to say what has been heard."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from assistant.runtime.clock import Clock
from tts.stream import SpeechChunk

_AUDIBLE = 10 ** (-50 / 20)  # full scale: what lies below -50 dBFS nobody takes for a reply


class Sink(Protocol):
    """Where audio becomes sound."""

    async def write(self, audio: NDArray[np.float32], sample_rate: int) -> int:
        """Take `audio` [n], waiting for room; the time (ns) at which its first sample sounds."""
        ...

    def stop(self) -> None:
        """Drop what has not sounded yet."""
        ...


class PacedSink:
    """A device that only keeps time, for replays and tests: it sounds what it gets at its own pace.

    Audio starts `latency_ms` after it is written, as the buffer of a sound card would have it, and
    `write` waits until no more than `ahead_ms` is still to sound. What sounded is in `recorded`.
    """

    def __init__(self, clock: Clock, *, latency_ms: float = 20.0, ahead_ms: float = 200.0) -> None:
        self._clock = clock
        self._latency_ns, self._ahead_ns = int(latency_ms * 1e6), int(ahead_ms * 1e6)
        self._free_ns = self._rate = 0
        self.recorded: list[tuple[int, NDArray[np.float32]]] = []

    async def write(self, audio: NDArray[np.float32], sample_rate: int) -> int:
        """See Sink."""
        await self._clock.sleep_until(self._free_ns - self._ahead_ns)
        start_ns = max(self._clock.now_ns() + self._latency_ns, self._free_ns)
        self._free_ns = start_ns + len(audio) * 1_000_000_000 // sample_rate
        self.recorded.append((start_ns, audio))
        self._rate = sample_rate
        return start_ns

    def stop(self) -> None:
        """See Sink: cut what has not sounded off the recording."""
        now_ns = self._clock.now_ns()
        while self.recorded and self.recorded[-1][0] >= now_ns:
            self.recorded.pop()
        if self.recorded:
            start_ns, audio = self.recorded[-1]
            self.recorded[-1] = (start_ns, audio[: (now_ns - start_ns) * self._rate // 1_000_000_000])
        self._free_ns = now_ns


@dataclass(frozen=True)
class Heard:
    """A chunk on its way to the ear: its words count as heard once its last sample has sounded."""

    text: str
    start_ns: int
    end_ns: int


class Playback:
    """What has been played of one reply."""

    def __init__(self, sink: Sink, clock: Clock) -> None:
        self._sink, self._clock = sink, clock
        self._heard: list[Heard] = []
        self.audible_ns: int | None = None
        self.underruns = 0

    async def play(self, chunk: SpeechChunk) -> None:
        """Hand `chunk` to the sink and note when it sounds."""
        if not len(chunk.audio):
            self._note(chunk.text, self.end_ns)
            return
        start_ns = await self._sink.write(chunk.audio, chunk.sample_rate)
        if self.audible_ns is not None and start_ns > self.end_ns:
            self.underruns += 1
        duration_ns = len(chunk.audio) * 1_000_000_000 // chunk.sample_rate
        self._note(chunk.text, start_ns, start_ns + duration_ns)
        if self.audible_ns is None and (loud := np.flatnonzero(np.abs(chunk.audio) >= _AUDIBLE)).size:
            self.audible_ns = start_ns + int(loud[0]) * 1_000_000_000 // chunk.sample_rate

    def _note(self, text: str, start_ns: int, end_ns: int | None = None) -> None:
        self._heard.append(Heard(text, start_ns, start_ns if end_ns is None else end_ns))

    @property
    def end_ns(self) -> int:
        """When the last sample written so far will have sounded."""
        return self._heard[-1].end_ns if self._heard else self._clock.now_ns()

    def stop(self) -> None:
        """Silence, now."""
        self._sink.stop()

    def text(self, until_ns: int) -> str:
        """The words whose sound was over by `until_ns`."""
        return "".join(heard.text for heard in self._heard if heard.end_ns <= until_ns).strip()
