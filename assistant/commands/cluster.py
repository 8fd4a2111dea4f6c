"""`assistant cluster`: the server as replicas of Ray Serve, and how many callers need."""
# ruff: noqa: PLC0415  # Ray is an extra, and takes two seconds

import os
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, Optional

import typer

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


@app.command()
def measure(
    output: Annotated[Path, typer.Argument(help="Where the costs go, as JSON.")],
    clips: Annotated[
        Optional[list[Path]],  # noqa: UP045
        typer.Argument(help="Labelled recordings, or folders of them; by default traces."),
    ] = None,
    repetitions: Annotated[int, typer.Option(min=1, max=20, help="Of all recordings.")] = 3,
    config: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--config", help="TOML file; see docs/configuration.md."),
    ] = None,
) -> None:
    """Measure what conversations cost on this machine, for `plan`; it takes some minutes."""
    from assistant.commands.cluster_measure import run_measure

    run_measure(output, clips or [Path("traces")], repetitions, config)


@app.command()
def plan(
    callers: Annotated[float, typer.Option(help="At once, on average over the busy hour.")],
    machine: Annotated[str, typer.Option(metavar="cores=K[,gpu=NAME][,memory=GB]", help="One replica's.")],
    ttfa_p95: Annotated[
        Optional[float],  # noqa: UP045
        typer.Option(
            "--ttfa-p95", metavar="MS", help="Of time to first audio; by default 1.5 times one caller's."
        ),
    ] = None,
    call_seconds: Annotated[float, typer.Option(help="Mean length of a call.")] = 180.0,
    costs: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="What `measure` wrote; by default those of two cores with AVX2."),
    ] = None,
    json: Annotated[Optional[Path], typer.Option("--json", help="Write the plan here.")] = None,  # noqa: UP045
) -> None:
    """Say how many replicas so many callers need, by measured costs and a simulation."""
    from assistant.commands.cluster_plan import run_plan

    run_plan(callers, machine, ttfa_p95, call_seconds, costs, json)


def _configured(path: Path | None, replicas: int | None, port: int | None) -> "Config":
    from assistant.cluster.replica import RESUME, TOKEN
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
    resume = os.environ.get(RESUME) or config.server.resume
    return replace(config, cluster=cluster, server=replace(config.server, token=token, resume=resume))


def _prepare() -> None:
    """To be called before anything imports Ray; raises ClusterError where there is none."""
    if find_spec("ray") is None:
        raise ClusterError(_MISSING)
    from assistant.cluster.state import prepare

    prepare()
