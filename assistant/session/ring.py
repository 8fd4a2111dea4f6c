"""The latest audio of a session, by sample number, and when it was recorded."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from asr.audio import RATE, AudioSpan
from asr.vad import WINDOW


@dataclass(frozen=True)
class Frame:
    """Audio [n] at 16 kHz mono, and the time at which its last sample was recorded."""

    audio: NDArray[np.float32]
    end_ns: int


class AudioRing:
    """The last `seconds` of audio. Samples count from the beginning of the session."""

    def __init__(self, seconds: float) -> None:
        self._ring = np.zeros(int(seconds * RATE), np.float32)
        self.end = 0
        self._end_ns = 0
        self._next_window = 0

    def push(self, frame: Frame) -> None:
        """Append a frame, overwriting the oldest audio."""
        at = np.arange(self.end, self.end + len(frame.audio)) % len(self._ring)
        self._ring[at] = frame.audio
        self.end += len(frame.audio)
        self._end_ns = frame.end_ns

    def windows(self) -> Iterator[tuple[int, NDArray[np.float32]]]:
        """The windows for the VAD completed since the last call, each with its last sample's number."""
        while self._next_window + WINDOW <= self.end:
            self._next_window += WINDOW
            yield self._next_window, self.audio(self._next_window - WINDOW, self._next_window)

    def audio(self, start: int, end: int | None = None) -> NDArray[np.float32]:
        """A copy of samples `start` to `end` (default: the latest), as far as they are still held."""
        end = self.end if end is None else min(end, self.end)
        start = max(start, self.end - len(self._ring), 0)
        return self._ring[np.arange(start, max(start, end)) % len(self._ring)]

    def span(self, start: int) -> AudioSpan:
        """Samples `start` to the latest, as far as they are still held. May be called from any thread."""
        end = self.end
        audio = self.audio(start, end)
        return AudioSpan(audio, end - len(audio))

    def recorded_ns(self, sample: int) -> int:
        """When `sample` was recorded, reckoned from the latest frame."""
        return self._end_ns - (self.end - sample) * 1_000_000_000 // RATE
