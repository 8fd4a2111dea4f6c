"""A recorded trace in Perfetto's format: it nests, and calls are as long as they were."""

import gzip
import json
from itertools import pairwise
from pathlib import Path

import pytest
from hand_trace import write
from lived_trace import lines
from test_perfetto import by_thread, load

from assistant.commands.trace_show import run_show

SHIPPED = Path(__file__).parents[3] / "traces" / "recorded" / "questions"


def nests(events: list[tuple[str, int, int]]) -> bool:
    """Whether each event lies in the one around it, or behind it; they are sorted by their beginning."""
    around: list[int] = []
    for (_, start, end), before in zip(events, [None, *events], strict=False):
        while around and around[-1] <= start:
            around.pop()
        if (around and end > around[-1]) or (before and start < before[1]):
            return False
        around.append(end)
    return True


def test_calls_are_on_their_worker_and_as_long_as_they_were(tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    run_show([write(tmp_path / "t", lines())], perfetto=out)
    threads = by_thread(load(out))
    # microseconds since the turn's first window, which was asked for at 32 ms
    first = 32_000
    assert threads["asr.final worker"] == [("asr.final", 1_042_000 - first, 1_142_000 - first)]
    assert threads["score worker"] == [("score", 1_142_000 - first, 1_202_000 - first)]
    reply = [(name, start + first, end + first) for name, start, end in threads["llm.reply worker"]]
    assert ("llm.reply", 1_142_000, 1_212_000) in reply and ("llm.prefill", 1_142_000, 1_192_000) in reply
    assert ("llm.token", 1_192_000, 1_212_000) in reply
    assert threads["speak"] == [("work", 1_212_000 - first, 1_242_000 - first)]
    assert threads["playback lane"] == [("sounds", 1_262_000 - first, 1_762_000 - first)]
    parts = [(name, end - start) for name, start, end in threads["parts"]]
    assert parts == [("endpoint.wait", 262_000), ("tts.first_chunk", 20_000), ("playback.start", 20_000)]
    assert all(before[2] == after[1] for before, after in pairwise(threads["parts"]))
    assert [name for name, *_ in threads["turns"]] == ["yes.flac"]


def test_the_shipped_trace_nests_and_loses_nothing(tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    run_show([SHIPPED], perfetto=out)
    events = load(out)
    threads = by_thread(events)
    assert all(nests(events) for events in threads.values())
    worker = [name for name, events in threads.items() if name.startswith("vad worker") for _ in events]
    with gzip.open(SHIPPED / "events.jsonl.gz", "rt", encoding="utf-8") as file:
        assert len(worker) == sum('"stage":"vad"' in line for line in file) > 1000
    assert len(threads["turns"]) == 10
    for stage in ("asr.final", "llm.reply", "asr.partial"):
        found = [end - start for of in threads.values() for name, start, end in of if name == stage]
        assert sorted(found) == pytest.approx(recorded_us(stage), abs=1)


def recorded_us(stage: str) -> list[float]:
    """How long the calls of a stage took, as the file has it."""
    with gzip.open(SHIPPED / "events.jsonl.gz", "rt", encoding="utf-8") as file:
        calls = [line for line in map(json.loads, file) if line.get("stage") == stage]
    return sorted((line["ended"] - line["began"]) / 1000 for line in calls)


def test_the_check_of_nesting_can_fail() -> None:
    assert nests([("a", 0, 10), ("b", 2, 5), ("c", 5, 10), ("d", 10, 12)])
    assert not nests([("a", 0, 10), ("b", 2, 11)])
