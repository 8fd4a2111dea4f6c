"""The same conversations several times at once: what each copy is called, and when it begins."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf

from assistant.trace.trace import RecordedSession

STAGGER_MS = 5000.0
"""The time over which the beginnings of copies are spread; a turn in `traces` takes about so long."""
_GOLDEN = (5**0.5 - 1) / 2


@dataclass(frozen=True)
class SessionCopy:
    """A recorded session as it is run once."""

    recorded: RecordedSession
    number: int = 1
    offset_ns: int = 0
    """By which it begins later than it did."""
    behind: "SessionCopy | None" = None
    """What has to be over before it begins: it was when it was recorded."""

    @property
    def name(self) -> str:
        """What the session is called."""
        return copied(self.recorded.name, self.number)

    @property
    def over_ns(self) -> float:
        """When the recorded session was over, if that is known."""
        return inf if self.recorded.over_ns is None else self.recorded.over_ns


def copied(name: str, number: int) -> str:
    """What the first, second and third copy of a name are called: a, a*2, a*3."""
    return name if number == 1 else f"{name}*{number}"


def offset_ns(number: int, stagger_ms: float) -> int:
    """When the `number`-th copy begins, from 1 on.

    That is the fraction of a multiple of the golden ratio (Weyl's sequence): however many there are, they are
    spread evenly over `stagger_ms`, and their frames do not come at the same times.
    """
    return round((number - 1) * _GOLDEN % 1.0 * stagger_ms * 1e6)


def copies(sessions: Sequence[RecordedSession], count: int, stagger_ms: float) -> list[SessionCopy]:
    """Each session `count` times; those that were recorded one after the other are so in each copy.

    A session follows the one that was over last before it began, unless another already does.
    """
    found = []
    for number in range(1, count + 1):
        ends: list[SessionCopy] = []  # of each line of sessions the last
        for session in sorted(sessions, key=lambda session: session.at_ns):
            over = [copy for copy in ends if copy.over_ns <= session.at_ns]
            behind = max(over, key=lambda copy: copy.over_ns) if over else None
            ends = [copy for copy in ends if copy is not behind]
            ends.append(SessionCopy(session, number, offset_ns(number, stagger_ms), behind))
            found.append(ends[-1])
    return found
