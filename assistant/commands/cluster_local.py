"""`assistant cluster up`, `status` and `down` on this machine."""
# ruff: noqa: PLC0415  # Ray reads the environment when it is imported, and `prepare` sets that

import os
from threading import Timer
from typing import Any

import typer

from assistant.cluster import local
from assistant.cluster.errors import ClusterError
from assistant.cluster.replica import table_of
from assistant.cluster.resources import check_room
from assistant.config import Config

_DOWN_S = 120.0  # Serve has a minute for its replicas, and half a one for itself


def bring_up(config: Config) -> None:
    """Start Ray and the replicas of `config`, or update those that run; raises ClusterError."""
    here, started = local.running_or_started(config)
    if here.port != config.cluster.port:
        raise ClusterError(f"a cluster runs at port {here.port}: assistant cluster down")
    try:
        with local.connected(here):
            _run(config)
    except BaseException:
        if started:
            local.stop(here)
        raise
    typer.echo(f"serving at {here.url}\npage at http://{local.HOST}:{here.port}/")


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
    """Let the replicas drain, and end Ray, also one that does not answer; raises ClusterError."""
    here = _running()
    late = Timer(_DOWN_S, _end, (here,))
    late.daemon = True
    late.start()
    try:
        with local.connected(here):
            from ray import serve

            from assistant.cluster.deployment import NAME

            serve.delete(NAME)  # waits for the replicas; `shutdown` would end the proxies before them
            serve.shutdown()
    finally:
        late.cancel()
        local.stop(here)


def _end(here: local.Local) -> None:
    """Behind calls of Ray's that cannot be broken off: they wait for ever for one that does not answer."""
    local.stop(here)
    typer.echo(f"assistant: Ray did not answer for {_DOWN_S:.0f} s, and was ended", err=True)
    os._exit(1)


def _run(config: Config) -> None:
    import ray
    from ray import serve

    from assistant.cluster.deployment import NAME
    from assistant.commands.cluster_app import build

    check_room(config.cluster, ray.cluster_resources())
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
