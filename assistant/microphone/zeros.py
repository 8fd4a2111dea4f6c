"""Whether a microphone gives anything at all."""

from typing import Literal

import numpy as np

from assistant.microphone.devices.port import Audio

_ZERO = 1e-7
"""Less than the last bit of 24: a sound server that resamples zeros gives such remains."""
_FIRST_S, _LATER_S = 1.0, 5.0
"""Of zeros, after which a microphone is dead: before its first sound, and after. Each return doubles the
second: some are gated, and give zeros whenever nobody speaks."""

Noticed = Literal["sound", "zeros", "sound again"]


class Zeros:
    """Finds a microphone's first sound, and the zeros of one that is muted, unplugged or not permitted."""

    def __init__(self, rate: int) -> None:
        self.awake = False
        self._rate, self._patience_s = rate, _FIRST_S
        self._run = 0  # samples of zeros, up to now
        self._told = False

    def push(self, audio: Audio) -> Noticed | None:
        """What the next samples [n] change."""
        if not len(audio) or np.abs(audio).max() < _ZERO:
            self._run += len(audio)
            if self._told or self._run < self._patience_s * self._rate:
                return None
            self._told = True
            return "zeros"
        first, again = not self.awake, self._told
        self.awake, self._told, self._run = True, False, 0
        if first:
            self._patience_s = _LATER_S
        elif again:
            self._patience_s *= 2
        return "sound again" if again else "sound" if first else None
