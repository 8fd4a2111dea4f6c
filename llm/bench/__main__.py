"""`python -m llm.bench [MODEL]`: this engine beside llama.cpp, in one run on the same cores, by turns."""

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from llm.bench.command import EXPECTED, default_model
from llm.bench.plan import FULL, QUICK
from llm.bench.report import report, table, write_json
from llm.bench.rounds import Timing
from llm.bench.run import BenchError, run


def bench(
    model: Annotated[Path | None, typer.Argument(help="A GGUF file; by default the assistant's.")] = None,
    json: Annotated[Path | None, typer.Option("--json", help="Write everything to this file.")] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="A little of everything, to see that it works.")
    ] = False,
    threads: Annotated[int, typer.Option(min=1, help="For both engines.")] = 2,
) -> None:
    """Measure this engine beside llama.cpp, and say which goals are met."""
    if json and (json.is_dir() or not json.parent.is_dir()):
        raise BenchError(f"{json}: cannot be written (is a folder, or lies in none)")
    path = model or default_model()
    errors = Console(stderr=True)
    plan = QUICK if quick else FULL
    results = run(path, plan, threads, Timing(plan.rounds), lambda part: errors.print(f"{part} ..."))
    console = Console() if sys.stdout.isatty() else Console(width=150)
    console.print(table(results.entries))
    if results.without:
        console.print(f"Ours only: {results.without}", markup=False)
    if json:
        write_json(json, report(results, path, threads, datetime.now(UTC), quick=quick))


def main() -> None:
    """Run the command line; an error of the user's making is one line and exit code 1."""
    try:
        typer.run(bench)
    except EXPECTED as error:
        typer.echo(f"llm.bench: {error}", err=True)
        raise SystemExit(1) from None


if __name__ == "__main__":
    main()
