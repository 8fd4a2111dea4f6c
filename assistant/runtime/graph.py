"""The event graph: nodes joined by bounded channels, declared in one table and printable.

Spans come from here, not from the stages: taking an item off an edge records how long it queued,
asking for the next one records how long the node worked on the last, and the first item of each
type to enter an edge is a mark from which the parts of time to first audio are computed.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar

from assistant.runtime.spans import Tracer

T = TypeVar("T")


@dataclass(frozen=True)
class Node:
    """A stage. `scope` says what it lives as long as, `runs_in` which thread does its work."""

    name: str
    scope: Literal["session", "turn", "reply"]
    runs_in: str
    does: str


@dataclass(frozen=True)
class Edge(Generic[T]):
    """A bounded channel of T from `sources` to `target`; `when_full` is what a full one does to a put."""

    name: str
    sources: tuple[Node, ...]
    target: Node
    carries: str
    capacity: int
    when_full: Literal["wait", "drop_oldest"] = "wait"


@dataclass(frozen=True)
class Graph:
    """The declaration: checked when it is made, so that a node without an edge fails at import."""

    nodes: tuple[Node, ...]
    edges: tuple[Edge[Any], ...]

    def __post_init__(self) -> None:
        names = {node.name for node in self.nodes}
        ends = {end for edge in self.edges for end in (*edge.sources, edge.target)}
        if len(self.nodes) != len(names) or len(self.edges) != len({edge.name for edge in self.edges}):
            raise ValueError("two nodes or two edges of the graph have one name")
        if ends != set(self.nodes):
            stray = sorted(node.name for node in ends ^ set(self.nodes))
            raise ValueError(f"nodes and the ends of edges differ: {stray}")


class Channel(Generic[T]):
    """One edge while it runs. One reader; closing it ends the reader's loop after the last item."""

    def __init__(self, edge: Edge[T], tracer: Tracer) -> None:
        self.edge = edge
        self.dropped = 0
        self.first_ns: dict[type, int] = {}
        self._tracer, self._clock = tracer, tracer.clock
        self._items: deque[tuple[int, T]] = deque()
        self._readable, self._writable, self._drained = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._drained.set()
        self._closed = False
        self._working_since: int | None = None

    def __len__(self) -> int:
        return len(self._items)

    async def drained(self) -> None:
        """Wait until the reader has dealt with every item and asks for more."""
        await self._drained.wait()

    async def put(self, item: T) -> None:
        """Add `item`; when full, wait for room or drop the oldest and count it, as the edge says."""
        if self.edge.when_full == "wait" and self._full():
            asked_ns = self._clock.now_ns()
            while self._full() and not self._closed:
                self._writable.clear()
                await self._writable.wait()
            self._tracer.record("full", self.edge.name, asked_ns)
        self.put_now(item)

    def put_now(self, item: T) -> None:
        """Add `item` without waiting: to an edge that drops the oldest, or one that is known to have room."""
        if self._closed:
            return
        if self._full():
            assert self.edge.when_full == "drop_oldest", f"{self.edge.name} is full"
            self._items.popleft()
            self.dropped += 1
        now_ns = self._clock.now_ns()
        self.first_ns.setdefault(type(item), now_ns)
        self._items.append((now_ns, item))
        self._drained.clear()
        self._readable.set()

    def _full(self) -> bool:
        return len(self._items) >= self.edge.capacity

    def close(self) -> None:
        """No more items will come; a put after this is ignored."""
        self._closed = True
        self._readable.set()
        self._writable.set()

    async def __aiter__(self) -> AsyncIterator[T]:
        while True:
            self._finish_work()
            while not self._items and not self._closed:
                self._drained.set()
                self._readable.clear()
                await self._readable.wait()
            if not self._items:
                self._drained.set()
                return
            put_ns, item = self._items.popleft()
            self._writable.set()
            self._working_since = self._clock.now_ns()
            self._tracer.record("queue", self.edge.name, put_ns)
            yield item

    def _finish_work(self) -> None:
        if self._working_since is not None:
            self._tracer.record("work", self.edge.target.name, self._working_since)
            self._working_since = None


def render(graph: Graph) -> str:
    """The graph as text: each node with what it does, then its outgoing edges."""
    lines = []
    for node in graph.nodes:
        lines.append(f"{node.name}  [{node.scope}, {node.runs_in}]  {node.does}")
        lines.extend(_render_edge(edge) for edge in graph.edges if node in edge.sources)
    return "\n".join(lines)


def _render_edge(edge: Edge[Any]) -> str:
    full = "waits when full" if edge.when_full == "wait" else "drops the oldest when full"
    return f"  --{edge.name}--> {edge.target.name}  ({edge.carries}; at most {edge.capacity}, {full})"
