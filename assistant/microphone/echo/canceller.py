"""Echo cancellation without devices: microphone and reference in, two cleaned signals out.

The recognizer hears what the linear filter leaves, and the voice detector what AEC3 leaves of that: AEC3
takes the user's first words with the echo, and a detector does not care how quiet the rest of an echo is.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from asr.audio import RATE
from assistant.microphone.echo.aec import DELAY, FRAME, Canceller, open_aec, unsupported_reason
from assistant.microphone.echo.blocks import Blocks
from assistant.microphone.echo.delay import WINDOW, DelayFinder, Found
from assistant.microphone.echo.drift import DriftFinder
from assistant.microphone.echo.duplex import UNKNOWN, Duplex, Evidence, judge
from assistant.microphone.echo.guarded import GuardedFilter
from assistant.microphone.echo.kalman import BLOCK, KalmanConfig
from assistant.microphone.echo.levels import LevelMeter, Levels
from assistant.microphone.echo.offset import Offset
from assistant.microphone.echo.reference import EARLY
from assistant.microphone.echo.suppress import Suppressor

Array = NDArray[np.float32]

LATENCY = BLOCK + FRAME + DELAY - 2
"""Samples that are held back at the most, 34 ms: a block and a frame but for a sample, and AEC3's delay."""
_TAIL = RATE // 4  # samples after the reference in which the room still sounds


@dataclass(frozen=True)
class Cleaned:
    """The same samples [n] of the microphone twice."""

    listen: Array
    """For the recognizer."""
    detect: Array
    """For the voice detector."""


class EchoCanceller:
    """Takes the loudspeaker out of the microphone; its state is kept across replies.

    Sample k that comes out is sample k that went in. `make` opens an AEC3; without one (`unsupported` says
    why) both signals are those of the linear filter.
    """

    def __init__(
        self,
        make: Callable[[], Canceller] | None,
        unsupported: str | None = None,
        config: KalmanConfig | None = None,
    ) -> None:
        self._suppressor = Suppressor(make) if make else None
        self._unsupported = unsupported
        self._filter = GuardedFilter(config)
        self._finder, self._drift = DelayFinder(), DriftFinder()
        self._taken = 0
        self._shift = 0.0  # samples by which the drift was made up for until now
        self._meter = LevelMeter()
        self._offset = Offset()
        self._blocks = Blocks(2, BLOCK)
        self._waiting = np.zeros(0, np.float32)  # listen, of which detect is not known
        self._since_sound = _TAIL
        self.duplex: Duplex = UNKNOWN

    @property
    def levels(self) -> Levels:
        """What was measured until now."""
        return self._meter.levels

    @property
    def found(self) -> Found | None:
        """Where the reference was last found in the microphone's signal."""
        return self._finder.found

    @property
    def drift_ppm(self) -> float:
        """By how many parts in a million faster the next reference is to be read, as the echo shows."""
        return self._drift.ppm

    def push(self, microphone: Array, reference: Array) -> Cleaned:
        """Take the next samples [n] of both at 16 kHz; what is no number counts as silence.

        The reference was read with the `drift_ppm` of now. Returns what they complete.
        """
        microphone = self._offset.push(_sane(microphone))
        self._taken += len(microphone)
        self._shift += self._drift.ppm * 1e-6 * len(microphone)
        pieces = [self._block(*block) for block in self._blocks.push(microphone, _sane(reference))]
        nothing = np.zeros(0, np.float32)
        listen = np.concatenate([nothing, *(listen for listen, _ in pieces)])
        detect = np.concatenate([nothing, *(detect for _, detect in pieces)])
        return Cleaned(listen, detect)

    def _block(self, microphone: Array, reference: Array) -> tuple[Array, Array]:
        if self._finder.push(microphone, reference) and self._finder.found:
            self._follow(self._finder.found)
        listen = self._filter.push(microphone, reference)
        suppress = self._suppressor
        detect = suppress.push(microphone, listen, reference) if suppress else listen
        self._since_sound = 0 if reference.any() else self._since_sound + BLOCK
        voice = detect if suppress else detect[:0]
        if self._meter.push(microphone, listen, voice, self._since_sound < _TAIL):
            self._judge()
        waiting = np.concatenate([self._waiting, listen])
        self._waiting = waiting[len(detect) :]
        return waiting[: len(detect)], detect

    def _follow(self, found: Found) -> None:
        self._filter.follow(found.lag - EARLY)
        if found.exact is not None:
            self._drift.note(self._taken - WINDOW / 2, found.exact - self._shift)

    def _judge(self) -> None:
        found = self._finder.found
        evidence = Evidence(
            tuple(self._meter.sounding),
            self._meter.silence_dbfs,
            self._unsupported,
            None if found is None else (found.lag - EARLY) * 1000 / RATE,
            found is not None and found.is_copy and found.lag < 2 * EARLY,
        )
        self.duplex = judge(self.duplex, evidence)


def _sane(signal: Array) -> Array:
    if np.isfinite(signal.sum()) and np.abs(signal).max(initial=0) <= 1:
        return signal
    return np.nan_to_num(signal, nan=0.0, posinf=0.0, neginf=0.0).clip(-1, 1).astype(np.float32, copy=False)


def open_canceller() -> EchoCanceller:
    """The canceller of this machine, for a stream that begins: with AEC3 where that is installed."""
    reason = unsupported_reason()
    return EchoCanceller(None if reason else open_aec, reason)


def cancels() -> bool:
    """Whether the voice detector hears the user without echo: a voice over a reply needs less proof then."""
    return unsupported_reason() is None
