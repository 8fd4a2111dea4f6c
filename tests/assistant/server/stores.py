"""Where conversations are kept: in memory, as a test tells it to fail, and a real Redis of this machine."""

import asyncio
import shutil
import signal
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from assistant.server.keeper import StoreLost

HOST = "127.0.0.1"
PROGRAM = shutil.which("redis-server", path="/usr/bin:/usr/sbin:/usr/local/bin:/opt/homebrew/bin")
needs_redis = pytest.mark.skipif(PROGRAM is None, reason="redis-server is not installed")


@dataclass
class MemoryStore:
    """`answers` is cleared for a store that hangs, `lost` set for one that fails."""

    saved: list[tuple[str, str]] = field(default_factory=list)
    lost: bool = False
    answers: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.answers.set()

    @property
    def kept(self) -> Mapping[str, str]:
        return dict(self.saved)

    async def load(self, session_id: str) -> bytes | None:
        await self._answer()
        text = self.kept.get(session_id)
        return None if text is None else text.encode()

    async def save(self, session_id: str, text: str) -> None:
        await self._answer()
        self.saved.append((session_id, text))

    async def _answer(self) -> None:
        await self.answers.wait()
        if self.lost:
            raise StoreLost("as the test wants it")


class RedisServer:
    """redis-server without persistence, which can be killed, stopped and started again on the same port."""

    def __init__(self, *options: str) -> None:
        with socket.socket() as probe:
            probe.bind((HOST, 0))
            self.port = int(probe.getsockname()[1])
        self.url = f"redis://{HOST}:{self.port}/0"
        self._options = options
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        assert PROGRAM is not None
        words = ("--port", str(self.port), "--bind", HOST, "--save", "", "--appendonly", "no", *self._options)
        self._process = await asyncio.create_subprocess_exec(
            PROGRAM, *words, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
        stdout, said = self._process.stdout, b""
        assert stdout is not None
        while b"Ready to accept connections" not in (line := await stdout.readline()):
            said += line
            assert line, f"redis-server did not start: {said.decode()}"

    async def kill(self) -> None:
        assert self._process
        self._process.send_signal(signal.SIGKILL)
        await self._process.communicate()

    def signal(self, number: signal.Signals) -> None:
        assert self._process
        self._process.send_signal(number)


@asynccontextmanager
async def running_redis(*options: str) -> AsyncIterator[RedisServer]:
    server = RedisServer(*options)
    await server.start()
    try:
        yield server
    finally:
        await server.kill()
