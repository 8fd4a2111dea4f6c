"""Which part of a turn got worse first: those behind it may only have shifted."""

from collections.abc import Iterator, Mapping, Sequence
from statistics import median
from typing import Any

from assistant.session.parts import PARTS
from assistant.trace.told import TTFA

BEGINS = "asr.final (begins)"
"""How long after the voice all work on the reply begins: no part, since it is hidden behind the first."""
_WAIT, _WORK, _PLAYBACK = PARTS[0], PARTS[1:-1], PARTS[-1]

Turn = Mapping[str, Any]


def grown_ms(before: Turn, now: Turn) -> Iterator[tuple[str, float]]:
    """By how much each part's own time grew, whether it was waited for or not; causes before their effects.

    The end of the turn comes behind the work: it rests on scores, which come of that.
    """
    if before["parts"] and now["parts"]:
        was, is_now = _own(before), _own(now)
        for part in (BEGINS, *_WORK, _WAIT, _PLAYBACK):
            yield part, is_now[part] - was[part]


def _own(turn: Turn) -> dict[str, float]:
    """How long each part took itself, in ms."""
    parts = turn["parts"]
    own = {part: sum(parts[part]) for part in _WORK}
    begins = turn[TTFA] - sum(own.values()) - sum(parts[_PLAYBACK])
    # Of the playback's time the hidden one is no work: it waits for the release of the reply.
    return {BEGINS: begins, **own, _WAIT: parts[_WAIT][0], _PLAYBACK: parts[_PLAYBACK][0]}


def counted(first: Mapping[str, Sequence[float]], of: int) -> list[str]:
    """What got worse first, as text: in how many `of` the turns, most first, and the median of the ms."""
    told = []
    for name, ms in sorted(first.items(), key=lambda item: -len(item[1])):
        by = f", +{median(ms):.1f} ms" if any(ms) else ""
        told.append(f"{name} in {len(ms)} of {of} turns{by}")
    return told
