"""The admitted connections: places, tasks, counts and log lines."""

import asyncio
import time
from contextlib import suppress

from websockets.exceptions import ConnectionClosed

from assistant.server.application import Application
from assistant.server.logs import Tally, begin_tally, logger
from assistant.server.metrics import Metrics
from assistant.server.socket import Socket


class Conversations:
    """Holds a place for each connection from the 101 answer until its conversation has returned."""

    def __init__(self, application: Application, metrics: Metrics, draining: asyncio.Event) -> None:
        self._application, self._metrics, self._draining = application, metrics, draining
        self._places: set[Socket] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        metrics.watch_sessions(self.in_use, application.capacity)

    def in_use(self) -> int:
        """How many places are in use."""
        return max(len(self._places), self._application.taken())

    @property
    def full(self) -> bool:
        """Whether there is no place left."""
        return self.in_use() >= self._application.capacity

    def admit(self, connection: Socket) -> None:
        """Take a place for the connection whose task this is; it ends with the task at the latest."""
        task = asyncio.current_task()
        assert task is not None
        self._places.add(connection)
        self._tasks.add(task)
        started, counts, remote = time.monotonic(), begin_tally(), connection.remote
        self._metrics.session_opened()
        logger().info("connection opened", id=connection.name, remote=remote)

        def ended(task: asyncio.Task[None]) -> None:
            self._tasks.discard(task)
            self._places.discard(connection)
            self._close(connection, remote, counts, time.monotonic() - started)

        task.add_done_callback(ended)

    async def hold(self, connection: Socket) -> None:
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

    def _close(self, connection: Socket, remote: str, counts: Tally, seconds: float) -> None:
        self._metrics.session_closed(seconds)
        logger().info(
            "connection closed",
            id=connection.name,
            remote=remote,
            code=connection.ended_with,
            seconds=round(seconds, 3),
            turns=counts.turns,
            errors=counts.errors,
        )
