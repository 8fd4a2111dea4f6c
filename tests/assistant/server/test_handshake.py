"""Handshakes and frames that are wrong, each with the answer that it gets, on raw sockets."""

import asyncio
import json
import socket
import struct

import pytest
from raw_client import (
    BINARY,
    CONT,
    PING,
    PONG,
    TEXT,
    Raw,
    ask,
    close,
    connected,
    frame,
    handshake,
    request,
    upgraded,
)
from serving import Echo, Serving, serving


async def accepted(server: Serving) -> bool:
    """Whether a well-behaved client is still served."""
    async with upgraded(server.port) as raw:
        await raw.send(frame(TEXT, b"hello"))
        return await raw.frame() == (TEXT, b"hello")


BAD_REQUESTS = {
    "not GET": (handshake(method="POST"), 405),
    "with a body": (handshake("Content-Length: 5", method="POST") + b"hello", 400),
    "HTTP/1.0": (request(version="HTTP/1.0"), 400),
    "HTTP/2.0": (request(version="HTTP/2.0"), 400),
    "no upgrade": (request(), 426),
    "bad key": (handshake(key="c2hvcnQ="), 400),
    "no base64": (handshake(key="?"), 400),
    "wrong version": (handshake(version="8"), 400),
    "wrong path": (handshake(path="/realtime"), 404),
    "with a slash": (handshake(path="/v1/realtime/"), 404),
    "not HTTP": (b"\x16\x03\x01\x02\x00\x01\x00\r\n", 400),
    "9 KB header": (handshake("X-Long: " + "x" * 9216), 431),
    "200 headers": (handshake(*(f"X-{n}: 1" for n in range(200))), 431),
    "9 KB path": (handshake(path="/" + "x" * 9216), 414),
}


@pytest.mark.parametrize("case", BAD_REQUESTS)
async def test_a_bad_handshake_gets_an_answer_and_no_place(case: str) -> None:
    data, status = BAD_REQUESTS[case]
    async with serving() as server:
        answer = await ask(server.port, data)
        assert answer.status == status
        assert answer.headers["connection"] == "close"
        assert await accepted(server)
        assert server.application.begun == 1


@pytest.mark.parametrize("case", ["not GET", "no upgrade", "bad key", "wrong path", "with a body"])
async def test_the_answer_is_an_error_as_the_protocol_spells_it(case: str) -> None:
    data, _ = BAD_REQUESTS[case]
    async with serving() as server:
        answer = await ask(server.port, data)
    assert answer.headers["content-type"] == "application/json"
    assert set(answer.error) == {"type", "code", "message", "param"}
    assert answer.error["type"] == "invalid_request_error"


async def test_a_wrong_path_names_the_right_one_and_a_wrong_method_too() -> None:
    async with serving() as server:
        lost = await ask(server.port, handshake(path="/realtime"))
        posted = await ask(server.port, handshake(method="POST"))
    assert "/v1/realtime" in lost.error["message"]
    assert posted.headers["allow"] == "GET"


@pytest.mark.parametrize("start", [b"", b"GET /v1/realtime HT", handshake()[:-2]])
async def test_a_handshake_that_never_ends_is_closed(start: bytes) -> None:
    async with serving(handshake_s=0.1) as server, connected(server.port) as raw:
        await raw.send(start)
        assert await raw.closed()
        assert await accepted(server)


async def test_headers_that_dribble_are_closed() -> None:
    """Byte by byte, so that there is never a silence as long as the limit."""
    async with serving(handshake_s=0.3) as server, connected(server.port) as raw:
        ended = asyncio.create_task(raw.closed())
        for byte in handshake("X-Slow: " + "x" * 8000):
            if ended.done():
                break
            raw.writer.write(bytes([byte]))
            await asyncio.sleep(0.01)
        assert await ended


async def test_nothing_of_the_key_comes_back_and_nothing_is_compressed() -> None:
    offered = "Sec-WebSocket-Protocol: openai-insecure-api-key.abc, realtime, openai-agents-sdk.1"
    async with serving() as server, connected(server.port) as raw:
        await raw.send(handshake(offered, "Sec-WebSocket-Extensions: permessage-deflate"))
        answer = await raw.answer()
    assert answer.status == 101
    assert answer.headers["sec-websocket-protocol"] == "realtime"
    assert "sec-websocket-extensions" not in answer.headers
    assert "server" not in answer.headers


async def test_a_token_in_a_malformed_header_is_not_quoted() -> None:
    async with serving() as server:
        answer = await ask(server.port, handshake("Sec-WebSocket-Protocol: openai-insecure-api-key.abc @"))
    assert answer.status == 400
    assert "Sec-WebSocket-Protocol" in answer.error["message"] and b"abc" not in answer.body


@pytest.mark.parametrize("offered", [[], ["Sec-WebSocket-Protocol: chat, openai-insecure-api-key.abc"]])
async def test_another_subprotocol_is_not_selected(offered: list[str]) -> None:
    async with serving() as server, connected(server.port) as raw:
        await raw.send(handshake(*offered))
        answer = await raw.answer()
    assert (answer.status, answer.headers.get("sec-websocket-protocol")) == (101, None)


