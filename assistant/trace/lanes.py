"""Lanes of a drawing, and what lies on them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True)
class Item:
    """Something on a lane, from when to when in nanoseconds since the recording began.

    The lane's `main` work or `side` work that shares it; a whole `call` around its steps; or a `mark`,
    which has no length. `told` is what else is known of it.
    """

    start_ns: int
    end_ns: int
    name: str
    kind: Literal["main", "side", "call", "mark"]
    told: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Lane:
    """What happened in one place."""

    name: str
    items: tuple[Item, ...]


def mark(at_ns: int, name: str, **told: str) -> Item:
    """A moment on a lane."""
    return Item(at_ns, at_ns, name, "mark", told)
