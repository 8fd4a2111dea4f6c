"""A real broker on a free port of 127.0.0.1, and devices on it that write down what they are told."""

import asyncio
import shutil
import signal
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from getpass import getuser
from math import inf
from pathlib import Path

import pytest
from aiomqtt import Client

HOST = "127.0.0.1"
PROGRAM = shutil.which(
    "mosquitto", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin:/opt/homebrew/sbin"
)
needs_mosquitto = pytest.mark.skipif(PROGRAM is None, reason="mosquitto is not installed")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


class Broker:
    """mosquitto, which can be killed, stopped and started again on the same port."""

    def __init__(self, folder: Path, options: str = "allow_anonymous true") -> None:
        self.port = free_port()
        self._config = folder / "mosquitto.conf"
        self._config.write_text(
            f"listener {self.port} {HOST}\nlog_dest stderr\nuser {getuser()}\n{options}\n", encoding="utf-8"
        )
        self._process: asyncio.subprocess.Process | None = None
        self._log: asyncio.Task[bytes] | None = None

    async def start(self) -> None:
        assert PROGRAM is not None
        pipe = asyncio.subprocess.PIPE
        self._process = await asyncio.create_subprocess_exec(
            PROGRAM, "-c", str(self._config), stdout=asyncio.subprocess.DEVNULL, stderr=pipe
        )
        stderr = self._process.stderr
        assert stderr is not None
        said = b""
        while b" running" not in (line := await stderr.readline()):
            said += line
            assert line, f"mosquitto did not start: {said.decode()}"
        self._log = asyncio.create_task(stderr.read())

    async def kill(self) -> None:
        assert self._process and self._log
        self._process.send_signal(signal.SIGKILL)
        await self._process.wait()
        await self._log

    def signal(self, number: signal.Signals) -> None:
        assert self._process
        self._process.send_signal(number)


@asynccontextmanager
async def running(folder: Path, options: str = "allow_anonymous true") -> AsyncIterator[Broker]:
    broker = Broker(folder, options)
    await broker.start()
    try:
        yield broker
    finally:
        await broker.kill()


Answer = Callable[[str], list[tuple[str, str]]]


class Devices:
    """What they are told is `told`, in order; to each topic's payload they answer with messages."""

    def __init__(self, client: Client, answers: Mapping[str, Answer]) -> None:
        self._client, self._answers = client, answers
        self.told: list[tuple[str, str]] = []
        self._heard: asyncio.Queue[tuple[str, str]] = asyncio.Queue()

    async def listen(self) -> None:
        async for message in self._client.messages:
            assert isinstance(message.payload, bytes)
            told = str(message.topic), message.payload.decode()
            self.told.append(told)
            self._heard.put_nowait(told)
            for topic, payload in self._answers[told[0]](told[1]):
                await self._client.publish(topic, payload, qos=1)

    async def next_told(self) -> tuple[str, str]:
        """What they are told next, of what nobody asked for here."""
        return await self._heard.get()

    async def say(self, topic: str, payload: str | bytes, *, retain: bool = False) -> None:
        """What they announce is retained in any case."""
        await self._client.publish(topic, payload, qos=1, retain=retain or topic.endswith("/config"))


@asynccontextmanager
async def devices(port: int, answers: Mapping[str, Answer] | None = None) -> AsyncIterator[Devices]:
    async with Client(HOST, port, timeout=inf) as client:
        if answers:
            await client.subscribe([(topic, 1) for topic in answers])
        found = Devices(client, answers or {})
        task = asyncio.create_task(found.listen())
        try:
            yield found
        finally:
            task.cancel()
            await asyncio.wait({task})


@asynccontextmanager
async def listening(port: int, topic: str) -> AsyncIterator["asyncio.Queue[tuple[str, str, bool]]"]:
    """What is published on topics from now on, and what is retained: topic, payload, whether retained."""
    queue: asyncio.Queue[tuple[str, str, bool]] = asyncio.Queue()

    async def listen(client: Client) -> None:
        async for message in client.messages:
            assert isinstance(message.payload, bytes)
            queue.put_nowait((str(message.topic), message.payload.decode(), bool(message.retain)))

    async with Client(HOST, port, timeout=inf) as client:
        await client.subscribe(topic, qos=1)
        task = asyncio.create_task(listen(client))
        try:
            yield queue
        finally:
            task.cancel()
            await asyncio.wait({task})
