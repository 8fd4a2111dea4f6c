"""One Wyoming client: its socket, its requests one behind the other, and how it ends."""

import asyncio
from collections.abc import Awaitable
from contextlib import suppress
from typing import Any, TypeVar

from wyoming.error import Error
from wyoming.event import Event

from assistant.server.logs import logger
from assistant.server.outbox import Unread
from assistant.server.wire import WireError
from assistant.session.context import one_line
from assistant.wyoming.requests import Requests
from assistant.wyoming.service import Service
from assistant.wyoming.wire import read_event, write_event

T = TypeVar("T")

_EVENTS_READ_AHEAD = 2


class _Gone(Exception):  # noqa: N818  # it ends the tasks of a connection
    """The client has closed its side."""


class Connection:
    """Run it once; see Link."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, service: Service) -> None:
        self.idle = False
        """Whether it waits for a request."""
        self._reader, self._writer, self._service, self._limits = reader, writer, service, service.limits
        self._events: asyncio.Queue[Event | WireError | None] = asyncio.Queue(_EVENTS_READ_AHEAD)
        self._gone = asyncio.Event()
        self._last = False
        self._requests = Requests(self, service)

    def end_after_request(self) -> None:
        """Take no request after the present one."""
        self._last = True

    async def run(self) -> None:
        """Serve until the client has gone, or is told why it is cut off; the socket is closed then."""
        try:
            refusal = await self._served()
            if refusal is not None:
                await self._refuse(refusal)
        finally:
            self._writer.close()

    async def refuse(self, error: WireError) -> None:
        """Turn the client away."""
        try:
            await self._refuse(error)
        finally:
            self._writer.close()

    async def _served(self) -> WireError | None:
        """Serve; returns why the client is cut off, if it is to be told."""
        refusal: WireError | None = None
        try:
            async with asyncio.TaskGroup() as group:
                reading = group.create_task(self._read(), name="wyoming.read")
                await self._serve()
                reading.cancel()
        except* (_Gone, OSError):
            pass
        except* Unread as unread:
            logger().warning("wyoming client cut off", why=one_line(unread))
            self._writer.transport.abort()
        except* WireError as errors:
            refusal = _first(errors)
        except* Exception as errors:  # noqa: BLE001  # a model may raise anything; the server goes on
            logger().error("wyoming request failed", exc_info=errors)
            refusal = WireError("internal", one_line(errors))
        return refusal

    async def _refuse(self, error: WireError) -> None:
        logger().warning("wyoming request refused", code=error.code, why=error.message)
        self._service.metrics.event_error(error.code)
        with suppress(OSError, Unread):
            await self.send(Error(error.message, error.code).event())
            self._writer.write_eof()
            async with asyncio.timeout(self._limits.linger_s):
                while await self._reader.read(self._limits.wire.header):
                    pass

    async def _read(self) -> None:
        """Read ahead, so that it is noticed when the client goes."""
        try:
            while (event := await read_event(self._reader, self._limits.wire)) is not None:
                await self._events.put(event)
        except WireError as error:
            await self._events.put(error)
            return
        self._gone.set()
        await self._events.put(None)

    async def next(self, within_s: float) -> Event:
        """The next event; raises WireError if it cannot be read, or none comes."""
        try:
            async with asyncio.timeout(within_s):
                event = await self._events.get()
        except TimeoutError:
            raise WireError("timeout", f"nothing came for {within_s:g} s") from None
        if event is None:
            raise _Gone
        if isinstance(event, WireError):
            raise event
        return event

    async def send(self, event: Event) -> None:
        """Send `event`; raises Unread and OSError."""
        await write_event(event, self._writer, self._limits.unread_s)

    async def _serve(self) -> None:
        while not self._last:
            self.idle = True
            event = await self.next(self._limits.idle_s)
            self.idle = False
            await self._requests.handle(event)

    async def unless_gone(self, work: Awaitable[T]) -> T:
        """What `work` gives; it is given up when the client goes."""
        async with asyncio.TaskGroup() as group:
            watch = group.create_task(self._raise_when_gone(), name="wyoming.gone")
            result = await work
            watch.cancel()
        return result

    async def _raise_when_gone(self) -> None:
        await self._gone.wait()
        raise _Gone


def _first(group: BaseExceptionGroup[WireError]) -> WireError:
    found: Any = group
    while isinstance(found, BaseExceptionGroup):
        found = found.exceptions[0]
    assert isinstance(found, WireError), "split off by its type"
    return found
