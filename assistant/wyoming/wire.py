"""Wyoming events off and onto a socket, with limits on what a client may announce.

The protocol (https://github.com/OHF-Voice/wyoming): a line of JSON, then as many bytes of further JSON and of
payload as it says. The library's own reader takes any length that is announced.
"""

import asyncio
from dataclasses import dataclass
from typing import Any

from wyoming.event import Event, async_write_event

from assistant.server.outbox import Unread
from assistant.server.wire import WireError, read_object

_MAX_SHOWN = 60


@dataclass(frozen=True)
class WireLimits:
    """How much one event may be, in bytes."""

    header: int = 65_536
    data: int = 262_144
    """Home Assistant may send the names of everything in the house along."""
    payload: int = 1_048_576
    """2.7 s of audio at 48 kHz, 32 bits and two channels."""


async def read_event(reader: asyncio.StreamReader, limits: WireLimits) -> Event | None:
    """The next event; None when the client has gone, if in the midst of one.

    The reader's own limit is that of the header. Raises WireError: `event_too_large` before a byte of what is
    announced is read, `invalid_json` and `invalid_event`.
    """
    try:
        header = read_object(_text(await reader.readuntil(b"\n")))
        data_bytes = _length(header, "data_length", limits.data)
        payload_bytes = _length(header, "payload_length", limits.payload)
        data = _data(header, _text(await reader.readexactly(data_bytes)))
        payload = await reader.readexactly(payload_bytes)
    except asyncio.LimitOverrunError:
        raise WireError("event_too_large", f"a header has at most {limits.header} bytes") from None
    except (asyncio.IncompleteReadError, OSError):
        return None
    kind = header.get("type")
    if not isinstance(kind, str) or len(kind) > _MAX_SHOWN:
        raise WireError(
            "invalid_event", f"'type' must be a string of at most {_MAX_SHOWN} characters", "type"
        )
    return Event(kind, data, payload or None)


async def write_event(event: Event, writer: asyncio.StreamWriter, unread_s: float) -> None:
    """Send `event`; raises Unread if the client takes nothing for `unread_s`, OSError if it left."""
    try:
        async with asyncio.timeout(unread_s):
            await async_write_event(event, writer)
    except TimeoutError:
        raise Unread(f"nothing was read for {unread_s:g} s") from None


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise WireError("invalid_json", "the event is not UTF-8") from None


def _length(header: dict[str, Any], name: str, most: int) -> int:
    length = header.get(name)
    if length is None:
        return 0
    if type(length) is not int or length < 0:
        raise WireError("invalid_event", f"'{name}' must be a number of bytes", name)
    if length > most:
        raise WireError("event_too_large", f"'{name}' is {length}, and may be at most {most}", name)
    return length


def _data(header: dict[str, Any], rest: str) -> dict[str, Any]:
    """What the header has, and on top of it the `rest` that follows it."""
    data = header.get("data")
    if data is not None and not isinstance(data, dict):
        raise WireError("invalid_event", "'data' must be an object", "data")
    return {**(data or {}), **(read_object(rest) if rest else {})}
