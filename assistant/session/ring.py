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
    detect: NDArray[np.float32] | None = None
    """What the voice detector hears in place of `audio`, [n]: an echo canceller may take more out of it."""


class AudioRing:
    """The last `seconds` of audio. Samples count from the beginning of the session."""

    def __init__(self, seconds: float) -> None:
        self._ring = np.zeros(int(seconds * RATE), np.float32)
        self.end = 0
        self._end_ns = 0
        self._window_end = 0
        self._unread = np.zeros(0, np.float32)  # for the VAD, behind the last whole window

    def push(self, frame: Frame) -> None:
        """Append a frame, overwriting the oldest audio."""
        at = np.arange(self.end, self.end + len(frame.audio)) % len(self._ring)
        self._ring[at] = frame.audio
        self.end += len(frame.audio)
        self._end_ns = frame.end_ns
        heard = frame.audio if frame.detect is None else frame.detect
        assert len(heard) == len(frame.audio), "one stream, heard in two ways"
        self._unread = np.concatenate([self._unread, heard])

    def windows(self) -> Iterator[tuple[int, NDArray[np.float32]]]:
        """The windows for the VAD completed since the last call, each with its last sample's number."""
        while len(self._unread) >= WINDOW:
            window, self._unread = self._unread[:WINDOW], self._unread[WINDOW:]
            self._window_end += WINDOW
            yield self._window_end, window

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

    def sample_at(self, time_ns: int) -> int:
        """The sample that is recorded at `time_ns`, reckoned likewise; it may be still to come."""
        return self.end + (time_ns - self._end_ns) * RATE // 1_000_000_000 if self.end else 0
