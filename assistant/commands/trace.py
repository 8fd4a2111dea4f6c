"""`assistant trace`: recorded conversations on the virtual clock."""

# ruff: noqa: PLC0415  # as in `assistant.cli`: `--help` must not load a model library

from pathlib import Path
from typing import Annotated, Optional

import typer

app = typer.Typer(help="Recorded conversations, simulated on the virtual clock.", no_args_is_help=True)

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
        typer.Option("--set", help="What if: a key of the configuration, as in turn.min_silence_ms=200."),
    ] = None,
    cores: Annotated[Optional[int], typer.Option(min=1, help="What if: so many cores.")] = None,  # noqa: UP045
) -> None:
    """Run the conversations in TRACES again, with models that answer as recorded and take as long."""
    from assistant.commands.trace_runs import run_simulate

    run_simulate(traces, json, strict, scale or (), set or (), cores)


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
