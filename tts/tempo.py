"""Speech faster or slower at its own pitch: WSOLA (Verhelst and Roelands, ICASSP 1993), as it streams by."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Audio = NDArray[np.float32]

MIN_SPEED, MAX_SPEED = 0.25, 1.5  # OpenAI's
_BLOCK = 360  # samples that are made at a time, 15 ms at 24 kHz
_SEARCH = 180  # each way: both together hold a period of the deepest voice
_RISE = (np.sin(np.pi / 2 * (np.arange(_BLOCK) + 0.5) / _BLOCK) ** 2).astype(np.float32)


def at_speed(audio: Iterator[Audio], speed: float) -> Iterator[Audio]:
    """The pieces of `audio` in 1 / `speed` of the time; at 1 they are left as they are."""
    if speed == 1:
        yield from audio
        return
    tempo = Tempo(speed)
    for piece in audio:
        yield tempo.push(piece)
    yield tempo.finish()


class Tempo:
    """Passes on what it is given in 1 / `speed` of the time, 40 ms or so of the input behind.

    A block fades from what followed the last one in the input to the place near where the input should be by
    now that is most like it.
    """

    def __init__(self, speed: float) -> None:
        self._speed = speed
        self._held = np.zeros(
            _SEARCH, np.float32
        )  # silence, so that a search may begin before the first sample
        self._begin = -_SEARCH  # of the held, in the input
        self._next = 0  # sample of the input that follows the last block
        self._blocks = 0
        self._taken = 0

    def push(self, audio: Audio) -> Audio:
        """Take the next samples; return those that they complete."""
        self._held = np.concatenate([self._held, audio])
        self._taken += len(audio)
        return self._blocks_up_to(self._begin + len(self._held))

    def finish(self) -> Audio:
        """What is left of the phrase."""
        missing = round(self._taken / self._speed) - self._blocks * _BLOCK
        # As much silence as the block needs that holds the last sample.
        silence = np.zeros(2 * (_BLOCK + _SEARCH) + round(_BLOCK * self._speed), np.float32)
        self._held = np.concatenate([self._held, silence])
        return self._blocks_up_to(self._begin + len(self._held))[: max(0, missing)]

    def _blocks_up_to(self, end: int) -> Audio:
        blocks: list[Audio] = []
        while True:
            due = round(self._blocks * _BLOCK * self._speed)
            if max(due + _SEARCH, self._next) + _BLOCK > end:
                break
            follows = self._from(self._next, _BLOCK)
            start = due - _SEARCH + _most_like(self._from(due - _SEARCH, _BLOCK + 2 * _SEARCH), follows)
            blocks.append(follows + _RISE * (self._from(start, _BLOCK) - follows))
            self._blocks, self._next = self._blocks + 1, start + _BLOCK
            self._drop(min(self._next, round(self._blocks * _BLOCK * self._speed) - _SEARCH))
        return np.concatenate([self._held[:0], *blocks])

    def _from(self, start: int, count: int) -> Audio:
        return self._held[start - self._begin : start - self._begin + count]

    def _drop(self, start: int) -> None:
        self._held = self._held[start - self._begin :]
        self._begin = start


def _most_like(among: Audio, wanted: Audio) -> int:
    """Where the samples of `among` begin that correlate best with `wanted`."""
    products = np.correlate(among, wanted, "valid")
    sums = np.cumsum(np.concatenate([[0.0], among.astype(np.float64) ** 2]))
    energy = sums[len(wanted) :] - sums[: -len(wanted)]
    return int(np.argmax(products / np.sqrt(energy + 1e-6)))
