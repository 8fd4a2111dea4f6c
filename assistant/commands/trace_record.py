"""`assistant trace record`: the conversations of traces, held once more."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import typer

from assistant.commands.replay import play, print_turn
from assistant.commands.trace_runs import read_traces
from assistant.runtime import Recorder
from assistant.trace.again import lines_of
from assistant.trace.errors import TraceError
from assistant.trace.replay import Line
from assistant.trace.trace import Trace


def run_record(paths: Sequence[Path], into: Path | None) -> None:
    """Record the traces at `paths` again, each by its own configuration; raises TraceError."""
    traces = read_traces(paths)
    with TemporaryDirectory() as folder:
        lines = [lines_of(trace, _made(Path(folder) / str(index))) for index, trace in enumerate(traces)]
        for trace, of in zip(traces, lines, strict=True):
            typer.echo(f"{trace.name}:")
            _record(trace, of, into / trace.name if into else None)


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def _record(trace: Trace, lines: list[Line], new: Path | None) -> None:
    """Into `new`, or else in the place of the old trace, once the new one is whole."""
    beside = trace.folder.with_name(f".{trace.name}.part")
    try:
        play(lines, trace.config, Recorder(), record=new or beside, on_turn=print_turn)
        if new is None:
            _replace(trace.folder, beside)
    except OSError as error:
        raise TraceError(f"{trace.folder}: cannot be replaced ({error.strerror})") from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _replace(old: Path, new: Path) -> None:
    away = old.with_name(f".{old.name}.old")
    old.rename(away)
    new.rename(old)
    shutil.rmtree(away)
