"""One line of the bench: figures of ours, of what they are compared with, and the goals."""

from dataclasses import dataclass
from math import isfinite
from statistics import median
from typing import Any, Literal

LLAMA_CPP = "llama.cpp"


@dataclass(frozen=True)
class Goal:
    """What `ours`, or the ratio of ours to theirs, must be."""

    what: Literal["ours", "ratio"]
    sense: Literal["<=", ">="]
    limit: float

    def met(self, value: float | None) -> bool | None:
        """None for a ratio that there is none of."""
        if value is None:
            return None
        return value <= self.limit if self.sense == "<=" else value >= self.limit

    def __str__(self) -> str:
        return f"{self.what} {self.sense} {self.limit:.4g}"


@dataclass(frozen=True)
class Entry:
    """A measurement, of one or several rounds; the medians of these are the figures.

    `theirs` is what was measured of `against`, by turns with ours; None without llama.cpp.
    """

    name: str
    unit: str
    ours: tuple[float, ...]
    theirs: tuple[float, ...] | None = None
    goals: tuple[Goal, ...] = ()
    against: str = LLAMA_CPP
    note: str = ""

    @property
    def ratio(self) -> float | None:
        """Ours over theirs; None without theirs, or if that is 0."""
        theirs = median(self.theirs) if self.theirs else 0.0
        return median(self.ours) / theirs if theirs else None

    @property
    def ok(self) -> bool | None:
        """Whether all goals are met; None if that is open, or nothing is asked."""
        values = {"ours": median(self.ours), "ratio": self.ratio}
        met = [goal.met(values[goal.what]) for goal in self.goals]
        if False in met:
            return False
        return None if None in met or not met else True

    def to_dict(self) -> dict[str, Any]:
        """Everything, ready for JSON; what is not finite is null."""
        return {
            "name": self.name,
            "unit": self.unit,
            "ours": _finite(median(self.ours)),
            "theirs": _finite(median(self.theirs)) if self.theirs else None,
            "ratio": _finite(self.ratio),
            "goal": ", ".join(map(str, self.goals)) or None,
            "ok": self.ok,
            "against": self.against,
            "note": self.note,
            "rounds": {
                "ours": [_finite(value) for value in self.ours],
                "theirs": [_finite(value) for value in self.theirs] if self.theirs else None,
            },
        }


def _finite(value: float | None) -> float | None:
    return value if value is not None and isfinite(value) else None
