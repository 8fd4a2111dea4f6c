"""One replica: the loaded models of a machine, and their conversations, as Ray Serve runs them."""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager, ExitStack, asynccontextmanager, nullcontext
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from assistant.cluster import draining
from assistant.cluster.asgi import AsgiServer
from assistant.cluster.loopback import keep_to_loopback
from assistant.config import Config, config_of
from assistant.server.access import is_loopback
from assistant.server.application import Application
from assistant.server.listen import refuse_open
from assistant.server.logs import configure_logs
from assistant.server.metrics import Metrics
from assistant.server.realtime import Realtime
from assistant.trace.provenance import model_version

Opened = Callable[[Config, Metrics], AbstractContextManager[Application]]
TOKEN, RESUME = "ASSISTANT_TOKEN", "ASSISTANT_RESUME"
"""The variables that hold the token and, with its password, the address of Redis: no manifest has to."""


class Replica:
    """Ready once it is constructed: that loads the models."""

    def __init__(self, table: dict[str, Any], opened: Opened, name: Callable[[], str] = str) -> None:
        """`table` is a configuration as a TOML file holds it, `opened` loads the models.

        Figures and traces know it by its `name`, unless the configuration has another.

        Raises ServerError without a token where `[server] host` is one that others reach.
        """
        config = configured(table)
        named = replace(config.server, replica=config.server.replica or name())
        self._config = replace(config, server=named)
        refuse_open(self._config.server)
        if is_loopback(self._config.server.host):
            keep_to_loopback()
        configure_logs("json", transcripts=self._config.server.log_transcripts)
        self._metrics, self._models = Metrics(named.replica), ExitStack()
        self._application = self._models.enter_context(opened(self._config, self._metrics))

    def __serve_build_asgi_app__(self) -> AsgiServer:
        """Give Serve the application; it calls this behind the constructor."""
        self._draining = asyncio.Event()
        names = [model_version(self._config.llm)]
        server = self._config.server
        return AsgiServer(self._application, server, self._metrics, names, self._draining, self._beside)

    def check_health(self) -> None:
        """Raise RuntimeError if no conversation can be held; Serve starts another replica then."""
        if not self._application.ready:
            raise RuntimeError("the models are not ready")

    @asynccontextmanager
    async def _beside(self) -> AsyncIterator[None]:
        application = self._application
        home = application.beside() if isinstance(application, Realtime) else nullcontext()
        with self._models:
            is_going = draining.going()  # an unknown Serve fails here, before anybody is served
            async with home:
                watch = draining.watch(is_going, self._draining)
                watching = asyncio.create_task(watch, name="draining")
                try:
                    yield
                finally:
                    watching.cancel()
                    await asyncio.wait((watching,))


def table_of(config: Config, host: str) -> dict[str, Any]:
    """What `config` sets, as a TOML file would hold it, for proxies at `host`.

    It has none of the secrets, and no name: each replica has that which Serve gives it.
    """
    server = replace(config.server, token=None, resume=None, replica=Config().server.replica, host=host)
    plain = replace(config, server=server)
    return _differences(asdict(Config()), json.loads(json.dumps(asdict(plain))))


def _differences(defaults: dict[str, Any], values: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in values.items():
        default = defaults[key]
        if isinstance(value, dict) and isinstance(default, dict):
            if inner := _differences(default, value):
                found[key] = inner
        elif value != (list(default) if isinstance(default, tuple) else default):
            found[key] = value
    return found


def configured(table: dict[str, Any]) -> Config:
    """The configuration of a replica: as many threads for the language model as it has CPUs.

    The environment has the secrets that `table` leaves out.
    """
    config = config_of(table, Path("[cluster]"))
    threads = config.llm.threads or max(1, int(config.cluster.cpus))
    server = replace(
        config.server,
        token=config.server.token or os.environ.get(TOKEN),
        resume=config.server.resume or os.environ.get(RESUME),
    )
    return replace(config, llm=replace(config.llm, threads=threads), server=server)
