"""What really sounded, from what was given to the sink and when it was told to be silent."""

import asyncio
import random
from pathlib import Path

import numpy as np
import pytest
from hand_trace import Line, ns, write
from lived_trace import lines

from assistant.runtime.virtual import VirtualLoop
from assistant.session.sink import PacedSink
from assistant.trace.errors import TraceError
from assistant.trace.observed import Played, Silence, sounded
from assistant.trace.trace import read_trace


def played(at_ms: float, sounds_ms: float, lasts_ms: int) -> Played:
    return Played(ns(at_ms), ns(sounds_ms), lasts_ms * 24, 24000)


def silence(at_ms: float, what: str, sounded_ms: int) -> Silence:
    return Silence(ns(at_ms), what, sounded_ms * 24)


def ms(intervals: list[tuple[int, int]]) -> list[tuple[float, float]]:
    return [(start / 1e6, end / 1e6) for start, end in intervals]


def test_pieces_without_a_gap_are_one() -> None:
    pieces = [played(980, 1000, 500), played(1200, 1500, 100), played(1900, 1920, 80)]
    assert ms(sounded(pieces)) == [(1000, 1600), (1920, 2000)]


def test_a_pause_holds_back_and_a_resume_goes_on_after_the_latency() -> None:
    # half of the first second sounds; the rest goes on at 3020, and what was given then follows it at 3520
    pause, resume = silence(1500, "pause", 500), silence(3000, "resume", 500)
    told = [played(980, 1000, 1000), pause, resume, played(3300, 3520, 200)]
    assert ms(sounded(told)) == [(1000, 1500), (3020, 3720)]


def test_what_a_device_goes_on_with_after_it_was_told_to_pause_is_heard() -> None:
    pause, resume = silence(1500, "pause", 500), silence(3000, "resume", 560)
    assert ms(sounded([played(980, 1000, 1000), pause, resume])) == [(1000, 1560), (3020, 3460)]


def test_a_pause_that_is_never_over_drops_the_rest() -> None:
    told = [played(980, 1000, 1000), silence(1500, "pause", 500), silence(1600, "stop", 500)]
    assert ms(sounded(told)) == [(1000, 1500)]


def test_what_a_stop_dropped_does_not_count_for_the_next() -> None:
    # 500 ms of the first reply and 50 ms of the second
    first = [played(980, 1000, 1000), silence(1500, "stop", 500)]
    second = [played(4980, 5000, 100), silence(5050, "stop", 550)]
    assert ms(sounded([*first, *second])) == [(1000, 1500), (5000, 5050)]


def test_a_stop_at_the_end_changes_nothing() -> None:
    assert ms(sounded([played(980, 1000, 100), silence(2000, "stop", 100)])) == [(1000, 1100)]


@pytest.mark.parametrize("seed", range(12))
def test_it_is_what_a_sink_sounded(seed: int) -> None:
    """A real sink on virtual time, told at random what to do: it keeps what it sounded, and when."""
    chance, loop = random.Random(seed), VirtualLoop()
    sink = PacedSink(loop.clock)
    told: list[Played | Silence] = []

    async def reply() -> None:
        for _ in range(30):
            await asyncio.sleep(chance.choice([0, 0, 0.01, 0.4]))
            samples = chance.randrange(1, 12000)
            sounds_ns = await sink.write(np.zeros(samples, np.float32), 24000)
            told.append(Played(loop.clock.now_ns(), sounds_ns, samples, 24000))

    async def interrupt() -> None:
        for _ in range(8):
            for tell in chance.choice([[sink.pause, sink.resume], [sink.pause, sink.stop], [sink.stop]]):
                await asyncio.sleep(chance.uniform(0.03, 0.6))
                tell()
                told.append(Silence(loop.clock.now_ns(), tell.__name__, sink.position))

    async def both() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(reply())
            group.create_task(interrupt())
        await sink.drain()

    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(both())
    expected: list[tuple[float, float]] = []
    for start_ns, audio in sorted(sink.recorded, key=lambda each: each[0]):
        start, end = start_ns / 1e6, start_ns / 1e6 + len(audio) / 24
        joins = bool(expected) and start - expected[-1][1] < 1
        expected[-1:] = [(expected[-1][0], end)] if joins else [*expected[-1:], (start, end)]
    assert len(expected) > 3, "it was silent in between"
    assert np.array(ms(sounded(told))) == pytest.approx(np.array(expected), abs=1)


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        ("span", {"ended": 0}),
        ("span", {"began": "soon"}),
        ("span", {"on": 7}),
        ("span", {"attributes": []}),
        ("played", {"sounds": -1}),
        ("played", {"rate": 0}),
        ("played", {"audio": [0, -1]}),
        ("played", {"audio": [0]}),
        ("played", {"session": "other"}),
        ("silence", {"at": -1}),
        ("silence", {"what": None}),
        ("silence", {"position": "3"}),
    ],
)
def test_a_bad_line_is_refused_in_one(tmp_path: Path, kind: str, change: Line) -> None:
    stop = {"is": "silence", "session": "s", "at": ns(1800), "what": "stop", "position": 12000}
    bad = [{**line, **change} if line["is"] == kind else line for line in [*lines(), stop]]
    assert bad != [*lines(), stop]
    with pytest.raises(TraceError) as error:
        read_trace(write(tmp_path / "t", bad))
    assert str(error.value).startswith(str(tmp_path / "t")) and "\n" not in str(error.value)
    assert read_trace(write(tmp_path / "good", [*lines(), stop])).sessions[0].sink[1:]
