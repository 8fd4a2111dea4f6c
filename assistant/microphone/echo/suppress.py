"""What the voice detector hears: AEC3 behind the linear filter, and at times beside it."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from asr.audio import RATE
from assistant.microphone.echo.aec import DELAY, FRAME, Canceller
from assistant.microphone.echo.blocks import Blocks

Array = NDArray[np.float32]

_LEARNING = 3 * RATE  # samples of sound
_ONSET = RATE * 6 // 5  # samples from the beginning of a reply
_PAUSE = RATE // 2  # samples of silence, after which sound is another reply
_RESIDUE = 10 ** (-12 / 10)
"""Power of what the linear filter leaves against the echo it takes out: a user is louder, the sound of a
clipping loudspeaker is not. In ten rooms with other clips than the report's, 8 to 14 dB did equally well: at
most one of 200 replies interrupted itself, without this 11, and as many barge-ins were heard in time."""
_KEEP = 0.9  # of the powers from frame to frame: 0.1 s of memory


class Suppressor:
    """AEC3 on what the linear filter leaves.

    AEC3 takes what changes for a voice: a filter that still learns the room, the first second of a reply,
    and what a clipping loudspeaker adds. A second AEC3 therefore works on the microphone itself, and of each
    10 ms in those times, and while the linear filter leaves little, the quieter is taken. Always taken, it
    would hide half of the barge-ins.
    """

    def __init__(self, make: Callable[[], Canceller]) -> None:
        self._behind, self._beside = make(), make()
        self._frames = Blocks(3, FRAME)
        self._skip = DELAY
        self._echo = self._left = 0.0  # powers
        self._share = 0.0  # of the one beside, at the end of the last frame
        self._learned = 0  # samples of sound
        self._reply, self._silence = 0, _PAUSE  # samples since either began

    def push(self, microphone: Array, listen: Array, reference: Array) -> Array:
        """The next samples [n] of all three; returns what they complete, sample for sample."""
        frames = self._frames.push(microphone, listen, reference)
        cleaned = np.concatenate([np.zeros(0, np.float32), *(self._frame(*frame) for frame in frames)])
        cut = min(self._skip, len(cleaned))
        self._skip -= cut
        return cleaned[cut:]

    def _frame(self, microphone: Array, listen: Array, reference: Array) -> Array:
        cleaned = self._behind.process(listen.copy(), reference.copy())
        other = self._beside.process(microphone.copy(), reference.copy())
        unsure = self._count(bool(reference.any())) or self._is_residue(microphone, listen)
        share = 1.0 if unsure and other @ other < cleaned @ cleaned else 0.0
        if not share and not self._share:
            return cleaned
        ramp = np.linspace(self._share, share, FRAME, dtype=np.float32)
        self._share = share
        mixed: Array = cleaned + ramp * (other - cleaned)
        return mixed

    def _is_residue(self, microphone: Array, listen: Array) -> bool:
        """Whether a frame has little but what is left of the echo."""
        echo = microphone - listen
        self._echo = _KEEP * self._echo + (1 - _KEEP) * float(echo @ echo)
        self._left = _KEEP * self._left + (1 - _KEEP) * float(listen @ listen)
        return self._left < _RESIDUE * self._echo

    def _count(self, sounds: bool) -> bool:
        """Count a frame, with or without sound; returns whether AEC3 may take the echo for a voice in it."""
        if sounds and self._silence >= _PAUSE:
            self._reply = 0
        self._silence = 0 if sounds else self._silence + FRAME
        self._reply += FRAME
        self._learned += FRAME * sounds
        return self._silence < _PAUSE and (self._learned < _LEARNING or self._reply < _ONSET)
