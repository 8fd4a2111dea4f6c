"""HTTP and WebSocket frames by hand (RFC 9112, RFC 6455), for what no client library sends."""

import asyncio
import json
import os
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

KEY = "dGhlIHNhbXBsZSBub25jZQ=="  # RFC 6455, 1.3
ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
CONT, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def error(self) -> dict[str, Any]:
        error: dict[str, Any] = json.loads(self.body)["error"]
        return error


class Raw:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def answer(self) -> Answer:
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        pairs = [line.split(": ", 1) for line in head[1:] if line]
        headers = {name.lower(): value for name, value in pairs}
        status = int(head[0].split(" ")[1])
        size = 0 if status in (101, 304) else int(headers["content-length"])
        return Answer(status, headers, await self.reader.readexactly(size))

    async def frame(self) -> tuple[int, bytes]:
        """Opcode and payload of the next frame."""
        first, length = await self.reader.readexactly(2)
        assert not length & 0x80, "a server does not mask"
        if length == 126:
            (length,) = struct.unpack("!H", await self.reader.readexactly(2))
        elif length == 127:
            (length,) = struct.unpack("!Q", await self.reader.readexactly(8))
        return first & 0x0F, await self.reader.readexactly(length)

    async def closing(self) -> int:
        """The code of the close frame, before which other frames may come."""
        while True:
            opcode, payload = await self.frame()
            if opcode == CLOSE:
                code: int = struct.unpack("!H", payload[:2])[0]
                return code

    async def close_code(self) -> int:
        """The code of the close frame, behind which nothing comes."""
        code = await self.closing()
        assert await self.reader.read() == b""
        return code

    async def closed(self) -> bool:
        """Whether the connection ends without another byte."""
        try:
            return await self.reader.read() == b""
        except ConnectionResetError:
            return True


@asynccontextmanager
async def connected(port: int) -> AsyncIterator[Raw]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield Raw(reader, writer)
    finally:
        writer.transport.abort()


def request(
    path: str = "/v1/realtime", *headers: str, method: str = "GET", version: str = "HTTP/1.1", port: int = 1
) -> bytes:
    lines = [f"{method} {path} {version}", f"Host: 127.0.0.1:{port}", *headers, "", ""]
    return "\r\n".join(lines).encode("latin-1")


def handshake(
    *headers: str,
    path: str = "/v1/realtime",
    key: str = KEY,
    version: str = "13",
    method: str = "GET",
    port: int = 1,
) -> bytes:
    own = (
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Key: {key}",
        f"Sec-WebSocket-Version: {version}",
    )
    return request(path, *own, *headers, method=method, port=port)


async def ask(port: int, data: bytes) -> Answer:
    """The answer to `data` on a connection of its own."""
    async with connected(port) as raw:
        await raw.send(data)
        return await raw.answer()


@asynccontextmanager
async def upgraded(port: int, *headers: str) -> AsyncIterator[Raw]:
    async with connected(port) as raw:
        await raw.send(handshake(*headers))
        answer = await raw.answer()
        assert answer.status == 101
        assert answer.headers["sec-websocket-accept"] == ACCEPT
        yield raw


def frame(
    opcode: int, payload: bytes = b"", *, fin: bool = True, reserved: int = 0, mask: bool = True
) -> bytes:
    first = bytes([fin << 7 | reserved << 4 | opcode])
    size = len(payload)
    bit = mask << 7
    if size < 126:
        length = bytes([bit | size])
    elif size < 65_536:
        length = bytes([bit | 126]) + struct.pack("!H", size)
    else:
        length = bytes([bit | 127]) + struct.pack("!Q", size)
    if not mask:
        return first + length + payload
    key = os.urandom(4)
    return first + length + key + bytes(byte ^ key[at % 4] for at, byte in enumerate(payload))


def close(code: int) -> bytes:
    return frame(CLOSE, struct.pack("!H", code))
