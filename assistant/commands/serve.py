"""`assistant serve`: remote clients over WebSocket."""

import asyncio
import os
import signal
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    asynccontextmanager,
    closing,
    contextmanager,
    nullcontext,
)
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import typer

from assistant.commands.household import at_home, open_skills
from assistant.commands.record import recorded
from assistant.commands.serve_resume import open_store
from assistant.commands.serve_wyoming import open_wyoming, say_wyoming, serve_wyoming
from assistant.config import Config, ServerConfig, read_config
from assistant.models.load import load_pool, locate
from assistant.models.store import ModelStore
from assistant.runtime import Clock, PassedOn, Recorder
from assistant.server.access import is_loopback
from assistant.server.application import Application
from assistant.server.errors import ServerError
from assistant.server.listen import Listener, listen
from assistant.server.logs import LogStyle, configure_logs, logger
from assistant.server.metrics import Metrics
from assistant.server.realtime import Realtime
from assistant.server.server import run_server
from assistant.trace.provenance import model_version

if TYPE_CHECKING:  # it needs an optional package
    from assistant.server.redis_store import RedisStore

_SPANS = 2000  # that are kept

Opened = Callable[[Config, Metrics], AbstractContextManager[Application]]


def read_settings(
    path: Path | None,
    host: str | None,
    port: int | None,
    token: str | None,
    tls: tuple[Path, Path] | None,
    wyoming: str | None = None,
    replica: str | None = None,
    otel: Literal["console", "otlp"] | None = None,
    resume: str | None = None,
) -> Config:
    """The configuration, with what the command line sets; raises ConfigError and ServerError."""
    config = read_config(path)
    cert, key = map(str, tls) if tls else (config.server.tls_cert, config.server.tls_key)
    try:
        server = replace(
            config.server,
            host=config.server.host if host is None else host,
            port=config.server.port if port is None else port,
            token=token or config.server.token,
            tls_cert=cert,
            tls_key=key,
            wyoming=config.server.wyoming if wyoming is None else wyoming,
            replica=config.server.replica if replica is None else replica,
            otel=otel or config.server.otel,
            resume=resume or config.server.resume,
        )
    except ValueError as error:
        raise ServerError(str(error)) from error
    return replace(config, server=server)


def run_serve(
    config: Config, log: LogStyle, opened: Opened | None = None, record: Path | None = None
) -> None:
    """Load the models, say the address, and serve until a signal asks for the end.

    What is said is recorded into the folder `record`. Raises ServerError and TraceError.

    It listens first: a server that cannot have its port should not load its models. Clients that come
    while they are loaded wait.
    """
    configure_logs(log, transcripts=config.server.log_transcripts)
    metrics = Metrics(config.server.replica)
    open_models = opened or partial(loaded, record=record)
    with (
        closing(listen(config.server)) as listener,
        open_wyoming(config.server, record) or nullcontext() as wyoming,
        open_models(config, metrics) as application,
    ):
        asyncio.run(_serve(application, config, metrics, listener, wyoming))


@contextmanager
def loaded(config: Config, metrics: Metrics, record: Path | None = None) -> Iterator[Application]:
    """The conversations on models that are loaded for them."""
    config = replace(config, turn=replace(config.turn, reversible=False))  # clients have the audio already
    store = open_store(config.server, record)
    clock, recorder = Clock(), Recorder(_SPANS)
    with (
        traced(config.server, clock, recorder),
        recorded(record, config, clock, recorder) as recording,
        open_skills(config) as skills,
    ):
        tap = recording.tap if recording else None
        pool = load_pool(config, locate(config, ModelStore()), clock, tap, skills.open)
        try:
            skills.open()  # a skill that cannot be used is told now, and not to each client
            metrics.watch_cache(lambda: pool.kv_bytes)
            metrics.watch_queues(pool.pending)
            metrics.watch_waits(recorder)
            home = partial(at_home, config, skills, pool.expect, tell=_tell_home)
            yield Realtime(
                pool,
                config,
                clock,
                recorder,
                metrics,
                model_version(config.llm),
                recording=recording,
                beside=partial(_beside, home, store),
                store=store,
            )
        finally:
            pool.close()


@contextmanager
def traced(config: ServerConfig, clock: Clock, recorder: Recorder) -> Iterator[None]:
    """Export what is recorded, or only pass on which traces sessions belong to. Raises OtelError."""
    if config.otel == "off":
        recorder.traces = PassedOn()
        yield
        return
    from assistant.trace.otel import exporter  # noqa: PLC0415  # optional, and slow to import

    with exporter(config.otel, clock, config.replica) as export:
        recorder.traces = export
        recorder.exporters.append(export.export)
        yield


async def _serve(
    application: Application,
    config: Config,
    metrics: Metrics,
    listener: Listener,
    wyoming: socket.socket | None,
) -> None:
    stop = asyncio.Event()

    def say_ready() -> None:
        if listener.tls is None and not is_loopback(config.server.host):
            logger().warning("without TLS, speech and token can be read on the way")
        typer.echo(f"listening on {listener.url}\npage at {listener.page}")
        if wyoming is not None:
            say_wyoming(config.server, wyoming)

    with _signals(stop):
        beside = application.beside() if isinstance(application, Realtime) else nullcontext()
        async with beside, asyncio.TaskGroup() as group:
            serving = run_server(
                application,
                config.server,
                metrics,
                listener,
                stop,
                models=[model_version(config.llm)],
                on_ready=say_ready,
            )
            group.create_task(serving, name="server")
            if wyoming is not None:
                assert isinstance(application, Realtime), "Wyoming needs the models themselves"
                group.create_task(serve_wyoming(application, wyoming, stop), name="wyoming")


@asynccontextmanager
async def _beside(
    home: Callable[[], AbstractAsyncContextManager[object]], store: "RedisStore | None"
) -> AsyncIterator[None]:
    async with home(), store or nullcontext():
        yield


def _tell_home(line: str) -> None:
    logger().info("home", what=line)


@contextmanager
def _signals(stop: asyncio.Event) -> Iterator[None]:
    """SIGTERM and Ctrl-C set `stop`; a second one ends the process at once, with code 1."""
    loop = asyncio.get_running_loop()
    wanted = (signal.SIGTERM, signal.SIGINT)

    def asked() -> None:
        if stop.is_set():
            os._exit(1)
        stop.set()

    for number in wanted:
        loop.add_signal_handler(number, asked)
    try:
        yield
    finally:
        for number in wanted:
            loop.remove_signal_handler(number)
