"""What the server needs of the conversations inside it."""

import asyncio
from typing import Protocol

from assistant.server.socket import Socket


class Application(Protocol):
    """The loaded models, and one conversation for each connection."""

    @property
    def ready(self) -> bool:
        """Whether the models are loaded, and can be used."""
        ...

    @property
    def capacity(self) -> int:
        """How many conversations there can be at once."""
        ...

    def taken(self) -> int:
        """How many places are in use; asked at every handshake, so it must answer at once."""
        ...

    async def converse(self, websocket: Socket, draining: asyncio.Event) -> None:
        """Hold one accepted connection to its end, and give its place back before returning.

        When `draining` is set, it finishes its turn and closes with 1001 by itself.
        """
        ...
