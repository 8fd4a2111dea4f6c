"""Which of a device's channels is heard."""

import numpy as np

from assistant.microphone.devices.port import Audio

_ALIVE = 0.1  # of the largest swing: a socket with nothing in it is 20 dB and more below a microphone
_SOUND = 0.02  # full swing, from which a channel is no mere noise: a peak of -40 dBFS
_DECIDED_S = 0.5  # of sound


class ChannelChoice:
    """The first channel with life in it, decided in the first half second of sound.

    Not the mean of all: a voice reaches the microphones of an array at different times, and their mean loses
    its high frequencies. The first channel is what the device's own processing gives, where it has some, and
    one of the others may be what it plays.
    """

    def __init__(self, rate: int) -> None:
        self.channel = 0
        self._undecided = round(rate * _DECIDED_S)  # samples of sound
        self._swings: Audio | None = None  # [channels], the largest so far

    def push(self, block: Audio) -> Audio:
        """One channel [n] of a block [n, channels]; what is no number is zero."""
        if not np.isfinite(block.sum()):
            block = np.nan_to_num(block, nan=0.0, posinf=0.0, neginf=0.0)
        if block.shape[1] > 1 and self._undecided > 0:
            self._decide(block)
        return block[:, self.channel]

    def _decide(self, block: Audio) -> None:
        swings = np.ptp(block, axis=0)  # a constant offset is no life
        self._swings = swings if self._swings is None else np.maximum(self._swings, swings)
        largest = float(self._swings.max())
        self.channel = int(np.argmax(self._swings >= _ALIVE * largest))
        if largest > _SOUND:
            self._undecided -= len(block)
