"""`assistant trace tune`: the settings that end turns, tried on recorded conversations."""

from collections.abc import Callable, Sequence
from pathlib import Path

import typer

from assistant.commands.preflight import check_file
from assistant.commands.trace_runs import Loading, usable_traces
from assistant.trace.errors import TraceError
from assistant.trace.summary import write_json
from assistant.trace.trace import Trace
from assistant.trace.tune import curve
from assistant.trace.tune.draw import lines
from assistant.trace.tune.settings import DEFAULT, ranges_of
from assistant.trace.tune.sweep import Sweep
from assistant.trace.tune.tune import Plan, as_json, tune
from assistant.trace.unrecorded import Unrecorded

_TOLD = 10  # points


def run_tune(
    paths: Sequence[Path],
    over: Sequence[str],
    points: int,
    fit_share: float,
    cut_ms: float,
    most_cut: float | None,
    seed: int,
    json: Path | None,
) -> None:
    """Choose settings on a part of the turns in traces at `paths`, judge them on the other, and print both.

    Raises TraceError.
    """
    plan = Plan(ranges_of(over or DEFAULT), points, fit_share, cut_ms, most_cut, seed)
    check_file(json, TraceError)
    sweep = Sweep(usable_traces(paths), _by_config())
    tuned = tune(sweep, plan, _tell)
    typer.echo("\n".join(lines(tuned, sweep)))
    if json:
        write_json(json, as_json(tuned, sweep))


def run_curve(paths: Sequence[Path], at: Sequence[str], seed: int, json: Path | None) -> None:
    """Judge settings like turn.patience=0.5 on all turns in traces at `paths`, and print what they are worth.

    Raises TraceError.
    """
    check_file(json, TraceError)
    sweep = Sweep(usable_traces(paths), _by_config())
    found = curve.curve(sweep, at, seed)
    typer.echo("\n".join(curve.lines(found, sweep)))
    if json:
        write_json(json, curve.as_json(found))


def _tell(number: int) -> None:
    if number and number % _TOLD == 0:
        typer.echo(f"{number} settings tried ...", err=True)


def _by_config() -> Callable[[Trace], Unrecorded]:
    """The real models of a trace, which traces of one configuration share."""
    shared: dict[str, Unrecorded] = {}
    loading = Loading()

    def unrecorded(trace: Trace) -> Unrecorded:
        sessions = trace.config.llm.sessions
        return shared.setdefault(
            repr(trace.config), Unrecorded(trace.folder, loading.of(trace), sessions=sessions)
        )

    return unrecorded
