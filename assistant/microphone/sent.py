"""What was really played, at 16 kHz, beside what was recorded: placed by the clocks of the converters."""

import numpy as np

from asr.audio import RATE
from assistant.audio import Resampler
from assistant.microphone.playing import Playing
from assistant.microphone.port import Audio

EARLY = RATE * 16 // 1000
"""Samples by which it comes early, 16 ms: the stated times are off by a few, and no filter takes out an echo
that comes before its sound."""
_KEPT = 4 * RATE
_JUMP = RATE * 5 // 1000  # samples: what is off by more is placed anew


class Sent:
    """What `playing` sent, read in blocks that follow each other."""

    def __init__(self, playing: Playing) -> None:
        self._playing = playing
        self._resampler = Resampler(playing.rate)
        self._taken = 0  # samples at the device's rate
        self._ring = np.zeros(_KEPT, np.float32)
        self._end = 0  # sample at 16 kHz behind the last
        self._next: int | None = None

    def read(self, recorded_ns: int, count: int) -> Audio:
        """The `count` samples that sounded when those whose first was recorded at `recorded_ns` were."""
        self._take()
        if not self._playing.timeline.known:
            return np.zeros(count, np.float32)
        played_s = self._playing.timeline.sample_at(recorded_ns) / self._playing.rate
        start = round(played_s * RATE) + EARLY
        if self._next is not None and abs(start - self._next) <= _JUMP:
            start = self._next
        self._next = start + count
        numbers = np.arange(start, start + count)
        known = (numbers >= max(0, self._end - _KEPT)) & (numbers < self._end)
        return np.where(known, self._ring[numbers % _KEPT], np.float32(0))

    def _take(self) -> None:
        self._playing.update()
        end = self._playing.end
        if end == self._taken:
            return
        audio = self._resampler.push(self._playing.sent(self._taken, end - self._taken))
        self._taken = end
        self._ring[np.arange(self._end, self._end + len(audio)) % _KEPT] = audio
        self._end += len(audio)
