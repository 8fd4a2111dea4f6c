"""What of the microphone a server may hear while the loudspeaker sounds: nothing, until the user speaks.

A server's voice detector hears what is sent. With what the linear filter leaves of an echo the assistant
would interrupt itself, and AEC3 behind it takes the user's first words. So the voice is looked for here, in
what AEC3 leaves, and silence is sent until there is one; then the linear filter's signal, from before it.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from asr.audio import RATE
from asr.vad import WINDOW
from assistant.microphone.echo.blocks import Array, Blocks

Score = Callable[[Array], float]
"""The probability of voice in the next window [512]; `asr.vad.Vad.probability` is one."""

_BEFORE = RATE // 2  # samples before a voice: AEC3 takes the first of it, and 0.3 s cost 2 % of the words
_ONSET = RATE // 10  # samples that are sent of a silence: what begins in them was no voice yet


@dataclass(frozen=True)
class Passed:
    """What is to be sent; sample for sample what came in, some of it late and some as silence."""

    audio: Array
    """[n]"""
    late: int
    """Samples that came in behind it."""
    interrupts: bool = False
    """The user speaks over the loudspeaker, from now on."""


class Gate:
    """Closed while the loudspeaker sounds, until a voice has lasted `barge_in_ms`."""

    def __init__(self, score: Score, barge_in_ms: int, voice_on: float) -> None:
        self._score, self._voice_on = score, voice_on
        self._proof = barge_in_ms * RATE // 1000
        self._windows = Blocks(1, WINDOW)
        self._scored = 0  # samples
        self._voice: int | None = None  # where the present run of voiced windows began
        self._end = 0  # sample behind the last that came in
        self._held = np.zeros(0, np.float32)
        self._interrupted = False

    def close(self) -> None:
        """The loudspeaker begins to sound: whoever speaks over it has to prove it again."""
        self._interrupted = False

    def push(self, listen: Array, detect: Array, *, sounds: bool) -> Passed:
        """Take the next samples [n]; `sounds` says whether the loudspeaker may be heard in them."""
        self._follow(detect)
        self._end += len(listen)
        self._held = np.concatenate([self._held, listen])
        if not sounds:
            self._interrupted = False
        if not sounds or self._interrupted:
            return Passed(self._release(), 0)
        if self._voice is not None and self._scored - self._voice >= self._proof:
            self._interrupted = True
            return Passed(self._release(), 0, interrupts=True)
        late = max(0, len(self._held) - _BEFORE - self._proof - 2 * WINDOW)
        self._held = self._held[late:]
        return Passed(np.zeros(late, np.float32), len(self._held))

    def _follow(self, detect: Array) -> None:
        for (window,) in self._windows.push(detect):
            if self._score(window) < self._voice_on:
                self._voice = None
            elif self._voice is None:
                self._voice = self._scored
            self._scored += WINDOW

    def _release(self) -> Array:
        """All that was held, silent up to a little before the voice."""
        held, self._held = self._held, self._held[:0]
        begin = self._end - _ONSET if self._voice is None else self._voice - _BEFORE
        silent = begin - (self._end - len(held))
        if silent <= 0:
            return held
        return np.concatenate([np.zeros(min(silent, len(held)), np.float32), held[silent:]])
