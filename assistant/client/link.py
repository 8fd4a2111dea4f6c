"""A connection to a server that is opened again when it is lost."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterable
from typing import Protocol

from websockets.exceptions import ConnectionClosed

from assistant.client.errors import RealtimeError, lost, no_realtime
from assistant.client.state import Event
from assistant.runtime import Clock
from assistant.server.outbox import Outbox, Unread

_READY_S = 10.0
_UNREAD_S = 10.0
_AGAIN_S = (0.5, 1, 2, 4, 8, 8, 8, 8, 8, 8)
"""Waits before the attempts to connect again: for about a minute."""
_LASTED_NS = 30_000_000_000  # a connection that has lasted so long was a good one


class WebSocket(Protocol):
    """Of a connection of `websockets`, what is used here."""

    async def send(self, message: str) -> None: ...  # noqa: D102
    async def recv(self) -> str | bytes: ...  # noqa: D102
    async def close(self) -> None: ...  # noqa: D102


class Conversation(Protocol):
    """What is held over connections, one after the other."""

    @property
    def ready(self) -> bool:
        """Whether the server has taken what `begin` gave."""
        ...

    def begin(self) -> Iterable[Event]:
        """A connection is open: the events to send first."""
        ...

    def take(self, event: Event) -> None:
        """An event of the server's; raises RealtimeError for what is none."""
        ...

    def go_on(self, *, again: bool) -> None:
        """The connection is ready; `again` if it is not the first."""
        ...

    def break_off(self) -> None:
        """The connection is lost, with all that the server knows."""
        ...


class Link:
    """Run it once; `dial` opens a connection to `url`, and raises RealtimeError."""

    def __init__(
        self,
        url: str,
        dial: Callable[[], Awaitable[WebSocket]],
        conversation: Conversation,
        clock: Clock,
        say: Callable[[str], None],
    ) -> None:
        self._url, self._dial, self._conversation = url, dial, conversation
        self._clock, self._say = clock, say
        self._outbox: Outbox | None = None  # of a connection that is ready
        self._connections = 0

    @property
    def up(self) -> bool:
        """Whether there is a connection that is ready."""
        return self._outbox is not None

    def send(self, events: Iterable[Event]) -> None:
        """Send events, or drop them if there is no connection."""
        for event in events:
            if self._outbox is not None:
                self._outbox.put(json.dumps(event))

    async def run(self) -> None:
        """Stay connected until cancelled; raises RealtimeError where that cannot be."""
        websocket, attempts = await self._dial(), 0
        while True:
            begun_ns = self._clock.now_ns()
            why = await self._hold(websocket)
            self._outbox = None
            self._conversation.break_off()
            if not why.again or not self._connections:
                raise why
            attempts = 0 if self._clock.now_ns() - begun_ns > _LASTED_NS else attempts
            websocket, attempts = await self._dial_again(why, attempts)

    async def _dial_again(self, why: RealtimeError, attempts: int) -> tuple[WebSocket, int]:
        for number, wait_s in enumerate(_AGAIN_S[attempts:], attempts + 1):
            self._say(f"{why}; connecting again in {wait_s:g} s")
            await self._clock.sleep_until(self._clock.now_ns() + int(wait_s * 1e9))
            try:
                return await self._dial(), number
            except RealtimeError as error:
                if not error.again:
                    raise
                why = error
        raise why

    async def _hold(self, websocket: WebSocket) -> RealtimeError:
        """Converse over one connection; why it ended."""
        outbox = Outbox(websocket, _UNREAD_S)
        try:
            async with asyncio.TaskGroup() as group:
                sending = group.create_task(outbox.run(), name="outbox")
                for event in self._conversation.begin():
                    outbox.put(json.dumps(event))
                why = await self._read(websocket, outbox)
                sending.cancel()
        except* Unread:
            why = RealtimeError("the server reads nothing any more", again=True)
        finally:
            await websocket.close()
        return why

    async def _read(self, websocket: WebSocket, outbox: Outbox) -> RealtimeError:
        """Follow what the server sends; why that ended."""
        try:
            async with asyncio.timeout(_READY_S):
                while not self._conversation.ready:
                    self._take(await websocket.recv())
            self._outbox = outbox
            self._connections += 1
            self._conversation.go_on(again=self._connections > 1)
            while True:
                self._take(await websocket.recv())
        except ConnectionClosed as closed:
            return lost(self._url, closed)
        except TimeoutError:
            return no_realtime(self._url)
        except RealtimeError as error:
            return error

    def _take(self, message: str | bytes) -> None:
        try:
            event = json.loads(message)
        except ValueError as error:
            raise no_realtime(self._url) from error
        self._conversation.take(event)
