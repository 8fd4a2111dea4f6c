"""The labelled pauses of a clip, and in which of them something happened."""

from assistant.audio import Clip

UNLABELLED, NO_PAUSE = "unlabelled", "no pause"
_LATE_MS = 200
"""A decision so long behind the end of a pause is still made in it: that the user goes on is known only after
64 ms of voice (`resume_ms`), a window of 32 and a frame of 20 ms, and the detector may be late."""


def kinds(clip: Clip) -> tuple[str, ...]:
    """The kind of each pause, UNLABELLED where the clip names none."""
    return clip.pause_kinds or (UNLABELLED,) * len(clip.pauses)


def reached(clip: Clip, sample: float) -> tuple[str, ...]:
    """The kinds of the pauses that begin at `sample` of the clip or before."""
    return tuple(kind for (start, _), kind in zip(clip.pauses, kinds(clip), strict=True) if start <= sample)


def kind_at(clip: Clip, sample: float, rate: int) -> str:
    """The kind of the pause in which something was decided at `sample` (`rate` Hz), or NO_PAUSE."""
    before = reached(clip, sample)
    if before and sample < clip.pauses[len(before) - 1][1] + _LATE_MS * rate / 1000:
        return before[-1]
    return NO_PAUSE
