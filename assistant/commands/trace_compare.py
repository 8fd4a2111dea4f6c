"""`assistant trace compare`: recordings beside each other, and those of another commit."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import typer

import assistant
from assistant.commands.preflight import check_file, readable_clips
from assistant.commands.trace_runs import folders
from assistant.trace.against import record_against
from assistant.trace.compare import MARGIN_MS, Comparison, compare
from assistant.trace.compare_table import as_json, table
from assistant.trace.errors import TraceError
from assistant.trace.paired import measured
from assistant.trace.summary import write_json
from assistant.trace.trace import read_trace

_ROUNDS = 2


def run_compare(
    paths: Sequence[Path],
    against: str | None,
    rounds: int | None,
    keep: Path | None,
    margin_ms: float = MARGIN_MS,
    json: Path | None = None,
    *,
    fail_if_slower: bool = False,
) -> None:
    """Compare the recordings at two `paths`, or make them of clips at `paths` with the commit `against`.

    Exit code 1 if B is slower and that is to fail. Raises TraceError, ClipError and AudioError.
    """
    check_file(json, TraceError)
    if against is None:
        if len(paths) != 2 or rounds is not None or keep is not None:
            raise TraceError("compare: wants two recordings, A and B; --rounds and --keep go with --against")
        found = _compare(folders(paths[0]), folders(paths[1]), margin_ms)
    else:
        clips = [path.resolve() for path in paths or [Path("traces")]]
        readable_clips(clips)
        root = Path(assistant.__file__).resolve().parents[1]
        with _into(keep) as into:
            a, b = record_against(root, against, clips, rounds or _ROUNDS, into, _say)
            found = _compare(a, b, margin_ms)
    typer.echo("\n".join(table(found)))
    if json:
        write_json(json, as_json(found))
    if fail_if_slower and found.verdict == "slower":
        raise SystemExit(1)


def _compare(a: Sequence[Path], b: Sequence[Path], margin_ms: float) -> Comparison:
    """Compare recordings by their folders; of each only its times are kept. Raises TraceError."""
    before, after = ([measured(read_trace(folder)) for folder in side] for side in (a, b))
    return compare(before, after, margin_ms)


@contextmanager
def _into(keep: Path | None) -> Iterator[Path]:
    """Where recordings go: to `keep`, a new folder, or to one that is removed. Raises TraceError."""
    if keep is None:
        with TemporaryDirectory(prefix="assistant-recordings-") as name:
            yield Path(name)
        return
    try:
        keep.mkdir(parents=True)
    except OSError as error:
        raise TraceError(f"{keep}: cannot be made ({error.strerror})") from error
    yield keep.resolve()


def _say(text: str) -> None:
    typer.echo(text, err=True)
