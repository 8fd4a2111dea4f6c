"""What became of the work of a simulation: waited for, hidden behind something else, or for nothing."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from assistant.runtime import StepRun
from assistant.trace.path import Piece


@dataclass(frozen=True)
class Share:
    """Core-milliseconds of a kind of step.

    `exposed` lay on the critical path. `wasted` was for a reply, a transcript or a score that came to
    nothing, or was over when nobody waited for it any more. The rest is `hidden`: by the user's voice, by
    other work, or by the sound of the reply.
    """

    exposed: float = 0.0
    hidden: float = 0.0
    wasted: float = 0.0

    @property
    def whole(self) -> float:
        """All of it."""
        return self.exposed + self.hidden + self.wasted

    def __add__(self, other: "Share") -> "Share":
        return Share(self.exposed + other.exposed, self.hidden + other.hidden, self.wasted + other.wasted)


Shares = Mapping[str, Share]
"""By the kind of step."""


def shares(steps: Iterable[tuple[StepRun, bool]], path: Sequence[Piece]) -> Shares:
    """What became of `steps`, of each of which is said whether it was of use."""
    exposed_ns = {piece.step: piece.end_ns - piece.start_ns for piece in path if piece.waits == "work"}
    found: dict[str, Share] = defaultdict(Share)
    for step, kept in steps:
        on_path_ns = exposed_ns.get(step, 0)
        off_path_ns = step.alone_ns - on_path_ns
        hidden_ns, wasted_ns = (off_path_ns, 0) if kept else (0, off_path_ns)
        found[step.kind] += Share(*(step.width * ns / 1e6 for ns in (on_path_ns, hidden_ns, wasted_ns)))
    return {kind: share for kind, share in sorted(found.items()) if share.whole}


def added(of: Iterable[Shares]) -> Shares:
    """The sum of shares."""
    found: dict[str, Share] = defaultdict(Share)
    for each in of:
        for kind, share in each.items():
            found[kind] += share
    return dict(sorted(found.items()))
