"""Streams, sink and source on a fake sound system and virtual time."""

from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from fake_port import FakePort

from assistant.microphone.devices.defaults import AskDefaults, Defaults
from assistant.microphone.devices.sink import SpeakerSink
from assistant.microphone.devices.streams import Streams, Wanted
from assistant.runtime import VirtualLoop, run_virtual

MS = 1_000_000
T = TypeVar("T")


async def at_once(call: Callable[[], T]) -> T:
    return call()


class Rig:
    def __init__(self, port: FakePort | None = None, loop: VirtualLoop | None = None) -> None:
        self.loop = loop or VirtualLoop()
        self.port = port or FakePort()
        self.port.loop = self.loop
        self.sink = SpeakerSink(self.loop.clock)
        self.told: list[str] = []
        self.defaults: Defaults | None = None  # what the system says, where it can be asked

    async def open(self, wanted: Wanted | None = None) -> Streams:
        """The streams, opened; the loop runs."""

        def blocking(call: Callable[[], T]) -> Awaitable[T]:
            return at_once(call)

        self.streams = Streams(
            self.port,
            wanted or Wanted(),
            self.sink,
            self.loop.clock,
            blocking,
            self.told.append,
            self.follow,
        )
        await self.streams.open()
        return self.streams

    @asynccontextmanager
    async def follow(self) -> AsyncIterator[AskDefaults]:
        async def ask() -> Defaults | None:
            return self.defaults

        yield ask

    def run(self, main: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run `main` between opening and closing the streams."""

        async def whole() -> None:
            await self.open()
            try:
                await main()
            finally:
                await self.streams.close()

        run_virtual(whole(), self.loop)

    async def until(self, ms: float) -> None:
        await self.loop.clock.sleep_until(round(ms * MS))

    @property
    def now_ms(self) -> float:
        return self.loop.clock.now_ns() / MS
