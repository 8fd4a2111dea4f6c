"""What capacity is, of a machine that was measured and of one that was simulated (docs/capacity.md)."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

TIMES = 1.5
"""Of one session's 95th percentile of time to first audio."""
MOST_GAPS = 0.01
"""Share of the replies."""


@dataclass(frozen=True)
class Level:
    """So many sessions at once."""

    sessions: int
    p95_ms: float
    gaps: float
    """Share of the replies that have one."""
    dropped: int = 0
    """Frames."""


def capacity(levels: Sequence[Level], bound_ms: float | None = None) -> float | None:
    """The number of sessions at which `levels`, from one session on, pass a bound first; None if they do not.

    The bound of the 95th percentile is TIMES that of one session unless it is given. Between two levels it is
    read off the straight line; gaps and dropped frames count from the level on that has them.
    """
    assert levels and levels[0].sessions == 1, "levels begin with one session"
    bound = TIMES * levels[0].p95_ms if bound_ms is None else bound_ms
    if levels[0].p95_ms > bound:
        return 0.0
    for before, now in pairwise(levels):
        if now.p95_ms > bound:
            share = (bound - before.p95_ms) / (now.p95_ms - before.p95_ms)
            return before.sessions + share * (now.sessions - before.sessions)
        if now.gaps > MOST_GAPS or now.dropped:
            return float(now.sessions)
    return None
