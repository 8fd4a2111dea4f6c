"""A server on a free port of this machine, with a conversation that is scripted."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field, replace

from websockets.asyncio.server import ServerConnection

from assistant.config import ServerConfig
from assistant.server.listen import Listener, listen
from assistant.server.metrics import Metrics
from assistant.server.server import PING_S, run_server

LOCAL = ServerConfig(port=0)


@dataclass
class Echo:
    """Sends back what it gets. `reply` begins a reply, which `finish` ends; meanwhile it does not drain."""

    capacity: int = 4
    ready: bool = True
    begun: int = 0
    held: set[ServerConnection] = field(default_factory=set)
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)
    replying: set[ServerConnection] = field(default_factory=set)

    def taken(self) -> int:
        return len(self.held)

    async def converse(self, websocket: ServerConnection, draining: asyncio.Event) -> None:
        self.begun += 1
        self.held.add(websocket)
        watch = asyncio.create_task(self._drain(websocket, draining))
        try:
            async for message in websocket:
                await self._answer(websocket, message)
        finally:
            watch.cancel()
            await asyncio.wait([watch])
            self.held.discard(websocket)
            async with self.changed:
                self.changed.notify_all()

    async def _answer(self, websocket: ServerConnection, message: str | bytes) -> None:
        await websocket.send(message)
        if message == "reply":
            self.replying.add(websocket)
        elif message == "finish":
            async with self.changed:
                self.replying.discard(websocket)
                self.changed.notify_all()

    async def _drain(self, websocket: ServerConnection, draining: asyncio.Event) -> None:
        await draining.wait()
        async with self.changed:
            await self.changed.wait_for(lambda: websocket not in self.replying)
        await websocket.close(1001)

    async def left(self, count: int) -> None:
        """Return when so many converse."""
        async with self.changed:
            await self.changed.wait_for(lambda: len(self.held) == count)


@dataclass
class Serving:
    port: int
    application: Echo
    metrics: Metrics
    stop: asyncio.Event
    task: asyncio.Task[None]

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/v1/realtime"


@asynccontextmanager
async def serving(
    application: Echo | None = None,
    *,
    ping_s: float = PING_S,
    metrics: Metrics | None = None,
    **settings: object,
) -> AsyncIterator[Serving]:
    """A server with these `settings`; it has ended, and left no task, when the block is left."""
    before = asyncio.all_tasks()
    config = replace(LOCAL, **settings)  # type: ignore[arg-type]
    application, metrics, stop = application or Echo(), metrics or Metrics(), asyncio.Event()
    ready = asyncio.Event()
    with closing(listen(config)) as listener:
        running = run_server(
            application,
            config,
            metrics,
            listener,
            stop,
            models=["tiny"],
            on_ready=ready.set,
            ping_s=ping_s,
        )
        task = asyncio.create_task(running)
        await _either(ready, task)
        try:
            yield Serving(_port(listener), application, metrics, stop, task)
        finally:
            stop.set()
            await task
    assert asyncio.all_tasks() == before


async def _either(ready: asyncio.Event, task: asyncio.Task[None]) -> None:
    waiting = asyncio.create_task(ready.wait())
    await asyncio.wait([waiting, task], return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    if task.done():
        task.result()


def _port(listener: Listener) -> int:
    port: int = listener.sock.getsockname()[1]
    return port
