"""Channels on virtual time: bounds, order, spans, and what survives a cancellation."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from assistant.runtime import (
    Channel,
    Edge,
    Graph,
    Node,
    Recorder,
    Span,
    Tracer,
    VirtualLoop,
    render,
    run_virtual,
)
from assistant.session.pipeline import GRAPH

MS = 1_000_000
A, B = NODES = (Node("a", "session", "loop", "asks"), Node("b", "reply", "worker", "answers"))


class Line:
    """One channel, "a" to "b", on a loop of its own."""

    def __init__(self, edge: Edge[object]) -> None:
        self.loop = VirtualLoop()
        self.recorder = Recorder()
        self.channel: Channel[object] = Channel(edge, Tracer(self.loop.clock, self.recorder, "s", 7))
        self.got: list[object] = []

    def run(self, main: Coroutine[Any, Any, None]) -> None:
        run_virtual(main, self.loop)

    async def read(self, *, work_ms: float = 0) -> None:
        async for item in self.channel:
            self.got.append(item)
            await asyncio.sleep(work_ms / 1e3)

    async def write(self, *items: object, every_ms: float = 0) -> None:
        for item in items:
            await self.channel.put(item)
            await asyncio.sleep(every_ms / 1e3)
        self.channel.close()

    def spans(self, name: str) -> list[Span]:
        return [span for span in self.recorder.spans if span.name == name]

    def ms(self, name: str) -> list[tuple[float, float]]:
        return [(span.start_ns / MS, span.end_ns / MS) for span in self.spans(name)]


@pytest.fixture
def line() -> Line:
    return Line(Edge("a-b", (A,), B, "object", 2))


@pytest.fixture
def dropping() -> Line:
    return Line(Edge("a-b", (A,), B, "object", 3, "drop_oldest"))


def test_order_is_kept_and_close_ends_the_reader(line: Line) -> None:
    async def main() -> None:
        await asyncio.gather(line.read(), line.write(*range(100)))

    line.run(main())
    assert line.got == list(range(100))


def test_a_full_channel_makes_the_writer_wait(line: Line) -> None:
    async def main() -> None:
        writer = asyncio.create_task(line.write(*range(5)))
        await asyncio.sleep(1)
        assert len(line.channel) == 2 and not writer.done()
        await asyncio.gather(line.read(work_ms=10), writer)

    line.run(main())
    assert line.got == [0, 1, 2, 3, 4]
    assert line.channel.dropped == 0
    # 2 waited for the reader from the start; 3 and 4 for its next two turns
    assert line.ms("full") == [(0, 1000), (1000, 1010), (1010, 1020)]
    assert {span.track for span in line.spans("full")} == {"a-b"}


def test_a_full_channel_drops_the_oldest_and_counts_it(dropping: Line) -> None:
    async def main() -> None:
        await dropping.write(*range(10))  # never waits
        assert dropping.loop.time() == 0 and len(dropping.channel) == 3
        await dropping.read()

    dropping.run(main())
    assert dropping.got == [7, 8, 9]
    assert dropping.channel.dropped == 7
    assert dropping.spans("full") == []


def test_items_before_the_close_are_read_and_items_after_it_are_not(line: Line) -> None:
    async def main() -> None:
        await line.write("first", "second")
        await line.channel.put("late")
        await line.read()

    line.run(main())
    assert line.got == ["first", "second"]


def test_close_frees_a_writer_that_waits(line: Line) -> None:
    async def main() -> None:
        writer = asyncio.create_task(line.write(1, 2, 3))
        await asyncio.sleep(1)
        line.channel.close()
        await writer
        await line.read()

    line.run(main())
    assert line.got == [1, 2]


def test_spans_tell_how_long_an_item_queued_and_was_worked_on(line: Line) -> None:
    async def main() -> None:
        await asyncio.gather(line.read(work_ms=100), line.write("x", "y", every_ms=30))

    line.run(main())
    assert line.ms("queue") == [(0, 0), (30, 100)]
    assert line.ms("work") == [(0, 100), (100, 200)]
    assert {(span.track, span.session, span.reply) for span in line.spans("queue")} == {("a-b", "s", 7)}
    assert {(span.track, span.session, span.reply) for span in line.spans("work")} == {("b", "s", 7)}
    assert [span.ms for span in line.spans("work")] == [100, 100]


def test_the_first_item_of_each_type_is_marked(line: Line) -> None:
    async def main() -> None:
        await asyncio.gather(line.read(), line.write("x", 1, "y", 2, 0.5, every_ms=10))

    line.run(main())
    assert line.channel.first_ns == {str: 0, int: 10 * MS, float: 40 * MS}


def test_an_item_is_marked_when_it_enters_not_when_it_was_offered(line: Line) -> None:
    async def main() -> None:
        writer = asyncio.create_task(line.write(1, 2, "x"))
        await asyncio.sleep(1)
        await asyncio.gather(line.read(), writer)

    line.run(main())
    assert line.channel.first_ns == {int: 0, str: 1000 * MS}


async def cancelled(task: "asyncio.Task[None]") -> None:
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def test_a_reader_cancelled_while_waiting_loses_nothing(line: Line) -> None:
    async def main() -> None:
        reader = asyncio.create_task(line.read())
        await asyncio.sleep(1)
        await cancelled(reader)
        await asyncio.gather(line.read(), line.write(1, 2, 3))

    line.run(main())
    assert line.got == [1, 2, 3]


@pytest.mark.parametrize("put_first", [True, False])
def test_a_reader_cancelled_in_the_moment_of_a_put_loses_nothing(line: Line, put_first: bool) -> None:
    """Woken for an item, but cancelled before it ran: the item is still there for the next reader."""

    async def main() -> None:
        reader = asyncio.create_task(line.read())
        await asyncio.sleep(1)
        if put_first:
            await line.channel.put("x")
            reader.cancel()
        else:
            reader.cancel()
            await line.channel.put("x")
        with pytest.raises(asyncio.CancelledError):
            await reader
        assert line.got == [] and len(line.channel) == 1
        line.channel.close()
        await line.read()

    line.run(main())
    assert line.got == ["x"]


def test_a_writer_cancelled_while_waiting_has_put_nothing(line: Line) -> None:
    async def main() -> None:
        writer = asyncio.create_task(line.write(1, 2, 3, 4))
        await asyncio.sleep(1)
        other = asyncio.create_task(line.channel.put("other"))
        await asyncio.sleep(1)
        await cancelled(writer)
        reader = asyncio.create_task(line.read())
        await other
        line.channel.close()
        await reader

    line.run(main())
    assert line.got == [1, 2, "other"]


def test_a_writer_cancelled_as_room_appears_leaves_the_room_to_the_next(line: Line) -> None:
    async def main() -> None:
        await line.channel.put(1)
        await line.channel.put(2)
        first = asyncio.create_task(line.channel.put("cancelled"))
        second = asyncio.create_task(line.channel.put("second"))
        await asyncio.sleep(1)
        reader = asyncio.create_task(line.read())
        first.cancel()
        await asyncio.gather(first, second, return_exceptions=True)
        line.channel.close()
        await reader
        assert first.cancelled()

    line.run(main())
    assert line.got == [1, 2, "second"]


def test_a_reader_that_leaves_in_the_middle_of_its_work_keeps_the_rest_for_the_next(line: Line) -> None:
    async def main() -> None:
        await line.channel.put(1)
        await line.channel.put(2)
        reader = asyncio.create_task(line.read(work_ms=1000))
        await asyncio.sleep(0.5)
        await cancelled(reader)
        line.channel.close()
        await line.read()

    line.run(main())
    assert line.got == [1, 2]


C, X, LONELY = (Node(name, "session", "loop", "") for name in ("c", "x", "lonely"))


@pytest.mark.parametrize(
    ("nodes", "edges", "says"),
    [
        (NODES, (Edge("e", (A,), C, "str", 1),), "c"),
        (NODES, (Edge("e", (X,), B, "str", 1),), "x"),
        ((*NODES, LONELY), (Edge("e", (A,), B, "str", 1),), "lonely"),
        (NODES, (Edge("e", (A,), B, "str", 1), Edge("e", (B,), A, "str", 1)), "one name"),
        ((*NODES, Node("a", "reply", "loop", "another")), (Edge("e", (A,), B, "str", 1),), "one name"),
    ],
    ids=["unknown target", "unknown source", "node without edge", "one edge twice", "one node twice"],
)
def test_a_misdeclared_graph_is_refused(
    nodes: tuple[Node, ...], edges: tuple[Edge[object], ...], says: str
) -> None:
    with pytest.raises(ValueError, match=rf"\b{says}\b"):
        Graph(nodes, edges)


def test_a_graph_is_printed_node_by_node() -> None:
    edges = (Edge("question", (A,), B, "str", 4), Edge("answer", (B,), A, "int", 1, "drop_oldest"))
    assert render(Graph(NODES, edges)).splitlines() == [
        "a  [session, loop]  asks",
        "  --question--> b  (str; at most 4, waits when full)",
        "b  [reply, worker]  answers",
        "  --answer--> a  (int; at most 1, drops the oldest when full)",
    ]


def test_only_audio_from_the_microphone_and_what_the_latest_replaces_may_be_lost() -> None:
    """A later partial, score or run of committed words says all that the one before it said."""
    lossy = {edge.name: edge.capacity for edge in GRAPH.edges if edge.when_full == "drop_oldest"}
    assert lossy.pop("frames") == 2000 / 20  # two seconds of them
    assert lossy == {"partials": 1, "committed": 1, "so_far": 1, "scores": 1}


def test_an_item_is_put_without_waiting_where_there_is_room(line: Line) -> None:
    async def main() -> None:
        line.channel.put_now(1)
        line.channel.put_now(2)
        with pytest.raises(AssertionError, match="a-b is full"):
            line.channel.put_now(3)
        line.channel.close()
        line.channel.put_now("late")
        await line.read()

    line.run(main())
    assert line.got == [1, 2]


def test_an_item_put_without_waiting_may_drop_the_oldest(dropping: Line) -> None:
    async def main() -> None:
        for number in range(5):
            dropping.channel.put_now(number)
        dropping.channel.close()
        await dropping.read()

    dropping.run(main())
    assert dropping.got == [2, 3, 4]
    assert dropping.channel.dropped == 2


def test_drained_waits_for_the_work_on_the_last_item(line: Line) -> None:
    times: list[float] = []

    async def drain() -> None:
        await line.channel.drained()
        times.append(line.loop.time())

    async def main() -> None:
        await drain()  # nothing is in it
        reader = asyncio.create_task(line.read(work_ms=1000))
        await line.channel.put("x")
        await line.channel.put("y")
        await drain()
        await drain()
        await line.channel.put("z")
        draining = asyncio.create_task(drain())
        line.channel.close()
        await asyncio.gather(draining, reader)

    line.run(main())
    assert times == pytest.approx([0, 2, 2, 3])


def test_drained_waits_for_a_reader_that_is_not_there_yet(line: Line) -> None:
    async def main() -> None:
        await line.channel.put("x")
        draining = asyncio.create_task(line.channel.drained())
        await asyncio.sleep(1)
        assert not draining.done()
        line.channel.close()
        await line.read()
        await draining

    line.run(main())
    assert line.got == ["x"]
