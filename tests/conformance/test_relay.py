"""The relay, between a client and a server of the websockets library."""

import asyncio
import json
from pathlib import Path

import pytest
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from tests.conformance.relay import relay


async def test_events_pass_and_are_written_down(tmp_path: Path):
    asked: list[str] = []

    async def answer(connection: ServerConnection) -> None:
        assert connection.request
        asked.extend([connection.request.path, connection.request.headers["authorization"]])
        async for message in connection:
            await connection.send(json.dumps({"type": "echo", "of": message}))
            await connection.close(4001, "enough")

    async with serve(answer, "127.0.0.1", 0) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        with relay(f"ws://127.0.0.1:{port}/v1/realtime", tmp_path) as url:
            key = {"Authorization": "Bearer key"}
            async with connect(f"{url}?model=any", additional_headers=key) as client:
                await client.send("x" * 1000)
                echo = json.loads(await client.recv())
                with pytest.raises(ConnectionClosed) as closed:
                    await client.recv()

    assert echo == {"type": "echo", "of": "x" * 1000}
    assert closed.value.rcvd and (closed.value.rcvd.code, closed.value.rcvd.reason) == (4001, "enough")
    assert asked == ["/v1/realtime?model=any", "Bearer key"]
    lines = [json.loads(line) for line in (tmp_path / "000.jsonl").read_text().splitlines()]
    assert [line["from"] for line in lines] == ["client", "server"]
    assert lines[1]["event"]["of"] == f"{'x' * 20}... 1000 characters"


async def test_a_client_that_vanishes_ends_the_connection_to_the_server(tmp_path: Path):
    ended = asyncio.Event()

    async def wait(connection: ServerConnection) -> None:
        await connection.wait_closed()
        ended.set()

    async with serve(wait, "127.0.0.1", 0) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        with relay(f"ws://127.0.0.1:{port}/v1/realtime", tmp_path) as url:
            client = await connect(url)
            client.transport.abort()
            await asyncio.wait_for(ended.wait(), 10)
