"""What a conversation needs of its WebSocket, whichever library holds it."""

from collections.abc import Mapping
from typing import Protocol


class Socket(Protocol):
    """An accepted WebSocket. Once it is closed, `send` and `recv` raise `websockets`' ConnectionClosed."""

    @property
    def name(self) -> str:
        """What logs call it."""
        ...

    @property
    def path(self) -> str:
        """The target of its request, with the query."""
        ...

    @property
    def headers(self) -> Mapping[str, str]:
        """Of its request."""
        ...

    @property
    def remote(self) -> str:
        """Host and port of the client, for a log."""
        ...

    @property
    def ended_with(self) -> int:
        """Our close code, which echoes the client's where the client closed; 1006 if there was none."""
        ...

    async def send(self, message: str) -> None:
        """Send a text message, once the client has taken those before it."""
        ...

    async def recv(self) -> str | bytes:
        """The next message; one that is no UTF-8 closes the connection with 1007."""
        ...

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Close it in the protocol's way. Nothing happens if it is closed."""
        ...

    def abort(self) -> None:
        """Drop it at once, for a client that reads nothing."""
        ...
