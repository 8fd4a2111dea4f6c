"""`assistant models`: list, fetch, verify and locate the models."""

from typing import Annotated

import typer

from assistant.models.progress import fetch_with_bar
from assistant.models.store import ModelStore

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


def _store(context: typer.Context) -> ModelStore:
    return context.find_object(ModelStore) or ModelStore()
