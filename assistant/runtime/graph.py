"""The event graph: nodes joined by bounded channels, declared in one table and printable.

Spans come from here, not from the stages: taking an item off an edge records how long it queued,
asking for the next one records how long the node worked on the last, and the first item of each
type to enter an edge is a mark from which the parts of time to first audio are computed.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

from assistant.runtime.clock import Clock
from assistant.runtime.spans import Recorder, Span

T = TypeVar("T")


@dataclass(frozen=True)
class Node:
    """A stage. `scope` says what it lives as long as, `runs_in` which thread does its work."""

    name: str
    scope: Literal["session", "reply"]
    runs_in: str
    does: str


@dataclass(frozen=True)
class Edge:
    """A bounded channel from `sources` to `target`; `when_full` is what a full one does to a put."""

    name: str
    sources: tuple[str, ...]
    target: str
    carries: str
    capacity: int
    when_full: Literal["wait", "drop_oldest"] = "wait"


@dataclass(frozen=True)
class Graph:
    """The declaration: checked when it is made, so that a misspelt name fails at import."""

    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]

    def __post_init__(self) -> None:
        names = [node.name for node in self.nodes]
        ends = {end for edge in self.edges for end in (*edge.sources, edge.target)}
        if len(names) != len(set(names)) or len(self.edges) != len({edge.name for edge in self.edges}):
            raise ValueError("two nodes or two edges of the graph have one name")
        if ends != set(names):
            raise ValueError(f"nodes and the ends of edges differ: {sorted(ends ^ set(names))}")

    def edge(self, name: str) -> Edge:
        """The edge called `name`."""
        return next(edge for edge in self.edges if edge.name == name)


class Channel(Generic[T]):
    """One edge while it runs. One reader; closing it ends the reader's loop after the last item."""

    def __init__(self, edge: Edge, clock: Clock, recorder: Recorder, reply: int | None = None) -> None:
        self.edge = edge
        self.dropped = 0
        self.first_ns: dict[type, int] = {}
        self._clock, self._recorder, self._reply = clock, recorder, reply
        self._items: deque[tuple[int, T]] = deque()
        self._changed = asyncio.Condition()
        self._closed = False
        self._working_since: int | None = None

    def __len__(self) -> int:
        return len(self._items)

    async def put(self, item: T) -> None:
        """Add `item`; when full, wait for room or drop the oldest and count it, as the edge says."""
        async with self._changed:
            if self.edge.when_full == "drop_oldest" and self._full():
                self._items.popleft()
                self.dropped += 1
            elif self._full():
                asked_ns = self._clock.now_ns()
                await self._changed.wait_for(lambda: not self._full() or self._closed)
                self._record("full", asked_ns, self._clock.now_ns())
            if self._closed:
                return
            now_ns = self._clock.now_ns()
            self.first_ns.setdefault(type(item), now_ns)
            self._items.append((now_ns, item))
            self._changed.notify_all()

    def _full(self) -> bool:
        return len(self._items) >= self.edge.capacity

    async def close(self) -> None:
        """No more items will come; a put after this is ignored."""
        async with self._changed:
            self._closed = True
            self._changed.notify_all()

    async def __aiter__(self) -> AsyncIterator[T]:
        while True:
            self._finish_work()
            async with self._changed:
                while not self._items and not self._closed:
                    await self._changed.wait()
                if not self._items:
                    return
                put_ns, item = self._items.popleft()
                self._changed.notify_all()
            self._working_since = self._clock.now_ns()
            self._record("queue", put_ns, self._working_since)
            yield item

    def _finish_work(self) -> None:
        if self._working_since is not None:
            span = Span("work", self.edge.target, self._working_since, self._clock.now_ns(), self._reply)
            self._recorder.record(span)
            self._working_since = None

    def _record(self, name: str, start_ns: int, end_ns: int) -> None:
        self._recorder.record(Span(name, self.edge.name, start_ns, end_ns, self._reply))


def render(graph: Graph) -> str:
    """The graph as text: each node with what it does, then its outgoing edges."""
    lines = []
    for node in graph.nodes:
        lines.append(f"{node.name}  [{node.scope}, {node.runs_in}]  {node.does}")
        lines.extend(_render_edge(edge) for edge in graph.edges if node.name in edge.sources)
    return "\n".join(lines)


def _render_edge(edge: Edge) -> str:
    full = "waits when full" if edge.when_full == "wait" else "drops the oldest when full"
    return f"  --{edge.name}--> {edge.target}  ({edge.carries}; at most {edge.capacity}, {full})"
