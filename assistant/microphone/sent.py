"""What was really played, at 16 kHz, beside what was recorded: placed by the clocks of the converters."""

import numpy as np

from asr.audio import RATE
from assistant.audio import Resampler
from assistant.microphone.playing import Playing
from assistant.microphone.port import Audio
from assistant.microphone.reference import Reference


class Sent:
    """What `playing` sent, read in blocks that follow each other as those of a microphone do."""

    def __init__(self, playing: Playing) -> None:
        self._playing = playing
        self._resampler = Resampler(playing.rate)
        self._taken = 0  # samples at the device's rate
        self._reference = Reference()

    def read(self, recorded_ns: int, count: int, drift_ppm: float) -> Audio:
        """The `count` samples that sounded when those whose first was recorded at `recorded_ns` were."""
        self._take()
        played = self._playing.timeline
        if not played.known:
            return np.zeros(count, np.float32)
        sample = played.sample_at(recorded_ns) * RATE / self._playing.rate
        return self._reference.read(sample, count, drift_ppm)

    def _take(self) -> None:
        self._playing.update()
        end = self._playing.end
        if end == self._taken:
            return
        self._reference.push(self._resampler.push(self._playing.sent(self._taken, end - self._taken)))
        self._taken = end
