"""Points made by hand: only what a test is about has to be said."""

from math import inf

from assistant.endpointing.fit import NAMES
from assistant.endpointing.hear import Silence
from assistant.endpointing.points import Point
from assistant.trace.pauses import NO_PAUSE


def point(
    lasts_ms: float = inf, kind: str = NO_PAUSE, closing: float = 0.0, sound: float = 0.0, voice_end: int = 0
) -> Point:
    columns = {**dict.fromkeys(NAMES, 0.0), "closing": closing, "bias": 1.0}
    resumed = None if lasts_ms == inf else voice_end + round(lasts_ms * 16)
    return Point(Silence(voice_end, resumed, tuple(columns.values()), sound, 0.0), lasts_ms, kind)
