"""Spans as a Chrome trace-event file, which ui.perfetto.dev and chrome://tracing open.

The format is Google's "Trace Event Format": complete events ("X") of one thread must nest, and Perfetto drops
those that do not. Times are whole microseconds, so that rounding cannot make two neighbours overlap.
"""

import json
import math
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from assistant.runtime import Span

_PROCESS = 1

Event = dict[str, Any]


class PerfettoError(ValueError):
    """The trace file cannot be written; the message is one line, `path: reason`."""


def write_perfetto(spans: Iterable[Span], path: Path) -> None:
    """Write `spans` to `path`, a thread for each track, time counted from the earliest span.

    Spans of one track that overlap without nesting go to further threads, "speak", "speak 2" and so on. The
    file appears whole or not at all: it is written under a temporary name beside `path` and renamed.

    Raises:
        PerfettoError: a folder or disk that cannot be written.
    """
    try:
        _replace(path, _events(list(spans)))
    except OSError as error:
        raise PerfettoError(f"{path}: cannot be written ({error.strerror or error})") from error


def _replace(path: Path, events: Iterable[Event]) -> None:
    if path.is_dir():
        raise IsADirectoryError("is a folder")
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with temporary.open("w", encoding="utf-8") as file:
            file.write('{"displayTimeUnit":"ms","traceEvents":[')
            for index, event in enumerate(events):
                file.write((",\n" if index else "\n") + json.dumps(event, allow_nan=False))
            file.write("\n]}\n")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)  # nothing is left of it after the rename


def _events(spans: list[Span]) -> Iterator[Event]:
    yield _metadata(0, "process_name", "name", "assistant")
    origin_ns = min((span.start_ns for span in spans), default=0)
    tracks: dict[str, list[Event]] = {}
    for span in sorted(spans, key=lambda span: span.start_ns):
        tracks.setdefault(span.track, []).append(_complete(span, origin_ns))
    thread = 0
    for track, events in tracks.items():
        for number, lane in enumerate(_lanes(events), start=1):
            thread += 1
            yield _metadata(thread, "thread_name", "name", track if number == 1 else f"{track} {number}")
            yield _metadata(thread, "thread_sort_index", "sort_index", thread)
            yield from ({**event, "tid": thread} for event in lane)


def _metadata(thread: int, name: str, key: str, value: str | int) -> Event:
    return {"ph": "M", "pid": _PROCESS, "tid": thread, "name": name, "args": {key: value}}


def _complete(span: Span, origin_ns: int) -> Event:
    start_us = (span.start_ns - origin_ns) // 1000
    end_us = (span.end_ns - origin_ns) // 1000
    args = {key: _json_value(value) for key, value in span.attributes.items()}
    if span.session:
        args["session"] = span.session
    if span.reply is not None:
        args["reply"] = span.reply
    return {
        "ph": "X",
        "pid": _PROCESS,
        "name": span.name,
        "ts": start_us,
        "dur": end_us - start_us,
        "args": args,
    }


def _json_value(value: str | float | bool) -> str | float | bool:
    """JSON has no NaN and no infinity, and one of them makes the whole file unreadable."""
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _lanes(events: list[Event]) -> list[list[Event]]:
    """Deal the events of a track out to as few lanes as come greedily, nested within each."""
    lanes: list[list[Event]] = []
    open_ends: list[
        list[int]
    ] = []  # of each lane, the ends of the events around the next one, outermost first
    for event in sorted(events, key=lambda event: (event["ts"], -event["dur"])):
        start, end = event["ts"], event["ts"] + event["dur"]
        for lane, ends in zip(lanes, open_ends, strict=True):
            while ends and ends[-1] <= start:
                ends.pop()
            if not ends or end <= ends[-1]:
                lane.append(event)
                ends.append(end)
                break
        else:
            lanes.append([event])
            open_ends.append([end])
    return lanes
