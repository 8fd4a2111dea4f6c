"""`assistant cluster up`, `status` and `down` on this machine."""
# ruff: noqa: PLC0415  # Ray reads the environment when it is imported, and `prepare` sets that

from typing import Any

import typer

from assistant.cluster import local
from assistant.cluster.errors import ClusterError
from assistant.cluster.replica import table_of
from assistant.config import Config


def bring_up(config: Config) -> None:
    """Start Ray and the replicas of `config`, or update those that run; raises ClusterError."""
    port = config.cluster.port
    found = local.running()
    if found is not None and found.port != port:
        raise ClusterError(f"a cluster runs at port {found.port}: assistant cluster down")
    here = found or local.start(config, port)
    try:
        with local.connected(here):
            _run(config)
    except BaseException:
        if found is None:
            local.stop(here)
        raise
    typer.echo(f"serving at {here.url}\npage at http://{local.HOST}:{port}/")


def say_status() -> None:
    """One line for each replica, and the address; raises ClusterError."""
    here = _running()
    with local.connected(here):
        from assistant.cluster.replicas import replicas

        found = replicas()
    for one in found:
        typer.echo(f"replica {one.name}: {one.state}, {one.conversations} conversations, process {one.pid}")
    typer.echo(f"serving at {here.url}")


def bring_down() -> None:
    """Let the replicas drain, and end Ray; raises ClusterError."""
    here = _running()
    with local.connected(here):
        from ray import serve

        from assistant.cluster.deployment import NAME

        serve.delete(NAME)  # waits for the replicas; `shutdown` would end the proxies before them
        serve.shutdown()
    local.stop(here)


def _run(config: Config) -> None:
    from ray import serve

    from assistant.cluster.deployment import NAME
    from assistant.commands.cluster_app import build

    serve.start(
        proxy_location="HeadOnly",
        http_options={"host": local.HOST, "port": config.cluster.port},
        logging_config={"enable_access_log": False, "log_level": "WARNING"},
    )
    try:
        serve.run(build(_table(config)), name=NAME, route_prefix="/")
    except RuntimeError as error:
        why = str(error).splitlines()[0]
        raise ClusterError(f"the replicas did not start: {why} Ray's logs of the session say more") from error


def _table(config: Config) -> dict[str, Any]:
    """With the secrets, which stay on this machine."""
    table = table_of(config, local.HOST)
    if config.server.token is not None:
        table.setdefault("server", {})["token"] = config.server.token
    if config.server.resume is not None:
        table.setdefault("server", {})["resume"] = config.server.resume
    return table


def _running() -> local.Local:
    here = local.running()
    if here is None:
        raise ClusterError("no cluster runs here: assistant cluster up starts one")
    return here
