"""`assistant models`: list, fetch, verify and locate the models, add and remove your own."""
# ruff: noqa: PLC0415  # `assistant --help` must not load what reads a model

from pathlib import Path
from typing import Annotated, Optional

import typer

from assistant.models.own import load_own
from assistant.models.progress import fetch_with_bar
from assistant.models.store import ModelStore

app = typer.Typer(
    help="List, fetch, verify and locate the models, add and remove your own.", no_args_is_help=True
)

Names = Annotated[list[str] | None, typer.Argument(help="Models by name; without any, all but the optional.")]
Force = Annotated[bool, typer.Option("--force", help="Download again what is already there.")]


@app.command("list")
def list_models(context: typer.Context) -> None:
    """Show every model of the catalogue and the state of its file."""
    store = _store(context)
    width = max(map(len, store.catalog), default=0) + 2
    row = f"{{:<{width}}}{{:<10}}{{:>9}}  {{:<14}}{{}}"
    typer.echo(row.format("name", "role", "size", "licence", "state"))
    for spec in store.catalog.values():
        state: str = store.status(spec.name).state if spec.is_pinned else "not pinned until fetched"
        state += " (optional)" if spec.optional else ""
        size = f"{spec.size / 1e6:.1f} MB" if spec.size else "-"
        typer.echo(row.format(spec.name, spec.role, size, spec.licence, state))
    typer.echo("The default voice, hibari-heart, comes with the package hibari-tts.")


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


@app.command()
def add(
    context: typer.Context,
    source: Annotated[
        str, typer.Argument(help="hub:OWNER/REPO/FILE.gguf, with @REVISION or without, or a .gguf file.")
    ],
    name: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="What to call it; by default as the file."),
    ] = None,
) -> None:
    """Add a language model: fetch it if it is on the hub, and check that it can be run."""
    from assistant.commands.models_add import run_add

    run_add(_store(context), source, name)


@app.command()
def remove(context: typer.Context, name: str) -> None:
    """Forget a model that was added, and delete its file if it was fetched."""
    # Without the shipped catalogue: where the two contradict each other, this is the remedy.
    store = context.find_object(ModelStore) or ModelStore(catalog=load_own())
    removed = store.remove(name)
    kept = f"; {removed.source} stays" if isinstance(removed.source, Path) else ""
    typer.echo(f"removed {name}{kept}")


def _store(context: typer.Context) -> ModelStore:
    return context.find_object(ModelStore) or ModelStore()
