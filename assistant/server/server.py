"""The server from its first connection to its last."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from websockets.asyncio.server import Server, ServerConnection, serve

from assistant.config import ServerConfig
from assistant.runtime import Clock, LagProbe, Recorder
from assistant.server.application import Application
from assistant.server.conversations import Conversations
from assistant.server.guarded import Guard, GuardedConnection
from assistant.server.handshake import Handshake, select_subprotocol
from assistant.server.listen import Listener
from assistant.server.logs import logger
from assistant.server.metrics import LAG_PROBES, Metrics
from assistant.server.routes import Routes

PING_S = 20.0
_CLOSE_S = 2.0  # in which a client answers our close frame


async def run_server(
    application: Application,
    config: ServerConfig,
    metrics: Metrics,
    listener: Listener,
    stop: asyncio.Event,
    *,
    models: Sequence[str],
    on_ready: Callable[[], None],
    ping_s: float = PING_S,
) -> None:
    """Serve until `stop` is set, then let the conversations finish their turns.

    From then on new ones are refused with 503; after `drain_s` seconds those that are left are closed with
    1001. Returns when the last connection is closed. A client that leaves a ping unanswered for `ping_s`
    seconds is closed with 1011.
    """
    draining = asyncio.Event()
    conversations = Conversations(application, metrics, draining)
    routes = Routes(application, config, conversations, metrics, models, draining)
    handshake = Handshake(config, application, conversations, routes, metrics, draining)
    guard = Guard()

    async def hold(connection: ServerConnection) -> None:
        assert isinstance(connection, GuardedConnection), "the guard makes them"
        await conversations.hold(connection)

    server = await serve(
        hold,
        sock=listener.sock,
        ssl=listener.tls,
        create_connection=guard.connect,  # type: ignore[arg-type]  # it may be a factory, its documentation says
        select_subprotocol=select_subprotocol,
        compression=None,
        process_request=handshake.request,
        process_response=handshake.response,
        server_header=None,
        open_timeout=config.handshake_s,
        ping_interval=ping_s,
        ping_timeout=ping_s,
        close_timeout=_CLOSE_S,
        max_size=config.message_bytes,
    )
    try:
        async with watched_loop(metrics):
            on_ready()
            await stop.wait()
            draining.set()
            logger().info("draining", sessions=conversations.in_use())
            await conversations.ended(config.drain_s)
    finally:
        await _close(server, guard, conversations)


@asynccontextmanager
async def watched_loop(metrics: Metrics) -> AsyncIterator[None]:
    """Measure the event loop's lag, and count its tasks, for `metrics`."""
    probe = LagProbe(Clock(), Recorder(capacity=1), LAG_PROBES)  # the figures are read, the spans are not
    metrics.watch_loop(probe)
    metrics.watch_tasks(lambda: len(asyncio.all_tasks()))
    async with asyncio.TaskGroup() as group:
        task = group.create_task(probe.run(), name="lag")
        try:
            yield
        finally:
            task.cancel()


async def _close(server: Server, guard: Guard, conversations: Conversations) -> None:
    """Close what is left with 1001, and cancel conversations that do not end even then."""
    guard.drop_unopened()
    server.close()
    if not await conversations.ended(2 * _CLOSE_S):
        logger().warning("conversations cancelled")
        conversations.cancel()
    await server.wait_closed()
