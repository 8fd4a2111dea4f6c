"""Silence at the two ends of a phrase: cut to a short lead and a chosen pause, as the audio streams by."""

import numpy as np
from numpy.typing import NDArray

_FADE_OUT = 240  # samples; they are below the threshold already, this only removes the last step


class Trimmer:
    """Passes on audio from `lead` samples before the first loud one to `pause` samples after the last.

    Quiet audio is held back until louder audio follows; what passes is unchanged but for a fade over the lead
    and one at the very end, so chunks still join without a click.
    """

    def __init__(self, *, threshold: float, lead: int, pause: int) -> None:
        self._threshold = threshold
        self._lead = lead
        self._pause = pause
        self._held = np.zeros(0, np.float32)
        self._started = False
        self.position = 0  # samples of the input that have been dropped or passed on

    def push(self, audio: NDArray[np.float32]) -> NDArray[np.float32]:
        """Take the next samples; return those that are certain to be heard."""
        held = np.concatenate([self._held, audio])
        loud = np.flatnonzero(np.abs(held) > self._threshold)
        if len(loud) == 0:
            keep = len(held) if self._started else min(self._lead, len(held))
            return self._release(held, begin=len(held) - keep, end=len(held) - keep)
        if self._started:
            return self._release(held, begin=0, end=int(loud[-1]) + 1)
        self._started = True
        begin = max(0, int(loud[0]) - self._lead)
        held[begin : loud[0]] *= np.linspace(0, 1, int(loud[0]) - begin + 2, dtype=np.float32)[1:-1]
        return self._release(held, begin=begin, end=int(loud[-1]) + 1)

    def finish(self) -> NDArray[np.float32]:
        """The pause after the last loud sample; empty if there was no loud sample."""
        if not self._started:
            return np.zeros(0, np.float32)
        tail = np.zeros(self._pause, np.float32)
        quiet = self._held[: self._pause]
        tail[: len(quiet)] = quiet
        faded = min(_FADE_OUT, len(quiet))
        tail[len(quiet) - faded : len(quiet)] *= np.linspace(1, 0, faded + 2, dtype=np.float32)[1:-1]
        return tail

    def _release(self, held: NDArray[np.float32], *, begin: int, end: int) -> NDArray[np.float32]:
        self._held = held[end:]
        self.position += end
        return held[begin:end]
