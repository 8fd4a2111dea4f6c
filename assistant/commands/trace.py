"""`assistant trace`: recorded conversations, simulated and compared."""

# ruff: noqa: PLC0415  # as in `assistant.cli`: `--help` must not load a model library

from pathlib import Path
from typing import Annotated, Optional

import typer

app = typer.Typer(
    help="Recorded conversations: simulated on the virtual clock, and compared.", no_args_is_help=True
)

Traces = Annotated[list[Path], typer.Argument(help="Traces, or folders that hold some.")]
Strict = Annotated[bool, typer.Option("--strict", help="Refuse what was not recorded; load no model.")]


@app.command()
def simulate(
    traces: Traces,
    json: Annotated[Optional[Path], typer.Option("--json", help="Write the report here.")] = None,  # noqa: UP045
    strict: Strict = False,
    scale: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(help="What if: a stage takes so many times as long, as in tts=0.5."),
    ] = None,
    set: Annotated[  # noqa: A002
        Optional[list[str]],  # noqa: UP045
        typer.Option("--set", help="What if: a key that a session reads, as in turn.min_silence_ms=200."),
    ] = None,
    cores: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(metavar="N", help="What if: so many cores, 1 to 4096."),
    ] = None,
    sessions: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(metavar="N", help="What if: each conversation N times at once, 1 to 256."),
    ] = None,
    stagger: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(
            metavar="MS", help="Their beginnings are spread over so long, 0 to 60000; by default 5000."
        ),
    ] = None,
    path: Annotated[bool, typer.Option("--path", help="Show what each wait consists of.")] = False,
) -> None:
    """Run the conversations in TRACES again, with models that answer as recorded and take as long."""
    from assistant.commands.trace_runs import run_simulate

    run_simulate(traces, json, strict, scale or (), set or (), cores, sessions, stagger, paths=path)


@app.command()
def gate(
    traces: Annotated[
        Optional[list[Path]],  # noqa: UP045
        typer.Argument(help="Traces, or folders that hold some; by default traces."),
    ] = None,
    baseline: Annotated[Path, typer.Option(help="What is held against.")] = Path("traces/baseline.json"),
    update: Annotated[
        bool, typer.Option("--update", help="Write the baseline anew, but for its budgets.")
    ] = False,
    strict: Strict = False,
) -> None:
    """Simulate TRACES and exit with 1 if a turn waits longer than in the baseline, naming the part."""
    from assistant.commands.trace_runs import run_gate

    run_gate(traces or [Path("traces")], baseline, update, strict)


@app.command()
def tune(
    traces: Traces,
    over: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(help="A number in [turn] and its range: turn.patience=0.2:0.8. Again for another."),
    ] = None,
    points: Annotated[int, typer.Option(min=1, help="How many settings to try.")] = 60,
    fit_share: Annotated[
        float, typer.Option(min=0, max=1, help="The share of sentences to choose on; the others judge.")
    ] = 0.5,
    cut_ms: Annotated[
        float, typer.Option(min=0, max=3_600_000, help="The wait, in ms, that a turn cut into is as bad as.")
    ] = 3000,
    most_cut: Annotated[
        Optional[float],  # noqa: UP045
        typer.Option(min=0, max=1, help="Choose only what cuts into no larger share of the turns."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of settings, parts and intervals.")] = 0,
    json: Annotated[Optional[Path], typer.Option("--json", help="Write all figures here.")] = None,  # noqa: UP045
    at: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(help="Choose nothing: judge these settings on all turns. Again for others."),
    ] = None,
) -> None:
    """Choose what ends a turn on one part of TRACES, and judge it on the other: wait against cut-ins."""
    from assistant.commands.trace_tune import run_curve, run_tune

    if at:
        run_curve(traces, at, seed, json)
        return
    run_tune(traces, over or (), points, fit_share, cut_ms, most_cut, seed, json)


@app.command()
def show(
    traces: Traces,
    html: Annotated[Optional[Path], typer.Option("--html", help="Write a page for a browser.")] = None,  # noqa: UP045
    perfetto: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--perfetto", help="Write a trace for ui.perfetto.dev."),
    ] = None,
) -> None:
    """Draw the turns in TRACES as they were recorded: who was busy when. By default in the terminal."""
    from assistant.commands.trace_show import run_show

    run_show(traces, html, perfetto)


@app.command()
def record(
    traces: Traces,
    into: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="A folder for the new traces; by default they replace the old ones."),
    ] = None,
) -> None:
    """Hold the conversations of TRACES again on this machine, in real time, and record them anew."""
    from assistant.commands.trace_record import run_record

    run_record(traces, into)


@app.command()
def compare(
    paths: Annotated[
        Optional[list[Path]],  # noqa: UP045
        typer.Argument(help="A and B, traces or folders of repeated ones; clips with --against."),
    ] = None,
    against: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(metavar="COMMIT", help="Record the clips with this commit (A) and this tree (B)."),
    ] = None,
    rounds: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(min=1, max=100, help="So many recordings of each, by turns; by default 2."),
    ] = None,
    keep: Annotated[Optional[Path], typer.Option(help="Keep the recordings in this new folder.")] = None,  # noqa: UP045
    margin: Annotated[
        float, typer.Option(min=0.1, max=60_000, help="Differences within so many ms are the same.")
    ] = 5.0,
    json: Annotated[Optional[Path], typer.Option("--json", help="Write the report here.")] = None,  # noqa: UP045
    fail_if_slower: Annotated[
        bool, typer.Option("--fail-if-slower", help="Exit with 1 if B is slower.")
    ] = False,
) -> None:
    """Compare real recordings turn by turn: slower, faster, same or undecided, and which part."""
    from assistant.commands.trace_compare import run_compare

    run_compare(paths or [], against, rounds, keep, margin, json, fail_if_slower=fail_if_slower)
