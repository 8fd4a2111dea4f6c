"""A microphone's constant offset (DC), taken out."""

import numpy as np

from assistant.microphone.devices.port import Audio

_HEARD = 0.05
"""An offset that nothing notices. One of 0.3 costs the voice detector up to 8 % of its voiced windows, and is
in every level: of an echo 0 dB seem to be cancelled, and the assistant would be deaf while it speaks."""
_FOLLOW = 0.02  # of the way, with every block of 20 ms: a corner at 0.2 Hz
_SEEN = 10  # blocks, before which the mean may be a voice's


class Offset:
    """Follows the mean of a signal, and takes it out from where it was first large enough to be heard."""

    def __init__(self) -> None:
        self._mean = 0.0
        self._blocks = 0
        self._removes = False

    def push(self, audio: Audio) -> Audio:
        """The next samples [n], without the offset."""
        if not len(audio):
            return audio
        self._blocks += 1
        before, share = self._mean, max(_FOLLOW, 1 / self._blocks)
        self._mean += share * (float(audio.mean()) - before)
        self._removes = self._removes or (self._blocks >= _SEEN and abs(self._mean) > _HEARD)
        if not self._removes:
            return audio
        return audio - np.linspace(before, self._mean, len(audio), dtype=np.float32)
