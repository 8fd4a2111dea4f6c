"""What was really played, at 16 kHz, beside what was recorded: placed by the clocks of the converters."""

import numpy as np

from asr.audio import RATE
from assistant.audio import Resampler
from assistant.microphone.playing import Playing
from assistant.microphone.port import Audio

_KEPT_S = 4
_LEAD_S = 0.016  # the reference is early by this, so that an echo never comes before what it is of
_SLIP = RATE * 5 // 1000  # samples: the times are off by 1 ms; what is off by more is placed anew


class Reference:
    """What `playing` sent, read in blocks that follow each other."""

    def __init__(self, playing: Playing) -> None:
        self._playing = playing
        self._resampler = Resampler(playing.rate)
        self._sent = 0  # samples at the device's rate that were taken in
        self._ring = np.zeros(RATE * _KEPT_S, np.float32)
        self._end = 0  # sample at 16 kHz behind the last
        self._next: int | None = None

    def read(self, recorded_ns: int, count: int) -> Audio:
        """The `count` samples that sounded when those whose first was recorded at `recorded_ns` were."""
        self._take()
        if not self._playing.timeline.known:
            return np.zeros(count, np.float32)
        at = self._playing.timeline.sample_at(recorded_ns + _LEAD_S * 1e9) / self._playing.rate
        start = round(at * RATE)
        if self._next is not None and abs(start - self._next) <= _SLIP:
            start = self._next
        self._next = start + count
        numbers = np.arange(start, start + count)
        known = (numbers >= max(0, self._end - len(self._ring))) & (numbers < self._end)
        return np.where(known, self._ring[numbers % len(self._ring)], np.float32(0))

    def _take(self) -> None:
        self._playing.update()
        end = self._playing.end
        if end == self._sent:
            return
        audio = self._resampler.push(self._playing.sent(self._sent, end - self._sent))
        self._sent = end
        self._ring[np.arange(self._end, self._end + len(audio)) % len(self._ring)] = audio
        self._end += len(audio)
