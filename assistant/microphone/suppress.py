"""What the voice detector hears: AEC3 behind the linear filter, and at first beside it."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from asr.audio import RATE
from assistant.microphone.aec import DELAY, FRAME, Canceller
from assistant.microphone.blocks import Blocks

Array = NDArray[np.float32]

_PROVING = 3 * RATE  # samples of sound


class Suppressor:
    """AEC3 on what the linear filter leaves.

    While that filter still learns the room, AEC3 takes what changes for a voice. Until 3 s of sound were
    heard, a second AEC3 therefore works on the microphone itself, and of each 10 ms the quieter is taken.
    """

    def __init__(self, make: Callable[[], Canceller]) -> None:
        self._behind = make()
        self._beside: Canceller | None = make()
        self._frames = Blocks(3, FRAME)
        self._skip = DELAY
        self._share = 0.0  # of the one beside, at the end of the last frame
        self._sound = 0

    def push(self, microphone: Array, listen: Array, reference: Array) -> Array:
        """The next samples [n] of all three; returns what they complete, sample for sample."""
        frames = self._frames.push(microphone, listen, reference)
        cleaned = np.concatenate([np.zeros(0, np.float32), *(self._frame(*frame) for frame in frames)])
        cut = min(self._skip, len(cleaned))
        self._skip -= cut
        return cleaned[cut:]

    def _frame(self, microphone: Array, listen: Array, reference: Array) -> Array:
        cleaned = self._behind.process(listen.copy(), reference.copy())
        if self._beside is None:
            return cleaned
        other = self._beside.process(microphone.copy(), reference.copy())
        share = 1.0 if other @ other < cleaned @ cleaned else 0.0
        if self._sound >= _PROVING:
            share, self._beside = 0.0, None
        ramp = np.linspace(self._share, share, FRAME, dtype=np.float32)
        self._share = share
        self._sound += FRAME * bool(reference.any())
        mixed: Array = cleaned + ramp * (other - cleaned)
        return mixed
