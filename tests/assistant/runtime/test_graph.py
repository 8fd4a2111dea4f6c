"""Channels on virtual time: bounds, order, spans, and what survives a cancellation."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest
from virtual import VirtualLoop, run_virtual

from assistant.runtime.graph import Channel, Edge, Graph, Node, render
from assistant.runtime.spans import Recorder, Span
from assistant.session.pipeline import GRAPH

MS = 1_000_000


class Line:
    """One channel, "a" to "b", on a loop of its own."""

    def __init__(self, edge: Edge) -> None:
        self.loop = VirtualLoop()
        self.recorder = Recorder()
        self.channel: Channel[object] = Channel(edge, self.loop.clock, self.recorder, 7)
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
        await self.channel.close()

    def spans(self, name: str) -> list[Span]:
        return [span for span in self.recorder.spans if span.name == name]

    def ms(self, name: str) -> list[tuple[float, float]]:
        return [(span.start_ns / MS, span.end_ns / MS) for span in self.spans(name)]


@pytest.fixture
def line() -> Line:
    return Line(Edge("a-b", ("a",), "b", "object", 2))


@pytest.fixture
def dropping() -> Line:
    return Line(Edge("a-b", ("a",), "b", "object", 3, "drop_oldest"))


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
        await line.channel.close()
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
    assert {(span.track, span.reply) for span in line.spans("queue")} == {("a-b", 7)}
    assert {(span.track, span.reply) for span in line.spans("work")} == {("b", 7)}
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
        await line.channel.close()
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
        await line.channel.close()
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
        await line.channel.close()
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
        await line.channel.close()
        await line.read()

    line.run(main())
    assert line.got == [1, 2]


NODES = (Node("a", "session", "loop", "asks"), Node("b", "reply", "worker", "answers"))


@pytest.mark.parametrize(
    ("nodes", "edges", "says"),
    [
        (NODES, (Edge("e", ("a",), "c", "str", 1),), "c"),
        (NODES, (Edge("e", ("x",), "b", "str", 1),), "x"),
        ((*NODES, Node("lonely", "session", "loop", "")), (Edge("e", ("a",), "b", "str", 1),), "lonely"),
        (NODES, (Edge("e", ("a",), "b", "str", 1), Edge("e", ("b",), "a", "str", 1)), "one name"),
        ((*NODES, NODES[0]), (Edge("e", ("a",), "b", "str", 1),), "one name"),
    ],
    ids=["unknown target", "unknown source", "node without edge", "one edge twice", "one node twice"],
)
def test_a_misdeclared_graph_is_refused(nodes: tuple[Node, ...], edges: tuple[Edge, ...], says: str) -> None:
    with pytest.raises(ValueError, match=rf"\b{says}\b"):
        Graph(nodes, edges)


def test_a_graph_is_printed_node_by_node() -> None:
    edges = (Edge("question", ("a",), "b", "str", 4), Edge("answer", ("b",), "a", "int", 1, "drop_oldest"))
    assert render(Graph(NODES, edges)).splitlines() == [
        "a  [session, loop]  asks",
        "  --question--> b  (str; at most 4, waits when full)",
        "b  [reply, worker]  answers",
        "  --answer--> a  (int; at most 1, drops the oldest when full)",
    ]


def test_only_audio_from_the_microphone_may_be_lost() -> None:
    assert [edge.name for edge in GRAPH.edges if edge.when_full == "drop_oldest"] == ["frames"]
