"""Latency spans: what ran or waited, from when to when, in which session and for which reply."""

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from assistant.runtime.clock import Clock
from assistant.runtime.traces import TraceParent, Traces

Value = str | int | float | bool
_Row = tuple[str, str, int, int, str, int | None, tuple[tuple[str, Value], ...]]


@dataclass(frozen=True, slots=True)
class Span:
    """One interval on the clock. `track` is the node or edge that it belongs to."""

    name: str
    track: str
    start_ns: int
    end_ns: int
    session: str = ""
    reply: int | None = None
    attributes: Mapping[str, Value] = field(default_factory=dict)

    @property
    def ms(self) -> float:
        """Duration in milliseconds."""
        return (self.end_ns - self.start_ns) / 1e6


class Recorder:
    """Keeps the last `capacity` spans and hands each to the exporters; callable from any thread.

    They are kept as plain tuples of plain values, which the garbage collector soon stops looking at. As
    objects, a few minutes of them made it stop the event loop for 40 ms at a time.
    """

    def __init__(self, capacity: int = 200_000) -> None:
        self._rows: deque[_Row] = deque(maxlen=capacity)
        self.exporters: list[Callable[[Span], None]] = []
        self.traces: Traces | None = None
        """The traces that sessions belong to, where there are any."""

    @property
    def spans(self) -> list[Span]:
        """The spans kept, in the order in which they were recorded."""
        return [Span(*row[:-1], dict(row[-1])) for row in list(self._rows)]

    def record(self, span: Span) -> None:
        """Keep `span` (the oldest goes when full) and export it."""
        attributes = tuple(span.attributes.items())
        self._rows.append(
            (span.name, span.track, span.start_ns, span.end_ns, span.session, span.reply, attributes)
        )
        for export in self.exporters:
            export(span)


@dataclass(frozen=True)
class Tracer:
    """Records spans of one session, or of one of its replies."""

    clock: Clock
    recorder: Recorder
    session: str = ""
    reply: int | None = None

    def of_reply(self, number: int) -> "Tracer":
        """A tracer of the session's reply `number`."""
        return replace(self, reply=number)

    def outgoing(self) -> TraceParent | None:
        """What a request to another machine belongs to."""
        traces = self.recorder.traces
        return traces.outgoing(self.session, self.reply) if traces else None

    def record(self, name: str, track: str, start_ns: int, **attributes: Value) -> None:
        """Record what ran or waited from `start_ns` until now."""
        end_ns = self.clock.now_ns()
        self.recorder.record(Span(name, track, start_ns, end_ns, self.session, self.reply, attributes))
