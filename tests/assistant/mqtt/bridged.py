"""A bridge on a broker, and waiting for what it tells."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from random import Random

from brokers import HOST, Devices

from assistant.config import MqttConfig
from assistant.mqtt.bridge import Bridge
from assistant.mqtt.broker import Login
from assistant.mqtt.callbacks import Callbacks

PASSWORDLESS = Login(None, None)


@dataclass
class Bridged:
    """The bridge, the lines that it told, and what it was asked to do."""

    bridge: Bridge
    lines: "asyncio.Queue[str]"
    asked: "asyncio.Queue[object]"
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    async def told(self, part: str) -> str:
        """The next line with `part` in it; the others are passed over."""
        while part not in (line := await self.lines.get()):
            pass
        return line

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait for a change of the entities after which `holds`."""
        while not holds():
            self.changed.clear()
            await self.changed.wait()

    async def caught_up(self, devices: Devices) -> None:
        """Wait until all is read that the devices have said: what they announce now comes behind it."""
        marker = "homeassistant/button/marker/config"
        await devices.say(marker, '{"name": "marker", "cmd_t": "nowhere"}')
        await self.until(lambda: "button/marker" in [entity.id for entity in self.bridge.entities])
        await devices.say(marker, "")
        await self.until(lambda: "button/marker" not in [entity.id for entity in self.bridge.entities])


@asynccontextmanager
async def bridged(
    port: int,
    *,
    callbacks: bool = False,
    login: Login = PASSWORDLESS,
    answer_s: float = 20.0,
    **config: object,
) -> AsyncIterator[Bridged]:
    """Connected unless it cannot be; it tries again soon. Commands wait long, for slow machines."""
    lines: asyncio.Queue[str] = asyncio.Queue()
    asked: asyncio.Queue[object] = asyncio.Queue()
    offered = Callbacks(tell=lines.put_nowait)
    if callbacks:
        offered = replace(offered, say=asked.put_nowait, mute=asked.put_nowait)
    settings = MqttConfig(host=HOST, port=port, **config)  # type: ignore[arg-type]
    bridge = Bridge(
        settings,
        login,
        offered,
        answer_s=answer_s,
        random=Random(0),
        wait_s=lambda _, random: random.random() / 10,
    )
    found = Bridged(bridge, lines, asked)
    bridge.changed = found.changed.set
    task = asyncio.create_task(bridge.run())
    try:
        async with asyncio.timeout(30):  # a test that waits for what never comes fails
            yield found
    finally:
        task.cancel()
        await asyncio.wait({task})
        assert task.cancelled(), task.exception()
