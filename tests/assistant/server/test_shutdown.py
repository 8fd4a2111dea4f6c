"""The end of a server, by signals to a process of its own."""

import asyncio
import json
import os
import re
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from raw_client import TEXT, ask, close, frame, handshake, request, upgraded
from serving import Echo, serving

HERE = Path(__file__).parent
ROOT = HERE.parents[2]


@dataclass
class Served:
    process: asyncio.subprocess.Process
    port: int

    async def ended(self) -> tuple[int, str, list[dict[str, Any]]]:
        """Exit code, what it printed behind its addresses, and its log."""
        out, err = await self.process.communicate()
        assert self.process.returncode is not None
        return self.process.returncode, out.decode(), [json.loads(line) for line in err.splitlines()]


@asynccontextmanager
async def served(drain_s: float) -> AsyncIterator[Served]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-W",
        "error",
        str(HERE / "serve_echo.py"),
        str(drain_s),
        "json",
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{HERE}"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        line = (await process.stdout.readline()).decode()
        said = re.fullmatch(r"listening on ws://127\.0\.0\.1:(\d+)/v1/realtime\n", line)
        assert said, line
        page = await process.stdout.readline()
        assert page == f"page at http://127.0.0.1:{said[1]}/\n".encode()
        yield Served(process, int(said[1]))
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_lets_the_reply_end_and_takes_nobody_new(number: signal.Signals) -> None:
    async with served(drain_s=60) as server, upgraded(server.port) as talking, upgraded(server.port) as idle:
        await talking.send(frame(TEXT, b"reply"))
        await idle.send(frame(TEXT, b"hello"))
        assert (await talking.frame(), await idle.frame()) == ((TEXT, b"reply"), (TEXT, b"hello"))
        server.process.send_signal(number)
        assert await idle.closing() == 1001
        refused = await ask(server.port, handshake())
        assert (refused.status, refused.error["code"]) == (503, "server_draining")
        assert "retry-after" in refused.headers
        assert (await ask(server.port, request("/readyz"))).status == 503
        assert (await ask(server.port, request("/healthz"))).status == 200
        await talking.send(frame(TEXT, b"finish"))
        assert await talking.frame() == (TEXT, b"finish")
        assert await talking.closing() == 1001
        await talking.send(close(1001))
        await idle.send(close(1001))
        code, out, log = await server.ended()
    assert (code, out) == (0, "closed 1\n")
    assert [line["code"] for line in log if line["event"] == "connection closed"] == [1001, 1001]
    assert {line["level"] for line in log} == {"info"}


async def test_a_reply_without_end_is_closed_when_the_time_is_up() -> None:
    async with served(drain_s=0.1) as server, upgraded(server.port) as talking:
        await talking.send(frame(TEXT, b"reply"))
        assert await talking.frame() == (TEXT, b"reply")
        server.process.send_signal(signal.SIGTERM)
        assert await talking.closing() == 1001
        await talking.send(close(1001))
        code, out, _ = await server.ended()
    assert (code, out) == (0, "closed 1\n")


async def test_a_second_signal_ends_it_at_once() -> None:
    async with served(drain_s=60) as server, upgraded(server.port) as talking:
        await talking.send(frame(TEXT, b"reply"))
        assert await talking.frame() == (TEXT, b"reply")
        server.process.send_signal(signal.SIGTERM)
        while (await ask(server.port, request("/readyz"))).status != 503:
            pass
        server.process.send_signal(signal.SIGTERM)
        code, out, _ = await server.ended()
    assert (code, out) == (1, "")


async def test_a_server_without_clients_ends_at_once() -> None:
    async with served(drain_s=60) as server:
        server.process.send_signal(signal.SIGTERM)
        assert (await server.ended())[:2] == (0, "closed 1\n")


async def test_a_connection_that_says_nothing_holds_up_no_end() -> None:
    async with serving(handshake_s=3600.0) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        await ask(server.port, request("/healthz"))  # so the one before was accepted
        server.stop.set()
        await server.task
        assert await reader.read() == b""
        writer.close()


async def test_a_conversation_that_does_not_end_is_cancelled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("assistant.server.server._CLOSE_S", 0.05)
    cancelled = asyncio.Event()

    class Stuck(Echo):
        async def converse(self, websocket: object, draining: asyncio.Event) -> None:
            try:
                await asyncio.Event().wait()
            finally:
                cancelled.set()

    async with serving(Stuck(), drain_s=0.0) as server, upgraded(server.port):
        server.stop.set()
        await server.task
    assert cancelled.is_set()
