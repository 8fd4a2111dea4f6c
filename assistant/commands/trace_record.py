"""`assistant trace record`: the conversations of traces, held once more."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import soundfile
import typer

from assistant.commands.replay import play, print_turn
from assistant.commands.trace_runs import read_traces
from assistant.runtime import Recorder
from assistant.trace.again import lines_of
from assistant.trace.errors import TraceError
from assistant.trace.replay import Line
from assistant.trace.trace import Trace, read_trace


def run_record(paths: Sequence[Path], into: Path | None) -> None:
    """Record the traces at `paths` again, each by its own configuration; raises TraceError."""
    traces = read_traces(paths)
    places = _places(traces, into)
    with TemporaryDirectory() as folder:
        lines = [_lines(trace, Path(folder) / str(index)) for index, trace in enumerate(traces)]
        for trace, of, place in zip(traces, lines, places, strict=True):
            typer.echo(f"{trace.name}:")
            _record(trace, of, place, replaces=into is None)
            typer.echo(f"The trace is in {place}.")


def _places(traces: Sequence[Trace], into: Path | None) -> list[Path]:
    """Where the new traces go; raises TraceError if that is no place for each."""
    places = [into / trace.name if into else trace.folder.resolve() for trace in traces]
    for place in places:
        if places.count(place) > 1:
            raise TraceError(f"{place}: two traces would be recorded there")
        if into and place.exists():
            raise TraceError(f"{place}: is there already")
    return places


def _lines(trace: Trace, folder: Path) -> list[Line]:
    """What is to be played, written into the new `folder`; raises TraceError."""
    try:
        folder.mkdir()
        return lines_of(trace, folder)
    except (OSError, soundfile.SoundFileError) as error:
        reason = getattr(error, "strerror", None) or error
        raise TraceError(f"{trace.folder}: its clips cannot be written ({reason})") from error


def _record(trace: Trace, lines: list[Line], place: Path, *, replaces: bool) -> None:
    """Record beside `place`, and put the new trace there once it is whole."""
    with _beside(place) as beside:
        new = beside / "new"
        play(lines, trace.config, Recorder(), record=new, on_turn=print_turn, say=lambda _: None)
        try:
            read_trace(new)
        except TraceError as error:
            raise TraceError(f"{place}: is not written: the recording ended early") from error
        try:
            _put(new, place, beside / "old" if replaces else None)
        except OSError as error:
            raise TraceError(f"{place}: cannot be written ({error.strerror})") from error


@contextmanager
def _beside(place: Path) -> Iterator[Path]:
    """A hidden folder beside `place` that no other process uses; raises TraceError."""
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        folder = TemporaryDirectory(dir=place.parent, prefix=f".{place.name}.", ignore_cleanup_errors=True)
    except OSError as error:
        raise TraceError(f"{place}: cannot be written ({error.strerror})") from error
    with folder as name:
        yield Path(name)


def _put(new: Path, place: Path, old: Path | None) -> None:
    """Move `new` to `place`, and what is there to `old`; raises OSError, and then all is as it was."""
    try:
        if old:
            place.rename(old)
        new.rename(place)
    except BaseException:
        if old and old.exists():
            old.rename(place)
        raise
