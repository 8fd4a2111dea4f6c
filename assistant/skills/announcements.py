"""What is to be said without being asked, in every conversation that is open."""

import asyncio
from collections.abc import AsyncIterator

_WAITING = 16  # that a conversation may leave unsaid; older ones are dropped


class Announcements:
    """Call it with words, in the thread of the event loop."""

    def __init__(self) -> None:
        self._listeners: set[asyncio.Queue[str]] = set()

    def __call__(self, text: str) -> None:
        """Say `text` wherever somebody listens."""
        for listener in self._listeners:
            if listener.full():
                listener.get_nowait()
            listener.put_nowait(text)

    async def listen(self) -> AsyncIterator[str]:
        """What is said from now on."""
        queue: asyncio.Queue[str] = asyncio.Queue(_WAITING)
        self._listeners.add(queue)
        try:
            while True:
                yield await queue.get()
        finally:
            self._listeners.discard(queue)