BAD_FRAMES = {
    "unmasked": (frame(TEXT, b"hello", mask=False), 1002),
    "a reserved bit": (frame(TEXT, b"hello", reserved=1), 1002),
    "compressed, though nobody agreed to": (frame(TEXT, b"\xf2\x48\xcd", reserved=4), 1002),
    "a reserved opcode": (frame(3, b"hello"), 1002),
    "a continuation of nothing": (frame(CONT, b"hello"), 1002),
    "a long ping": (frame(PING, b"x" * 126), 1002),
    "over the limit": (frame(TEXT, b"x" * 2049), 1009),
    "over the limit by its header": (frame(TEXT, b"x" * 70_000)[:14], 1009),
    "over the limit in fragments": (
        frame(TEXT, b"x" * 1500, fin=False) + frame(CONT, b"x" * 1500, fin=False),
        1009,
    ),
    "endless empty fragments": (frame(TEXT, fin=False) + frame(CONT, fin=False) * 5000, 1009),
    "no UTF-8": (frame(TEXT, b"\xff\xfe"), 1007),
    "a surrogate in UTF-8": (frame(TEXT, b"\xed\xa0\x80"), 1007),
    "a close in mid-fragment": (frame(TEXT, b"he", fin=False) + close(1000), 1002),
    "a bad close code": (close(1005), 1002),
    "a flood of pings": (frame(PING) * 1000, 1008),
    "a flood of pongs": (frame(PONG) * 1000, 1008),
}


@pytest.mark.parametrize("case", BAD_FRAMES)
async def test_a_bad_frame_closes_with_its_code_and_frees_the_place(case: str) -> None:
    """The client does not close its side, so the place is not free by the client's doing."""
    data, code = BAD_FRAMES[case]
    async with serving(Echo(capacity=1), message_bytes=2048) as server, upgraded(server.port) as raw:
        await raw.send(data)
        assert await raw.close_code() == code
        async with asyncio.timeout(5):
            await server.application.left(0)
        assert await accepted(server)


async def test_a_flood_of_pings_is_not_answered_to_its_end() -> None:
    async with serving() as server, upgraded(server.port) as raw:
        await raw.send(frame(PING) * 100_000)
        answered = 0
        while (await raw.frame())[0] == PONG:
            answered += 1
        assert answered <= 4096 // 6 + 1  # what was parsed at once


async def test_a_few_pings_are_answered() -> None:
    async with serving() as server, upgraded(server.port) as raw:
        await raw.send(frame(PING, b"a") + frame(PING, b"b"))
        assert [await raw.frame(), await raw.frame()] == [(PONG, b"a"), (PONG, b"b")]


async def test_pongs_that_never_come_close_with_1011() -> None:
    async with serving(ping_s=0.05) as server, upgraded(server.port) as raw:
        assert await raw.close_code() == 1011


async def test_pongs_that_come_keep_the_connection() -> None:
    async with serving(ping_s=0.05) as server, upgraded(server.port) as raw:
        for _ in range(5):
            opcode, payload = await raw.frame()
            assert opcode == PING
            await raw.send(frame(PONG, payload))
        await raw.send(frame(TEXT, b"still here"))
        while (got := await raw.frame())[0] == PING:
            await raw.send(frame(PONG, got[1]))
        assert got == (TEXT, b"still here")


def reset(raw: Raw) -> None:
    """Close with a reset in place of TCP's closing handshake."""
    sock = raw.writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    raw.writer.transport.abort()


@pytest.mark.parametrize(
    "start",
    [b"", frame(TEXT, b"he", fin=False), frame(TEXT, b"hello")[:4]],
    ids=["between", "fragment", "frame"],
)
async def test_a_reset_frees_the_place(start: bytes) -> None:
    async with serving(Echo(capacity=1)) as server:
        async with upgraded(server.port) as raw:
            await raw.send(frame(TEXT, b"hello"))
            assert await raw.frame() == (TEXT, b"hello")
            await raw.send(start)
            reset(raw)
        await server.application.left(0)
        assert await accepted(server)


async def test_a_message_at_the_limit_and_binary_pass() -> None:
    async with serving(message_bytes=2048) as server, upgraded(server.port) as raw:
        await raw.send(frame(TEXT, b"x" * 2048) + frame(BINARY, b"\x00\xff"))
        assert await raw.frame() == (TEXT, b"x" * 2048)
        assert await raw.frame() == (BINARY, b"\x00\xff")


async def test_a_client_that_closes_hears_its_own_code() -> None:
    async with serving() as server, upgraded(server.port) as raw:
        await raw.send(close(1000))
        assert await raw.close_code() == 1000


async def test_a_handshake_that_fails_after_the_checks_takes_no_place() -> None:
    async with serving(Echo(capacity=1)) as server:
        for _ in range(3):
            assert (await ask(server.port, handshake(key="?"))).status == 400
        assert json.loads((await ask(server.port, request("/v1/models"))).body)["object"] == "list"
        assert await accepted(server)
