"""Latency spans: what ran or waited, from when to when, for which reply."""

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

Value = str | int | float | bool


@dataclass(frozen=True, slots=True)
class Span:
    """One interval on the session's clock. `track` is the node or edge that it belongs to."""

    name: str
    track: str
    start_ns: int
    end_ns: int
    reply: int | None = None
    attributes: Mapping[str, Value] = field(default_factory=dict)

    @property
    def ms(self) -> float:
        """Duration in milliseconds."""
        return (self.end_ns - self.start_ns) / 1e6


class Recorder:
    """Keeps the last `capacity` spans and hands each to the exporters; callable from any thread."""

    def __init__(self, capacity: int = 200_000) -> None:
        self.spans: deque[Span] = deque(maxlen=capacity)
        self.exporters: list[Callable[[Span], None]] = []

    def record(self, span: Span) -> None:
        """Keep `span` (the oldest goes when full) and export it."""
        self.spans.append(span)
        for export in self.exporters:
            export(span)
