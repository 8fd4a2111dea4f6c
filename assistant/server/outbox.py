"""What is to be sent to a client, and what becomes of one that does not read."""

import asyncio
from collections import deque
from typing import Protocol

from websockets.exceptions import ConnectionClosed

_MAX_WAITING = 8 * 2**20  # characters: a few minutes of speech


class Sender(Protocol):
    """Of a WebSocket, what an outbox needs."""

    async def send(self, message: str) -> None: ...  # noqa: D102


class Unread(Exception):  # noqa: N818  # a condition with a name of its own
    """The client does not read what it is sent."""


class Outbox:
    """Messages in order. `put` never waits; `run` sends them until the connection is closed."""

    def __init__(self, sender: Sender, unread_s: float) -> None:
        """A message that the client has not taken after `unread_s` ends the connection."""
        self._sender, self._unread_s = sender, unread_s
        self._messages: deque[str] = deque()
        self._waiting = 0  # characters
        self._filled, self._emptied = asyncio.Event(), asyncio.Event()
        self._emptied.set()

    def put(self, message: str) -> None:
        """Send `message` behind those before it."""
        self._messages.append(message)
        self._waiting += len(message)
        self._filled.set()
        self._emptied.clear()

    async def sent(self) -> None:
        """Wait until all is sent."""
        await self._emptied.wait()

    async def run(self) -> None:
        """Send until the connection is closed; raises Unread."""
        try:
            while True:
                while not self._messages:
                    self._emptied.set()
                    self._filled.clear()
                    await self._filled.wait()
                await self._send(self._messages.popleft())
        except ConnectionClosed:
            return
        finally:
            self._emptied.set()

    async def _send(self, message: str) -> None:
        if self._waiting > _MAX_WAITING:
            raise Unread(f"{self._waiting} characters are waiting to be sent")
        try:
            async with asyncio.timeout(self._unread_s):
                await self._sender.send(message)
        except TimeoutError:
            raise Unread(f"nothing was read for {self._unread_s:g} s") from None
        self._waiting -= len(message)
