"""What is said of servers that cannot be talked to, over real sockets of this machine."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest
from serving import Echo, serving
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from assistant.client.dial import dial, resuming
from assistant.client.errors import RealtimeError, lost
from assistant.server.access import REALTIME


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


async def refusal(url: str, token: str | None = None) -> RealtimeError:
    with pytest.raises(RealtimeError) as raised:
        await dial(url, token)
    assert "\n" not in str(raised.value) and raised.value.exit_code == 2
    return raised.value


@asynccontextmanager
async def answering(data: bytes) -> AsyncIterator[str]:
    """Something that is no WebSocket server, and answers all with `data`."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            await reader.read(1024)
            writer.write(data)
            await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}{REALTIME}"


async def test_with_the_token_one_is_let_in() -> None:
    async with serving(token="right") as server:
        websocket = await dial(server.url, "right")
        await websocket.close()


@pytest.mark.parametrize("token", [None, "wrong"])
async def test_a_wrong_token_or_none(token: str | None) -> None:
    async with serving(token="right") as server:
        error = await refusal(server.url, token)
    assert "ASSISTANT_TOKEN" in str(error) and not error.again


@pytest.mark.parametrize(
    ("url", "session", "asked"),
    [
        ("ws://far/v1/realtime", "", "ws://far/v1/realtime"),
        ("ws://far/v1/realtime", "sess_1", "ws://far/v1/realtime?resume=sess_1"),
        ("ws://far/v1/realtime?model=a", "sess_1", "ws://far/v1/realtime?model=a&resume=sess_1"),
        ("ws://far/v1/realtime", "a&b=c#d/", "ws://far/v1/realtime?resume=a%26b%3Dc%23d%2F"),
    ],
)
def test_the_address_names_the_session_to_go_on_with(url: str, session: str, asked: str) -> None:
    assert resuming(url, session) == asked


async def test_a_wrong_path() -> None:
    async with serving() as server:
        error = await refusal(server.url.replace("/v1/", "/v2/"))
    assert "/v1/realtime" in str(error).split(": ", 1)[1] and not error.again


async def test_a_server_that_is_full() -> None:
    async with serving(Echo(capacity=1)) as server:
        first = await dial(server.url, None)
        error = await refusal(server.url)
        await first.close()
    assert "try again in 5 s" in str(error) and error.again


async def test_nobody_listens() -> None:
    async with answering(b"") as address:
        pass
    error = await refusal(f"ws://{address}")
    assert "assistant serve" in str(error) and error.again


@pytest.mark.parametrize("answer", [b"", b"hello\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"])
async def test_no_websocket_server(answer: bytes) -> None:
    async with answering(answer) as address:
        error = await refusal(f"ws://{address}")
    assert ("no WebSocket server" in str(error) or "HTTP status 200" in str(error)) and not error.again


async def test_tls_where_there_is_none() -> None:
    async with serving() as server:
        error = await refusal(server.url.replace("ws:", "wss:"))
    assert "ws:// only" in str(error)


@pytest.mark.parametrize("url", ["127.0.0.1:8765", "http://127.0.0.1:8765/v1/realtime", "ws://"])
async def test_no_address(url: str) -> None:
    error = await refusal(url)
    assert "ws://HOST:8765/v1/realtime" in str(error) and not error.again


@pytest.mark.parametrize(
    ("code", "again"), [(1001, True), (1012, True), (1000, True), (1008, False), (1011, True)]
)
async def test_a_connection_that_the_server_closes(code: int, again: bool) -> None:
    async def close(websocket: ServerConnection) -> None:
        await websocket.close(code, "because")

    async with serve(close, "127.0.0.1", 0) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        websocket = await dial(f"ws://127.0.0.1:{port}/", None)
        with pytest.raises(ConnectionClosed) as raised:
            await websocket.recv()
        await websocket.close()
    error = lost("ws://far", raised.value)
    assert error.again == again
    assert any(why in str(error) for why in ("shutting down", "restarts", "because"))
