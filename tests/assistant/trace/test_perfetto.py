"""The trace file: times, names and arguments come through, and every thread nests."""

import errno
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assistant.runtime import Span
from assistant.trace.perfetto import PerfettoError, write_perfetto

MS = 1_000_000


def load(path: Path) -> list[dict[str, Any]]:
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    content = json.loads(path.read_text(encoding="utf-8"), parse_constant=refuse)
    return list(content["traceEvents"])


def by_thread(events: list[dict[str, Any]]) -> dict[str, list[tuple[str, int, int]]]:
    """Thread name -> (event name, start, end in microseconds), in the file's order."""
    names = {event["tid"]: event["args"]["name"] for event in events if event["name"] == "thread_name"}
    threads: dict[str, list[tuple[str, int, int]]] = {name: [] for name in names.values()}
    for event in events:
        if event["ph"] == "X":
            start, end = event["ts"], event["ts"] + event["dur"]
            threads[names[event["tid"]]].append((event["name"], start, end))
    return threads


def written(spans: list[Span], folder: Path) -> list[dict[str, Any]]:
    write_perfetto(spans, folder / "trace.json")
    return load(folder / "trace.json")


def test_a_span_becomes_a_complete_event_on_the_thread_of_its_track(tmp_path: Path) -> None:
    early = Span("queue", "phrases", 7_000 * MS, 7_002 * MS)
    late = Span(
        "work", "speak", 7_001 * MS, 7_003 * MS + 500_000, "s", 4, {"p": 0.25, "text": "héllo\n", "ok": True}
    )
    events = written([late, early], tmp_path)
    assert by_thread(events) == {"phrases": [("queue", 0, 2000)], "speak": [("work", 1000, 3500)]}
    arguments = {event["name"]: event["args"] for event in events if event["ph"] == "X"}
    assert arguments == {
        "queue": {},
        "work": {"session": "s", "reply": 4, "p": 0.25, "text": "héllo\n", "ok": True},
    }


def test_spans_that_overlap_without_nesting_get_threads_of_their_own(tmp_path: Path) -> None:
    #    a |----------|            b crosses a; c lies in a; d begins where a ends; e crosses a and b
    #    b       |----------|
    #    c   |--|
    #    d            |---|
    #    e         |--------|
    bounds = {"a": (0, 10), "b": (6, 16), "c": (2, 5), "d": (10, 14), "e": (8, 17)}
    spans = [Span(name, "speak", start * MS, end * MS) for name, (start, end) in bounds.items()]
    spans.append(Span("f", "play", 0, 3 * MS))
    threads = by_thread(written(spans, tmp_path))
    assert list(threads) == ["speak", "speak 2", "speak 3", "play"]
    assert [name for name, *_ in threads["speak"]] == ["a", "c", "d"]
    assert [name for name, *_ in threads["speak 2"]] == ["b"]
    assert [name for name, *_ in threads["speak 3"]] == ["e"]


def test_threads_are_listed_in_the_order_of_the_first_span(tmp_path: Path) -> None:
    spans = [Span("work", track, start * MS, (start + 5) * MS) for start, track in enumerate("zaza")]
    events = written(spans, tmp_path)
    order = {
        event["tid"]: event["args"]["sort_index"] for event in events if event["name"] == "thread_sort_index"
    }
    names = {event["tid"]: event["args"]["name"] for event in events if event["name"] == "thread_name"}
    assert [names[tid] for tid in sorted(order, key=order.__getitem__)] == ["z", "z 2", "a", "a 2"]


@given(
    st.lists(
        st.tuples(st.sampled_from("ab"), st.integers(0, 40_000), st.integers(0, 20_000)).map(
            lambda drawn: Span("s", drawn[0], drawn[1], drawn[1] + drawn[2])
        )
    )
)
def test_every_thread_nests_and_no_span_is_lost(
    tmp_path_factory: pytest.TempPathFactory, spans: list[Span]
) -> None:
    threads = by_thread(written(spans, tmp_path_factory.mktemp("trace")))
    assert sum(len(events) for events in threads.values()) == len(spans)
    for events in threads.values():
        for index, (_, start, end) in enumerate(events):
            for _, other_start, other_end in events[index + 1 :]:
                assert other_start >= start
                assert other_start >= end or other_end <= end  # after it or inside it


def test_no_spans_and_numbers_that_json_lacks_still_make_a_readable_file(tmp_path: Path) -> None:
    assert by_thread(written([], tmp_path)) == {}
    events = written([Span("s", "t", 0, 1, attributes={"p": float("nan")})], tmp_path)
    assert next(event["args"] for event in events if event["ph"] == "X") == {"p": "nan"}


@pytest.mark.parametrize(
    ("name", "reason"),
    [("gone/trace.json", "No such file"), ("", "is a folder"), ("file/trace.json", "Not a directory")],
)
def test_a_place_that_cannot_be_written_is_one_line(tmp_path: Path, name: str, reason: str) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(PerfettoError) as caught:
        write_perfetto([], tmp_path / name)
    assert str(caught.value).startswith(f"{tmp_path / name}: cannot be written ({reason}")
    assert "\n" not in str(caught.value)


def test_a_full_disk_leaves_the_old_file_and_nothing_half_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "trace.json"
    target.write_text("old")

    def full(_event: object, **_options: object) -> None:  # the header of the file is written by then
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("assistant.trace.perfetto.json.dumps", full)
    with pytest.raises(PerfettoError, match=r"trace\.json: cannot be written \(No space left on device\)"):
        write_perfetto([Span("s", "t", 0, 1)], target)
    assert [path.read_text() for path in tmp_path.iterdir()] == ["old"]
