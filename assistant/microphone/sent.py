"""What was really played, at 16 kHz, beside what was recorded: placed by the clocks of the converters."""

import numpy as np

from asr.audio import RATE
from assistant.audio import Resampler
from assistant.microphone.devices.playing import Playing
from assistant.microphone.devices.port import Audio
from assistant.microphone.devices.recording import Recording
from assistant.microphone.echo.reference import Reference


class Sent:
    """What `playing` sent, read in blocks that follow each other as those of `recording` do."""

    def __init__(self, playing: Playing, recording: Recording) -> None:
        self._playing, self._recording = playing, recording
        self._resampler = Resampler(playing.rate)
        self._taken = 0  # samples at the device's rate
        self._reference = Reference()
        self._slipped_ns = 0.0  # steps of the two lines that the reference has been moved by

    def read(self, recorded_ns: int, count: int, drift_ppm: float) -> Audio:
        """The `count` samples that sounded when those whose first was recorded at `recorded_ns` were."""
        self._take()
        played, recorded = self._playing.timeline, self._recording.timeline
        if not played.known:
            return np.zeros(count, np.float32)
        slipped_ns = recorded.moved_ns - played.moved_ns
        self._reference.move((slipped_ns - self._slipped_ns) * RATE / 1e9)
        self._slipped_ns = slipped_ns
        sample = played.sample_at(recorded_ns) * RATE / self._playing.rate
        return self._reference.read(sample, count, drift_ppm)

    def _take(self) -> None:
        self._playing.update()
        end = self._playing.end
        if end == self._taken:
            return
        self._reference.push(self._resampler.push(self._playing.sent(self._taken, end - self._taken)))
        self._taken = end
