"""What `assistant trace show` runs."""

import os
import shutil
import sys
from collections.abc import Sequence
from dataclasses import astuple
from pathlib import Path

import typer

from assistant.commands.preflight import check_file
from assistant.commands.trace_runs import read_traces
from assistant.trace.errors import TraceError
from assistant.trace.page import page
from assistant.trace.perfetto import write_perfetto
from assistant.trace.show import BLOCKS, NARROWEST, PLAIN, WIDTH, Glyphs, legend, show
from assistant.trace.summary import write_text
from assistant.trace.timeline import Timeline, timelines
from assistant.trace.trace_spans import trace_spans


def run_show(paths: Sequence[Path], html: Path | None = None, perfetto: Path | None = None) -> None:
    """Draw the turns of the traces at `paths` into files, or, without any, here; raises TraceError."""
    check_file(html, TraceError)
    check_file(perfetto, TraceError)
    if html and perfetto and html.resolve() == perfetto.resolve():
        raise TraceError(f"{html}: cannot be both the page and the trace for Perfetto")
    traces = read_traces(paths)
    if perfetto and len(traces) > 1:
        raise TraceError(f"{perfetto}: would hold {len(traces)} traces on one clock; name one of them")
    turns = [timeline for trace in traces for timeline in timelines(trace)]
    if html:
        write_text(html, page(turns))
        typer.echo(f"{html}: {len(turns)} turns of {len(traces)} traces")
    if perfetto:
        spans = trace_spans(traces[0], turns)
        write_perfetto(spans, perfetto)
        typer.echo(f"{perfetto}: {len(spans)} spans of {len(turns)} turns")
    if not (html or perfetto):
        _draw(turns)


def _draw(turns: Sequence[Timeline]) -> None:
    width = max(NARROWEST, shutil.get_terminal_size((WIDTH, 0)).columns)
    encoding = _encoding()
    glyphs = BLOCKS if _has(encoding, BLOCKS) else PLAIN
    lines = [*legend(glyphs, width), "", *(line for turn in turns for line in show(turn, width, glyphs))]
    for line in lines:
        # typer writes UTF-8 where standard output is ASCII
        typer.echo(line.encode(encoding, "replace").decode(encoding))


def _encoding() -> str:
    """What the terminal can show; ASCII if the C locale was asked for, which Python itself reads as UTF-8."""
    chosen = os.environ.get("LC_ALL") in ("C", "POSIX")
    return "ascii" if chosen else sys.stdout.encoding or "ascii"


def _has(encoding: str, glyphs: Glyphs) -> bool:
    try:
        "".join(astuple(glyphs)).encode(encoding)
    except UnicodeEncodeError:
        return False
    return True
