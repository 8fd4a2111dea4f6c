"""A plain client: it speaks a clip in real time, goes on with silence until it is answered, and notes all."""

import asyncio
import base64
import itertools
import json
import socket
from collections.abc import Iterator
from dataclasses import dataclass

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from assistant.runtime import Clock
from assistant.server.bench.clips import SpokenClip
from assistant.server.bench.log import Log
from assistant.server.formats import PCM

_BUSY = 503
_AFTER_MS = 500  # of silence behind a reply
_NO_REPLY_S = 15  # after the last event, when none is under way
_LIMIT_S = 150  # of silence: no reply is longer


@dataclass(frozen=True)
class Refusal:
    """A connection that the server had no place for; `ms` is its answer's time, TCP's handshake included."""

    ms: float
    retry_after: str | None


async def try_connect(
    url: str, clock: Clock, sock: socket.socket | None = None, max_queue: int = 16
) -> ClientConnection | Refusal:
    """A connection to the server, or its answer 503; of its messages `max_queue` are read ahead.

    Raises OSError, TimeoutError and InvalidHandshake for all else that goes wrong.
    """
    begun_ns = clock.now_ns()
    try:
        return await connect(
            url,
            sock=sock,
            compression=None,
            max_size=None,
            max_queue=max_queue,
            ping_interval=None,
            proxy=None,
        )
    except InvalidStatus as refused:
        if refused.response.status_code != _BUSY:
            raise
        ms = (clock.now_ns() - begun_ns) / 1e6
        return Refusal(ms, refused.response.headers.get("Retry-After"))


async def converse(
    connection: ClientConnection, spoken: SpokenClip, clock: Clock, *, append_ms: int = 20
) -> Log:
    """Speak a clip over a new connection, hear all replies to it, and close."""
    log = Log([])
    async with asyncio.TaskGroup() as group:
        created = asyncio.Event()
        group.create_task(_read(connection, log, created, clock), name="read")
        await created.wait()
        log.start_ns = clock.now_ns()
        try:
            await _say(connection, spoken, log, clock, append_ms)
        except ConnectionClosed as closed:
            log.broken = log.broken or str(closed)
        await connection.close()
    return log


async def _read(connection: ClientConnection, log: Log, created: asyncio.Event, clock: Clock) -> None:
    """Note events until the connection is closed."""
    try:
        async for message in connection:
            log.take(clock.now_ns(), json.loads(message))
            created.set()
    except ConnectionClosed as closed:
        log.broken = str(closed)
    finally:
        created.set()


async def _say(
    connection: ClientConnection, spoken: SpokenClip, log: Log, clock: Clock, append_ms: int
) -> None:
    """Send the clip and the silence behind it, each append when its last sample is over."""
    size = PCM.size(append_ms)
    clip_ms = PCM.ms(len(spoken.audio))
    quiet_since_ms = None
    for number, message in enumerate(_appends(spoken.audio, size), 1):
        now_ms = number * append_ms
        await clock.sleep_until(log.start_ns + now_ms * 1_000_000)
        await connection.send(message)
        if now_ms < clip_ms:
            continue
        if not log.answered:
            quiet_since_ms = None
            if _in_vain(log, clock, now_ms - clip_ms):
                log.broken = "no reply came, or it did not end"
                return
        elif quiet_since_ms is None:
            quiet_since_ms = now_ms
        elif now_ms - quiet_since_ms >= _AFTER_MS:
            return


def _in_vain(log: Log, clock: Clock, silent_ms: int) -> bool:
    nothing_s = (clock.now_ns() - log.last_ns) / 1e9
    return silent_ms > _LIMIT_S * 1000 or (
        not log.replying and silent_ms > _NO_REPLY_S * 1000 and nothing_s > _NO_REPLY_S
    )


def _appends(audio: bytes, size: int) -> Iterator[str]:
    """The events that bring the audio, `size` bytes at a time, and silence for ever."""
    for at in range(0, len(audio), size):
        yield append(audio[at : at + size].ljust(size, b"\0"))
    yield from itertools.repeat(append(bytes(size)))


def append(data: bytes) -> str:
    """The event that brings audio."""
    return json.dumps({"type": "input_audio_buffer.append", "audio": base64.b64encode(data).decode()})
