"""`--record DIR`: off by default, and said when it is on."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import typer

from assistant.config import Config
from assistant.runtime import Clock, Recorder
from assistant.trace.recording import Recording


@contextmanager
def recorded(
    folder: Path | None,
    config: Config,
    clock: Clock,
    recorder: Recorder,
    say: Callable[[str], None] = typer.echo,
) -> Iterator[Recording | None]:
    """A recording into `folder` with the spans of `recorder`; None without a folder. Raises TraceError."""
    if folder is None:
        yield None
        return
    recording = Recording(folder, config, clock, lambda why: typer.echo(why, err=True))
    say(f"Recording what is said and played into {folder} ...")
    recorder.exporters.append(recording.span)
    try:
        yield recording
    finally:
        recorder.exporters.remove(recording.span)
        if recording.close():
            say(f"The trace is in {folder}.")
