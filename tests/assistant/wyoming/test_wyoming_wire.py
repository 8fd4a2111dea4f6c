"""Reading events, beside the library's own reader and writer."""

import asyncio
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wyoming.event import Event, async_read_event, async_write_event

from assistant.server.wire import WireError
from assistant.wyoming.wire import WireLimits, read_event

LIMITS = WireLimits(header=1000, data=500, payload=400)
TEXT = st.text(st.characters(codec="utf-8"), max_size=20)
DATA = st.dictionaries(TEXT, TEXT | st.integers(-(2**53), 2**53) | st.none() | st.booleans(), max_size=5)
EVENTS = st.builds(Event, TEXT, DATA, st.none() | st.binary(min_size=1, max_size=400))


class Written:
    """Of a StreamWriter, what the library's writer uses."""

    def __init__(self) -> None:
        self.data = b""

    def write(self, data: bytes) -> None:
        self.data += data

    def writelines(self, parts: "tuple[bytes, ...]") -> None:
        self.data += b"".join(parts)

    async def drain(self) -> None:
        pass


def reader_of(data: bytes) -> asyncio.StreamReader:
    reader = asyncio.StreamReader(LIMITS.header)
    reader.feed_data(data)
    reader.feed_eof()
    return reader


async def all_of(data: bytes) -> list[Event]:
    reader, events = reader_of(data), []
    while (event := await read_event(reader, LIMITS)) is not None:
        events.append(event)
    return events


@given(st.lists(EVENTS, max_size=4))
def test_what_the_library_writes_is_read_as_the_library_reads_it(events: list[Event]) -> None:
    async def check() -> None:
        written: Any = Written()
        for event in events:
            await async_write_event(event, written)
        theirs = reader_of(written.data)
        assert await all_of(written.data) == events
        assert [await async_read_event(theirs) for _ in events] == events

    asyncio.run(check())


@given(DATA, DATA)
def test_data_behind_the_header_goes_over_that_in_it(inside: dict[str, Any], behind: dict[str, Any]) -> None:
    rest = json.dumps(behind).encode()
    head = {"type": "t", "data": inside, "data_length": len(rest)}
    line = json.dumps(head, ensure_ascii=False).encode()

    async def check() -> None:
        (event,) = await all_of(line + b"\n" + rest)
        assert event == Event("t", inside | behind)

    if len(rest) <= LIMITS.data and len(line) < LIMITS.header:
        asyncio.run(check())


HEADERS = st.fixed_dictionaries(
    {},
    optional={
        "type": st.just("ping") | st.integers() | TEXT,
        "data": DATA | st.lists(st.integers(), max_size=2),
        "data_length": st.integers() | st.floats() | TEXT | st.integers(0, 600),
        "payload_length": st.integers() | st.booleans() | st.integers(0, 600),
    },
)


@given(
    st.binary(max_size=200)
    | st.builds(lambda head, rest: json.dumps(head).encode() + b"\n" + rest, HEADERS, st.binary())
)
def test_any_bytes_are_events_or_refused(data: bytes) -> None:
    try:
        events = asyncio.run(all_of(data))
    except WireError as error:
        assert error.code in ("event_too_large", "invalid_json", "invalid_event")
    else:
        assert all(isinstance(event.type, str) and isinstance(event.data, dict) for event in events)


@pytest.mark.parametrize(
    ("data", "refused"),
    [
        (b'{"type":"t","payload_length":400}\n' + bytes(400), False),
        (b'{"type":"t","payload_length":401}\n' + bytes(401), True),
        (b'{"type":"t","data_length":500}\n' + b"{}".ljust(500), False),
        (b'{"type":"t","data_length":501}\n' + b"{}".ljust(501), True),
        (b'{"type":"t"}'.ljust(1000) + b"\n", False),
        (b'{"type":"t"}'.ljust(1001) + b"\n", True),
    ],
)
async def test_limits_are_of_what_is_announced(data: bytes, refused: bool) -> None:
    if refused:
        with pytest.raises(WireError):
            await all_of(data)
    else:
        assert [event.type for event in await all_of(data)] == ["t"]
