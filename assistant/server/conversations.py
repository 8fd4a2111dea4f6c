"""The admitted connections: places, tasks, counts and log lines."""

import asyncio
import time
from contextlib import suppress

from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from assistant.server.application import Application
from assistant.server.logs import Tally, begin_tally, logger
from assistant.server.metrics import Metrics

_ABNORMAL = 1006  # RFC 6455, 7.4.1: no close frame was exchanged


class Conversations:
    """Holds a place for each connection from the 101 answer until its conversation has returned."""

    def __init__(self, application: Application, metrics: Metrics, draining: asyncio.Event) -> None:
        self._application, self._metrics, self._draining = application, metrics, draining
        self._places: set[ServerConnection] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        metrics.watch_sessions(self.in_use, application.capacity)

    def in_use(self) -> int:
        """How many places are in use."""
        return max(len(self._places), self._application.taken())

    @property
    def full(self) -> bool:
        """Whether there is no place left."""
        return self.in_use() >= self._application.capacity

    def admit(self, connection: ServerConnection) -> None:
        """Take a place for the connection whose task this is; it ends with the task at the latest."""
        task = asyncio.current_task()
        assert task is not None
        self._places.add(connection)
        self._tasks.add(task)
        started, counts, remote = time.monotonic(), begin_tally(), remote_address(connection)
        self._metrics.session_opened()
        logger().info("connection opened", id=str(connection.id), remote=remote)

        def ended(task: asyncio.Task[None]) -> None:
            self._tasks.discard(task)
            self._places.discard(connection)
            self._close(connection, remote, counts, time.monotonic() - started)

        task.add_done_callback(ended)

    async def hold(self, connection: ServerConnection) -> None:
        """Hold the conversation of an admitted connection."""
        try:
            with suppress(ConnectionClosed):
                await self._application.converse(connection, self._draining)
        finally:
            self._places.discard(connection)

    async def ended(self, within_s: float) -> bool:
        """Wait for all connections to end; returns whether they have."""
        if not self._tasks:
            return True
        _, pending = await asyncio.wait(self._tasks, timeout=within_s)
        return not pending

    def cancel(self) -> None:
        """Cancel the conversations that have not ended."""
        for task in self._tasks:
            task.cancel()

    def _close(self, connection: ServerConnection, remote: str, counts: Tally, seconds: float) -> None:
        self._metrics.session_closed(seconds)
        logger().info(
            "connection closed",
            id=str(connection.id),
            remote=remote,
            code=_close_code(connection),
            seconds=round(seconds, 3),
            turns=counts.turns,
            errors=counts.errors,
        )


def _close_code(connection: ServerConnection) -> int:
    """What ended the connection: our close code, which echoes the client's where the client closed."""
    close = connection.protocol.close_sent or connection.protocol.close_rcvd
    return _ABNORMAL if close is None else int(close.code)


def remote_address(connection: ServerConnection) -> str:
    """Host and port of the client, for a log. A TLS connection that is closed no longer knows them."""
    address = connection.remote_address
    return "gone" if address is None else f"{address[0]}:{address[1]}"
