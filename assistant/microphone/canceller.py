"""What takes the loudspeaker's voice out of the microphone's: its form, and one that takes out nothing."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from assistant.microphone.port import Audio

SILENT_DBFS = -120.0


@dataclass(frozen=True)
class Levels:
    """Of one block, in dBFS: what came in, what of it is echo, and what is left."""

    microphone: float
    echo: float
    voice: float


@dataclass(frozen=True)
class Heard:
    """A block [n] for the recognizer, the same block for the voice detector, and how loud it was."""

    recognize: Audio
    detect: Audio
    levels: Levels


class Canceller(Protocol):
    """A stream of microphone audio at 16 kHz, block by block, with what was played when it was recorded."""

    cancels: bool
    """Whether it takes out echo: a voice over a reply needs less proof then."""

    def process(self, microphone: Audio, reference: Audio) -> Heard:
        """Take [n] of both; the next samples of the outcome, [m], without a hole: m may differ from n."""
        ...

    def reset(self) -> None:
        """Another device: what was learnt of the room, and of the delay, is void."""
        ...


class PassThrough:
    """For headphones, and devices that cancel their echo themselves."""

    cancels = False

    def process(self, microphone: Audio, reference: Audio) -> Heard:  # noqa: ARG002
        """See Canceller."""
        level = dbfs(microphone)
        return Heard(microphone, microphone, Levels(level, SILENT_DBFS, level))

    def reset(self) -> None:
        """See Canceller."""


def dbfs(audio: Audio) -> float:
    """The level of `audio`, against full scale."""
    power = float(np.mean(np.square(audio))) if len(audio) else 0.0
    return max(SILENT_DBFS, 10 * float(np.log10(power))) if power > 0 else SILENT_DBFS


def open_canceller() -> Canceller:
    """The best that is installed."""
    return PassThrough()
