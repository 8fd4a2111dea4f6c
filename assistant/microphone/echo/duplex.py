"""Whether the assistant can listen while it speaks: decided from what cancelling is measured to do."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

SEGMENT_S = 0.5
ENOUGH_DB = 6.0
"""Cancellation below which the assistant would interrupt itself."""
AGAIN_DB = 10.0
"""Cancellation from which it listens again: no switching to and fro."""
MOST_DELAY_MS = 400.0
QUIET_DBFS = -60.0
"""A microphone below it while the loudspeaker plays hears nothing of it: headphones."""
_RISE_DB = 3.0  # over the room's own noise, from which the loudspeaker is heard
JUDGED = 10  # segments, 5 s


@dataclass(frozen=True)
class Segment:
    """Half a second in which the loudspeaker played: levels in dBFS."""

    microphone: float
    left: float
    """After the linear filter. AEC3 behind it takes out what it does not understand, the user too, and proves
    nothing."""


@dataclass(frozen=True)
class Evidence:
    """What was measured lately."""

    segments: Sequence[Segment]
    """The last ones with sound, at most JUDGED."""
    silence_dbfs: float
    """Of the microphone while nothing plays; -inf if that was never heard."""
    unsupported: str | None = None
    """Why there is no canceller for the voice detector."""
    delay_ms: float | None = None
    """Of the echo, where it was found."""
    is_copy: bool = False
    """Whether the microphone's signal is what is played."""

    @property
    def reached(self) -> list[Segment]:
        """The segments in which the loudspeaker reached the microphone."""
        floor = max(QUIET_DBFS, self.silence_dbfs + (_RISE_DB if self.delay_ms is None else 0.0))
        return [segment for segment in self.segments if segment.microphone > floor]

    @property
    def cancelled_db(self) -> float | None:
        """Cancellation where it was judged at all, None before 5 s of sound that reaches the microphone.

        The upper quartile: a user who speaks over the sound makes the others smaller.
        """
        reached = self.reached
        if len(reached) < JUDGED:
            return None
        return float(np.percentile([segment.microphone - segment.left for segment in reached], 75))


@dataclass(frozen=True)
class Duplex:
    """The present verdict, and the sentence to say about it."""

    mode: Literal["unknown", "cancelling", "no echo", "half duplex"] = "unknown"
    reason: str = ""

    @property
    def deaf_while_speaking(self) -> bool:
        """Whether the microphone is to be ignored until 300 ms after the last sample."""
        return self.mode == "half duplex"


UNKNOWN = Duplex("unknown", "not enough has been played to know")
NO_ECHO = Duplex("no echo", "nothing of the loudspeaker reaches the microphone")
MONITOR = Duplex(
    "half duplex",
    "the microphone is a copy of what is played, as when it was unplugged and the system took the "
    "loudspeaker's monitor in its place: plug it in, or choose another with --input",
)


def judge(before: Duplex, evidence: Evidence) -> Duplex:
    """The verdict after `before`, on new evidence."""
    if evidence.is_copy:
        return MONITOR
    if len(evidence.segments) == JUDGED and not evidence.reached:
        return NO_ECHO
    if evidence.unsupported:
        return Duplex("half duplex", evidence.unsupported)
    if evidence.delay_ms is not None and evidence.delay_ms > MOST_DELAY_MS:
        return Duplex(
            "half duplex",
            f"what is played reaches the microphone {evidence.delay_ms:.0f} ms late, more than the "
            f"{MOST_DELAY_MS:.0f} ms that can be cancelled: use a wired or built-in loudspeaker",
        )
    cancelled = evidence.cancelled_db
    if cancelled is None:
        return before
    if cancelled < (AGAIN_DB if before.deaf_while_speaking else ENOUGH_DB):
        if before.deaf_while_speaking:
            return before
        return Duplex(
            "half duplex",
            f"only {max(0.0, cancelled):.0f} dB of the loudspeaker's echo can be cancelled: turn it down, "
            "move it away from the microphone, or use headphones",
        )
    return Duplex("cancelling", f"{cancelled:.0f} dB of the loudspeaker's echo are cancelled")
