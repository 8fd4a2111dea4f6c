"""What takes the loudspeaker's voice out of the microphone's: its form, and one that takes out nothing."""

from dataclasses import dataclass
from math import inf, log10
from typing import Protocol

import numpy as np

from assistant.microphone.port import Audio


@dataclass(frozen=True)
class Levels:
    """What the level meter shows, in dBFS: what comes in, what of it is echo, and what is left."""

    microphone: float = -inf
    echo: float = -inf
    near: float = -inf


@dataclass(frozen=True)
class Cleaned:
    """The same samples [n] of the microphone twice."""

    listen: Audio
    """For the recognizer."""
    detect: Audio
    """For the voice detector."""


class EchoCanceller(Protocol):
    """One stream of the microphone, at 16 kHz, from its start on."""

    def push(self, microphone: Audio, reference: Audio) -> Cleaned:
        """Take the next samples [n] of both; what they complete, [m], without a hole: m may differ from n."""
        ...

    @property
    def levels(self) -> Levels:
        """What was measured until now."""
        ...


class PassThrough:
    """For headphones, and devices that cancel their echo themselves."""

    def __init__(self) -> None:
        self.levels = Levels()

    def push(self, microphone: Audio, reference: Audio) -> Cleaned:  # noqa: ARG002
        """See EchoCanceller."""
        power = float(np.mean(np.square(microphone, dtype=np.float64))) if len(microphone) else 0.0
        level = 10 * log10(power) if power > 0 else -inf
        self.levels = Levels(level, -inf, level)
        return Cleaned(microphone, microphone)


def open_canceller() -> EchoCanceller:
    """A canceller for a stream that begins: the best that is installed."""
    return PassThrough()


def cancels() -> bool:
    """Whether `open_canceller` takes out echo: a voice over a reply needs less proof then."""
    return False
