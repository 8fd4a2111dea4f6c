"""Short sessions of many kinds: those that end well, vanish, stop reading, or send garbage."""

import asyncio
import json
import socket
import struct
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from assistant.runtime import Clock
from assistant.server.bench.client import Refusal, append, converse, try_connect
from assistant.server.bench.clips import SpokenClip

Visit = Callable[["Visitor", ClientConnection], Awaitable[None]]

_ASKED = "What is the capital of France?"
_LONG = "Count from one to fifty, in words."
_TOKENS = 24
_UNREAD_S = 8.0  # several seconds more than the server waits for a client that does not read
_RETRY_NS = 100_000_000
_SMALL_BUFFER = 4096  # of the kernel's, so that what is not read soon fills it
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER without time: closing sends RST
_GARBAGE = (
    "not JSON",
    "[]",
    '{"type": 7}',
    '{"type": "no.such.event"}',
    '{"type": "input_audio_buffer.append", "audio": "?"}',
    '{"type": "session.update", "session": {"audio": 3}}',
    "[" * 20_000,
)


class VisitFailed(Exception):  # noqa: N818  # a condition with a name of its own
    """The server did not answer as it should."""


@dataclass(frozen=True)
class Visitor:
    """What visits need: where, and what to speak."""

    url: str
    clip: SpokenClip
    clock: Clock

    async def visit(self, kind: str) -> None:
        """Hold one session, once there is a place; raises VisitFailed, OSError and InvalidHandshake."""
        while not await self._visit(kind):
            await self.clock.sleep_until(self.clock.now_ns() + _RETRY_NS)

    async def _visit(self, kind: str) -> bool:
        """Whether there was a place."""
        parts = urlsplit(self.url)
        sock = socket.create_connection((parts.hostname, parts.port), timeout=10) if kind == "deaf" else None
        if sock is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _SMALL_BUFFER)
            sock.setblocking(False)
        queued = 1 if kind == "deaf" else 16
        connection = await try_connect(self.url, self.clock, sock=sock, max_queue=queued)
        if isinstance(connection, Refusal):
            return False
        async with connection:
            try:
                await VISITS[kind](self, connection)
            except ConnectionClosed as closed:
                raise VisitFailed(f"the server closed: {closed}") from None
        return True


async def _typed(_: Visitor, connection: ClientConnection) -> None:
    await _ask(connection, _ASKED, "text")
    await _until(connection, "response.done")


async def _spoken(visitor: Visitor, connection: ClientConnection) -> None:
    log = await converse(connection, visitor.clip, visitor.clock)
    if log.broken:
        raise VisitFailed(log.broken)


async def _vanishes(_: Visitor, connection: ClientConnection) -> None:
    await _ask(connection, _LONG, "audio")
    await _until(connection, "response.output_audio.delta")
    connection.transport.abort()


async def _resets(_: Visitor, connection: ClientConnection) -> None:
    await _ask(connection, _LONG, "audio")
    await _until(connection, "response.output_audio.delta")
    raw = connection.transport.get_extra_info("socket")
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    connection.transport.abort()


async def _deaf(_: Visitor, connection: ClientConnection) -> None:
    await _ask(connection, _LONG, "audio")
    await asyncio.sleep(_UNREAD_S)
    connection.transport.abort()


async def _talks_garbage(_: Visitor, connection: ClientConnection) -> None:
    for message in (*_GARBAGE, b"\0"):
        await connection.send(message)
        await _until(connection, "error")
    await _ask(connection, _ASKED, "text")
    await _until(connection, "response.done")


async def _hangs_up(visitor: Visitor, connection: ClientConnection) -> None:
    """In the middle of its own sentence, half of it at once."""
    audio = visitor.clip.audio
    await connection.send(append(audio[: len(audio) // 4 * 2]))
    await _until(connection, "input_audio_buffer.speech_started")


VISITS: Mapping[str, Visit] = {
    "typed": _typed,
    "spoken": _spoken,
    "vanishes": _vanishes,
    "resets": _resets,
    "deaf": _deaf,
    "garbage": _talks_garbage,
    "hangs up": _hangs_up,
}
MIX: Sequence[str] = (
    "typed",
    "vanishes",
    "spoken",
    "typed",
    "garbage",
    "typed",
    "resets",
    "deaf",
    "typed",
    "hangs up",
)
"""Ten sessions, over and over: two of them vanish in mid-reply."""


async def _ask(connection: ClientConnection, text: str, modality: str) -> None:
    content = [{"type": "input_text", "text": text}]
    item = {"type": "message", "role": "user", "content": content}
    response: dict[str, Any] = {"output_modalities": [modality]}
    if modality == "text":
        response["max_output_tokens"] = _TOKENS
    for event in (
        {"type": "conversation.item.create", "item": item},
        {"type": "response.create", "response": response},
    ):
        await connection.send(json.dumps(event))


async def _until(connection: ClientConnection, kind: str) -> None:
    """Read up to the next event of a kind; raises VisitFailed for a reply without it, or another error."""
    async for message in connection:
        event = json.loads(message)
        if event["type"] == kind:
            if kind == "response.done" and event["response"]["status"] == "failed":
                raise VisitFailed("the response failed")
            return
        if event["type"] in ("error", "response.done"):
            raise VisitFailed(f"{event['type']} before {kind}")
    raise VisitFailed(f"the server closed before {kind}")
