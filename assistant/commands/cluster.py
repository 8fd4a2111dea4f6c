"""`assistant cluster`: the server as replicas of Ray Serve, on this machine or written down for others."""
# ruff: noqa: PLC0415  # Ray is an extra, and takes two seconds

import os
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, Optional

import typer

from assistant.cluster.environment import ENVIRONMENT
from assistant.cluster.errors import ClusterError

if TYPE_CHECKING:
    from assistant.config import Config

app = typer.Typer(help="The server as replicas of Ray Serve.", no_args_is_help=True)

_MISSING = "a cluster needs Ray, which is not installed: pip install -e '.[cluster]'"
ConfigOption = Annotated[
    Optional[Path], typer.Option("--config", help="TOML file; see docs/configuration.md.")  # noqa: UP045
]
ReplicasOption = Annotated[Optional[int], typer.Option(min=1, max=10_000, help="At least so many.")]  # noqa: UP045
PortOption = Annotated[Optional[int], typer.Option(min=1, max=65_535, help="Of Serve's proxy.")]  # noqa: UP045


@app.command()
def up(config: ConfigOption = None, replicas: ReplicasOption = None, port: PortOption = None) -> None:
    """Start replicas on this machine, or give those that run this configuration, one after the other."""
    _prepare()
    from assistant.commands.cluster_local import bring_up

    bring_up(_configured(config, replicas, port))


@app.command()
def status() -> None:
    """Say which replicas run on this machine, and how many conversations each has."""
    _prepare()
    from assistant.commands.cluster_local import say_status

    say_status()


@app.command()
def down() -> None:
    """Let conversations finish their turns, and end what `up` has started."""
    _prepare()
    from assistant.commands.cluster_local import bring_down

    bring_down()


@app.command()
def manifest(
    kind: Annotated[Literal["serve", "kuberay"], typer.Option(help="For serve deploy, or for Kubernetes.")],
    config: ConfigOption = None,
    replicas: ReplicasOption = None,
    port: PortOption = None,
    image: Annotated[
        str, typer.Option(help="For kuberay: has Ray and this package in it.")
    ] = "assistant:latest",
) -> None:
    """Print a cluster as YAML, without the token."""
    from assistant.cluster.manifest import kuberay_manifest, serve_manifest, text

    whole = _configured(config, replicas, port)
    typer.echo(text(serve_manifest(whole) if kind == "serve" else kuberay_manifest(whole, image)), nl=False)


def _configured(path: Path | None, replicas: int | None, port: int | None) -> "Config":
    from assistant.cluster.replica import TOKEN
    from assistant.config import read_config

    config = read_config(path)
    own = config.cluster
    least = own.replicas if replicas is None else replicas
    cluster = replace(
        own,
        replicas=least,
        max_replicas=max(least, own.max_replicas),
        port=own.port if port is None else port,
    )
    token = os.environ.get(TOKEN) or config.server.token
    return replace(config, cluster=cluster, server=replace(config.server, token=token))


def _prepare() -> None:
    """To be called before anything imports Ray; raises ClusterError where there is none."""
    if find_spec("ray") is None:
        raise ClusterError(_MISSING)
    os.environ.update(ENVIRONMENT)
