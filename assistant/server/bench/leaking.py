"""The control of the churn: an application that loses a little of everything, so that the check can fail."""

import asyncio
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from assistant.config import Config
from assistant.server.application import Application
from assistant.server.metrics import Metrics
from assistant.server.socket import Socket

Opened = Callable[[Config, Metrics], AbstractContextManager[Application]]

_BYTES = 1_000_000
_FIRST_LOST_PLACE = 80  # behind the warm-up
LEAKED = frozenset({"threads", "descriptors", "tasks", "sessions", "memory_mb"})
"""The names, as in Held, of what it leaks."""


class Leaking:
    """Of every conversation it keeps a task, a thread, a descriptor and a megabyte, and of one its place."""

    def __init__(self, application: Application) -> None:
        self._application = application
        self.ready, self.capacity = application.ready, application.capacity
        self._held = 0
        self._tasks: list[asyncio.Task[bool]] = []
        self._descriptors: list[int] = []
        self._memory: list[bytes] = []
        self._over = threading.Event()

    def taken(self) -> int:
        """See Application; one more behind the first few conversations."""
        return self._application.taken() + (self._held >= _FIRST_LOST_PLACE)

    async def converse(self, websocket: Socket, draining: asyncio.Event) -> None:
        """See Application."""
        try:
            await self._application.converse(websocket, draining)
        finally:
            self._leak()

    def _leak(self) -> None:
        self._held += 1
        self._tasks.append(asyncio.create_task(asyncio.Event().wait(), name="leaked"))
        self._descriptors.append(os.dup(0))
        self._memory.append(os.urandom(_BYTES))  # zeros would take no memory
        threading.Thread(target=self._over.wait, name="leaked", daemon=True).start()


def leaking(opened: Opened) -> Opened:
    """Open applications as `opened` does, but leaking ones."""

    @contextmanager
    def open_leaking(config: Config, metrics: Metrics) -> Iterator[Application]:
        with opened(config, metrics) as application:
            yield Leaking(application)

    return open_leaking
