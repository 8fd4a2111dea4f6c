"""The ASGI application and the proxies' middleware under a real server, asked by a real client."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvicorn
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from assistant.cluster.asgi import AsgiServer
from assistant.cluster.asgi_socket import Asgi, Receive, Scope, Send
from assistant.cluster.restarts import Restarts
from assistant.config import ServerConfig
from assistant.server.metrics import Metrics
from assistant.server.socket import Socket


class Echo:
    capacity, ready = 1, True

    def taken(self) -> int:
        return 0

    async def converse(self, websocket: Socket, draining: asyncio.Event) -> None:
        while (message := await websocket.recv()) != "go":
            assert isinstance(message, str)
            await websocket.send(message)
        await websocket.close(1001, "going")


@asynccontextmanager
async def served(app: Asgi) -> AsyncIterator[str]:
    """The address of a server of `app`."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="on"))
        task = asyncio.create_task(server.serve([sock]))
        try:
            yield f"ws://127.0.0.1:{sock.getsockname()[1]}/v1/realtime"
        finally:
            server.should_exit = True
            await task


def echoing(**settings: Any) -> AsgiServer:  # noqa: ANN401
    return AsgiServer(Echo(), ServerConfig(**settings), Metrics(), ["tiny"], asyncio.Event())


async def test_a_conversation_and_its_end() -> None:
    async with served(echoing()) as url, connect(url, subprotocols=["realtime"]) as client:  # type: ignore[list-item]
        assert client.subprotocol == "realtime"
        await client.send("hello")
        assert await client.recv() == "hello"
        with pytest.raises(InvalidStatus) as full:
            await connect(url)
        response = full.value.response
        assert (response.status_code, response.headers["Retry-After"]) == (503, "5")
        assert json.loads(response.body or b"")["error"]["code"] == "server_busy"
        await client.send("go")
        with pytest.raises(ConnectionClosed) as closed:
            await client.recv()
        assert closed.value.rcvd is not None and closed.value.rcvd.code == 1012


async def test_a_wrong_token_is_refused() -> None:
    async with served(echoing(token="right")) as url:
        with pytest.raises(InvalidStatus) as wrong:
            await connect(url, additional_headers={"Authorization": "Bearer wrong"})
        assert wrong.value.response.status_code == 401
        async with connect(url, additional_headers={"Authorization": "Bearer right"}) as client:
            await client.send("hello")
            assert await client.recv() == "hello"


async def test_a_replica_that_dies_is_a_restart_to_its_client() -> None:
    async def dying(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.accept"})
        else:
            await echoing()(scope, receive, send)

    async with served(Restarts(dying)) as url, connect(url) as client:
        with pytest.raises(ConnectionClosed) as closed:
            await client.recv()
        assert closed.value.rcvd is not None and closed.value.rcvd.code == 1012
