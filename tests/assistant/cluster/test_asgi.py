"""The ASGI application by hand: each message of the specification, without a server between."""

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed

from assistant.cluster.asgi import AsgiServer
from assistant.config import ServerConfig
from assistant.server.metrics import Metrics
from assistant.server.socket import Socket

TOKEN = "a-token"
NO_RESPONSE = {"websocket.http.response": {}}


@dataclass
class Echo:
    """Sends back what it gets, with where it came from, until it drains."""

    capacity: int = 1
    ready: bool = True
    paths: list[str] = field(default_factory=list)
    ended: list[int] = field(default_factory=list)

    def taken(self) -> int:
        return 0

    async def converse(self, websocket: Socket, draining: asyncio.Event) -> None:
        self.paths.append(websocket.path)
        close = asyncio.create_task(self._drain(websocket, draining))
        try:
            while True:
                await websocket.send(f"{await websocket.recv()!r}")
        except ConnectionClosed as closed:
            self.ended.append(closed.rcvd.code if closed.rcvd else 0)
            raise
        finally:
            close.cancel()

    async def _drain(self, websocket: Socket, draining: asyncio.Event) -> None:
        await draining.wait()
        await websocket.close(1001, "the server is shutting down")


class Client:
    """One connection: what it sends, and what it has been sent."""

    def __init__(self, app: AsgiServer, kind: str = "websocket", **scope: object) -> None:
        self.sent: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.inbox: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        whole = {"path": "/v1/realtime", "query_string": b"", "headers": [], "client": ("127.0.0.1", 9)}
        self.task = asyncio.create_task(app({"type": kind, **whole, **scope}, self.inbox.get, self.sent.put))

    def say(self, kind: str, **message: object) -> None:
        self.inbox.put_nowait({"type": f"websocket.{kind}", **message})

    async def told(self) -> dict[str, Any]:
        async with asyncio.timeout(5):
            return await self.sent.get()

    async def answer(self) -> tuple[int, dict[bytes, bytes], bytes]:
        """Status, headers and body, in whichever messages they come."""
        start, body = await self.told(), await self.told()
        assert start["type"].endswith("http.response.start") and body["type"].endswith("http.response.body")
        return start["status"], dict(start["headers"]), body["body"]


def server(application: Echo | None = None, **settings: object) -> AsgiServer:
    config = ServerConfig(**settings)  # type: ignore[arg-type]
    return AsgiServer(application or Echo(), config, Metrics(), ["tiny"], asyncio.Event())


async def accepted(app: AsgiServer, **scope: object) -> Client:
    client = Client(app, **scope)
    client.say("connect")
    assert await client.told() == {"type": "websocket.accept", "subprotocol": None}
    return client


async def test_messages_go_both_ways_until_the_client_closes() -> None:
    echo = Echo()
    client = await accepted(server(echo), query_string=b"model=gpt-realtime")
    client.say("receive", text="hello")
    assert await client.told() == {"type": "websocket.send", "text": "'hello'"}
    client.say("receive", bytes=b"\0")
    assert await client.told() == {"type": "websocket.send", "text": "b'\\x00'"}
    client.say("disconnect", code=1000, reason="")
    await client.task
    assert client.sent.empty()
    assert (echo.paths, echo.ended) == (["/v1/realtime?model=gpt-realtime"], [1000])


async def test_a_server_that_goes_away_says_service_restart() -> None:
    app = server()
    client = await accepted(app)
    app.draining.set()
    close = {"type": "websocket.close", "code": 1012, "reason": "the server is shutting down"}
    assert await client.told() == close
    client.say("disconnect", code=1012)
    await client.task


async def test_a_message_that_is_too_long_closes_the_connection() -> None:
    client = await accepted(server(message_bytes=1024))
    client.say("receive", text="x" * 1025)
    assert (await client.told())["code"] == 1009
    await client.task


async def test_the_subprotocol_is_chosen_and_never_the_token() -> None:
    offered = ["openai-insecure-api-key.a-token", "realtime"]
    headers = [(b"sec-websocket-protocol", ", ".join(offered).encode())]
    client = Client(server(token=TOKEN), subprotocols=offered, headers=headers)
    client.say("connect")
    assert (await client.told())["subprotocol"] == "realtime"
    client.task.cancel()


async def refused(app: AsgiServer, **scope: object) -> tuple[int, str, dict[bytes, bytes]]:
    client = Client(app, extensions=NO_RESPONSE, **scope)
    client.say("connect")
    status, headers, body = await client.answer()
    await client.task
    return status, json.loads(body)["error"]["code"], headers


async def test_what_the_single_server_refuses_is_refused_before_the_upgrade() -> None:
    assert (await refused(server(token=TOKEN)))[:2] == (401, "invalid_api_key")
    elsewhere = [(b"origin", b"https://elsewhere.example"), (b"host", b"127.0.0.1:8000")]
    assert (await refused(server(), headers=elsewhere))[:2] == (403, "origin_not_allowed")
    assert (await refused(server(), path="/v1/other"))[:2] == (404, "not_found")


@pytest.mark.parametrize("state", ["busy", "loading", "draining"])
async def test_who_comes_at_a_bad_time_is_told_when_to_come_again(state: str) -> None:
    app = server(Echo(ready=state != "loading"), retry_after_s=7)
    if state == "busy":
        first = await accepted(app)
    elif state == "draining":
        app.draining.set()
    status, code, headers = await refused(app)
    assert (status, code, headers[b"retry-after"]) == (503, f"server_{state}", b"7")
    if state == "busy":
        first.say("disconnect", code=1000)
        await first.task
        await accepted(app)  # its place is free again


async def test_a_server_without_the_extension_accepts_and_closes() -> None:
    client = Client(server(token=TOKEN))
    client.say("connect")
    assert (await client.told())["type"] == "websocket.accept"
    assert await client.told() == {"type": "websocket.close", "code": 1013}
    await client.task


async def test_plain_http_is_answered_as_by_the_single_server() -> None:
    app = server(token=TOKEN)
    status, headers, body = await Client(app, "http", path="/healthz", method="GET").answer()
    assert (status, body) == (200, b"ok\n") and b"connection" not in headers
    assert (await Client(app, "http", path="/v1/models", method="GET").answer())[0] == 401
    bearer = [(b"authorization", b"Bearer a-token")]
    status, _, body = await Client(app, "http", path="/v1/models", method="GET", headers=bearer).answer()
    assert (status, json.loads(body)["data"][0]["id"]) == (200, "tiny")
    status, headers, body = await Client(app, "http", path="/healthz", method="HEAD").answer()
    assert (status, headers[b"content-length"], body) == (200, b"3", b"")


async def test_the_lifespan_holds_what_is_beside() -> None:
    client = Client(server(), "lifespan")
    client.inbox.put_nowait({"type": "lifespan.startup"})
    assert await client.told() == {"type": "lifespan.startup.complete"}
    client.inbox.put_nowait({"type": "lifespan.shutdown"})
    assert await client.told() == {"type": "lifespan.shutdown.complete"}
    await client.task
