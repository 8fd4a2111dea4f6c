"""`assistant models`: list, fetch, verify and locate the models."""

import contextlib
from collections.abc import Iterator
from typing import Annotated

import typer

from assistant.models import ModelStore, Progress

app = typer.Typer(help="List, fetch, verify and locate the models.", no_args_is_help=True)

Names = Annotated[list[str] | None, typer.Argument(help="Models by name; without any, all but the optional.")]
Force = Annotated[bool, typer.Option("--force", help="Download again what is already there.")]


@app.command("list")
def list_models(context: typer.Context) -> None:
    """Show every model of the catalogue and the state of its file."""
    store = _store(context)
    row = "{:<29}{:<10}{:>9}  {:<14}{}"
    typer.echo(row.format("name", "role", "size", "licence", "state"))
    for spec in store.catalog.values():
        state = store.status(spec.name).state + (" (optional)" if spec.optional else "")
        size = f"{spec.size / 1e6:.1f} MB" if spec.size else "-"
        typer.echo(row.format(spec.name, spec.role, size, spec.licence, state))


@app.command()
def fetch(context: typer.Context, names: Names = None, force: Force = False) -> None:
    """Download what is missing, with each file's SHA-256 checked."""
    store = _store(context)
    names = names or store.default_names()
    fetch_with_bar(store, names, force=force)
    typer.echo(f"verified in {store.root}: {', '.join(names)}")


@app.command()
def verify(context: typer.Context, names: Names = None) -> None:
    """Check the files against their SHA-256; exit 1 if one is missing or corrupt."""
    store = _store(context)
    states = store.verify(names or store.default_names())
    for state in states:
        typer.echo(state.problem or f"model {state.name}: ok")
    if any(state.problem for state in states):
        raise typer.Exit(1)


@app.command()
def path(context: typer.Context, name: str) -> None:
    """Print where a model's file is, fetched if it is missing and verified."""
    store = _store(context)
    fetch_with_bar(store, [name])
    typer.echo(store.path(name))


def fetch_with_bar(store: ModelStore, names: list[str], *, force: bool = False) -> None:
    """Fetch as ModelStore.fetch does, with a progress bar on stderr while something is downloaded."""
    with contextlib.ExitStack() as stack:
        bars: list[Progress] = []

        def progress(label: str, done: int, total: int) -> None:
            # A full cache must not pay for importing and drawing a bar that never moves.
            if not bars:
                bars.append(stack.enter_context(progress_bar()))
            bars[0](label, done, total)

        store.fetch(names, force=force, progress=progress)


@contextlib.contextmanager
def progress_bar() -> Iterator[Progress]:
    """Draw one bar per download on stderr, with size, speed and time left."""
    # Here and not at the top: it takes 100 ms, which `assistant --help` would pay too.
    from rich import progress as rich_progress  # noqa: PLC0415
    from rich.console import Console  # noqa: PLC0415

    columns = (
        rich_progress.TextColumn("{task.description}"),
        rich_progress.BarColumn(),
        rich_progress.DownloadColumn(),
        rich_progress.TransferSpeedColumn(),
        rich_progress.TimeRemainingColumn(),
    )
    with rich_progress.Progress(*columns, console=Console(stderr=True)) as bars:
        tasks: dict[str, rich_progress.TaskID] = {}

        def update(label: str, done: int, total: int) -> None:
            if label not in tasks:
                tasks[label] = bars.add_task(label, total=total)
            bars.update(tasks[label], completed=done)

        yield update


def _store(context: typer.Context) -> ModelStore:
    return context.find_object(ModelStore) or ModelStore()
