"""Clients that do what they should not: each is told why, and nobody else notices."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from wyoming.asr import Transcript
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.client import AsyncTcpClient
from wyoming.event import Event
from wyoming.info import Describe
from wyoming.ping import Ping
from wyoming.tts import Synthesize, SynthesizeChunk, SynthesizeStart
from wyoming_serving import ENDLESS, Meter, client, error_of, serving, until

from asr.stream import StreamConfig
from assistant.config import Config
from assistant.wyoming.service import Limits

START = AudioStart(16000, 2, 1).event()
SECOND = AudioChunk(16000, 2, 1, b"\x00\x40" * 16000).event()
STOP = AudioStop().event()


@asynccontextmanager
async def raw(port: int, data: bytes) -> AsyncIterator[AsyncTcpClient]:
    """A client that has sent these bytes."""
    async with client(port) as talking:
        assert talking._writer is not None
        talking._writer.write(data)
        await talking._writer.drain()
        yield talking


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b'{"type":"audio-chunk","payload_length":2000000000}\n', "event_too_large"),
        (b'{"type":"describe","data_length":2000000000}\n', "event_too_large"),
        (b'{"type":"describe","data_length":-1}\n', "invalid_event"),
        (b'{"type":"describe","payload_length":"8"}\n', "invalid_event"),
        (b'{"type":"describe","payload_length":true}\n', "invalid_event"),
        (b'{"type":"' + b"x" * 100_000 + b'"}\n', "event_too_large"),
        (b"x" * 200_000, "event_too_large"),
        (b"GET / HTTP/1.1\r\n\r\n", "invalid_json"),
        (b"\xff\xfe\n", "invalid_json"),
        (b"[]\n", "invalid_json"),
        (b"[" * 60_000 + b"\n", "invalid_json"),
        (b'{"a":' * 70 + b"1" + b"}" * 70 + b"\n", "invalid_json"),
        (b'{"type":"describe","data_length":3}\n[1]', "invalid_json"),
        (b'{"type":"describe","data":[]}\n', "invalid_event"),
        (b'{"data":{}}\n', "invalid_event"),
        (b'{"type":7}\n', "invalid_event"),
        (b'{"type":"' + b"x" * 61 + b'"}\n', "invalid_event"),
        (b'{"type":"synthesize"}\n', "invalid_value"),
        (b'{"type":"synthesize","data":{"text":["a"]}}\n', "invalid_value"),
        (b'{"type":"synthesize","data":{"text":"<a/>","text_format":"ssml"}}\n', "invalid_value"),
        (b'{"type":"transcript","data":{"text":null}}\n', "invalid_value"),
        (b'{"type":"audio-start","data":{"rate":"16000","width":2,"channels":1}}\n', "invalid_value"),
        (b'{"type":"audio-start","data":{"rate":16000,"width":2}}\n', "invalid_value"),
    ],
)
async def test_what_cannot_be_read_is_refused_at_once(data: bytes, code: str) -> None:
    """Of what is announced nothing is sent here, and nothing is waited for."""
    async with serving() as server, raw(server.port, data) as talking:
        assert await error_of(talking) == code
        assert server.metrics.registry.get_sample_value("assistant_event_errors_total", {"code": code}) == 1


@pytest.mark.parametrize("rate", [0, -1, 7999, 10**9, 1.5, None])
async def test_rates_that_nothing_has_are_refused(rate: float | None) -> None:
    start = Event("audio-start", {"rate": rate, "width": 2, "channels": 1})
    async with serving() as server, client(server.port) as talking:
        await talking.write_event(start)
        assert await error_of(talking) == "invalid_value"


@pytest.mark.parametrize(
    "events",
    [
        [SECOND],
        [STOP],
        [START, START],
        [START, SECOND, Describe().event()],
        [SynthesizeChunk("a").event()],
        [Event("synthesize-stop")],
        [SynthesizeStart().event(), START],
        [SynthesizeStart().event(), SynthesizeStart().event()],
    ],
)
async def test_events_out_of_order_are_refused(events: list[Event]) -> None:
    async with serving() as server, client(server.port) as talking:
        for event in events:
            await talking.write_event(event)
        assert await error_of(talking) == "unexpected_event"


@pytest.mark.parametrize(
    "chunk", [AudioChunk(16000, 2, 1, b"abc").event(), AudioChunk(16000, 4, 1, bytes(4)).event()]
)
async def test_chunks_that_do_not_fit_their_stream_are_refused(chunk: Event) -> None:
    async with serving() as server, client(server.port) as talking:
        await talking.write_event(START)
        await talking.write_event(chunk)
        assert await error_of(talking) == "invalid_value"


async def test_audio_ends_at_the_limit_of_a_turn() -> None:
    config = Config(asr=StreamConfig(max_turn_s=2))
    async with serving(config=config) as server:
        async with client(server.port) as talking:
            for event in (START, SECOND, SECOND, STOP):
                await talking.write_event(event)
            assert (await until(talking, "transcript-stop"))[-2].data["text"].startswith("heard 32000")
        async with client(server.port) as talking:
            for event in (START, SECOND, SECOND, SECOND):
                await talking.write_event(event)
            assert await error_of(talking) == "audio_too_long"


async def test_texts_end_at_their_limit_however_they_come() -> None:
    whole, half = Synthesize("word " * 1639).event(), SynthesizeChunk("word " * 900).event()
    for events in ([whole], [SynthesizeStart().event(), half, half], [Transcript("word " * 1639).event()]):
        async with serving() as server, client(server.port) as talking:
            for event in events:
                await talking.write_event(event)
            assert await error_of(talking) == "text_too_long"


async def test_without_a_place_a_request_is_refused_and_a_description_is_not() -> None:
    async with serving(sessions=1) as server, client(server.port) as speaking:
        await speaking.write_event(START)
        await until(speaking, "transcript-start")
        for request in (START, Synthesize("Hello.").event(), Transcript("Hello.").event()):
            async with client(server.port) as talking:
                await talking.write_event(request)
                assert await error_of(talking) == "busy"
        async with client(server.port) as talking:
            await talking.write_event(Describe().event())
            assert (await until(talking, "info"))[-1].type == "info"
        for event in (SECOND, STOP):
            await speaking.write_event(event)
        assert (await until(speaking, "transcript-stop"))[-2].data["text"].startswith("heard 16000")


async def test_who_is_refused_while_they_still_send_is_told_all_the_same() -> None:
    """Closing at once would reset the connection, and the client would never see why."""
    async with serving(sessions=1) as server, client(server.port) as speaking:
        await speaking.write_event(START)
        await until(speaking, "transcript-start")
        async with client(server.port) as talking:
            for event in (START, *[SECOND] * 30, STOP):
                await talking.write_event(event)
            assert await error_of(talking) == "busy"


async def test_connections_are_bounded_by_the_places() -> None:
    """Four for each, so that whoever holds a place can still be talked to."""
    async with serving(sessions=1) as server:
        open_ones = [AsyncTcpClient("127.0.0.1", server.port) for _ in range(4)]
        for talking in open_ones:
            await talking.connect()
            await talking.write_event(Ping().event())
            await until(talking, "pong")
        async with client(server.port) as fifth:
            assert await error_of(fifth) == "busy"
        for talking in open_ones:
            await talking.disconnect()


@pytest.mark.parametrize("events", [[START], [START, SECOND], [SynthesizeStart().event()]])
async def test_a_client_that_is_killed_gives_its_place_back(events: list[Event]) -> None:
    async with serving(sessions=1) as server:
        async with client(server.port) as talking:
            for event in events:
                await talking.write_event(event)
            await talking.read_event()
            assert server.pool.taken == 1 and talking._writer is not None
            talking._writer.transport.abort()
        await server.all_places_free()
        async with client(server.port) as talking:
            await talking.write_event(Transcript("Next.").event())
            assert (await until(talking, "handled"))[-1].type == "handled"


async def test_a_client_that_dies_in_the_midst_of_an_event_is_gone() -> None:
    header = {"type": "audio-chunk", "payload_length": 1000}
    async with serving() as server:
        async with raw(server.port, json.dumps(header).encode() + b"\n" + bytes(10)):
            pass
        async with client(server.port) as talking:
            await talking.write_event(Ping().event())
            assert (await until(talking, "pong"))[-1].type == "pong"


async def test_nobody_writes_on_for_a_client_that_has_gone() -> None:
    async with serving(sessions=1) as server:
        async with client(server.port) as talking:
            await talking.write_event(Transcript(ENDLESS).event())
            assert await asyncio.to_thread(server.echo.begun.wait, 60)
        await server.all_places_free()
        assert await asyncio.to_thread(server.echo.stopped.wait, 60)


async def test_a_model_that_fails_is_an_error_of_one_request() -> None:
    meter = Meter(fails=True)
    async with serving(sessions=1, meter=meter) as server:
        async with client(server.port) as talking:
            for event in (START, SECOND, STOP):
                await talking.write_event(event)
            assert await error_of(talking) == "internal"
        meter.fails = False
        async with client(server.port) as talking:
            for event in (START, SECOND, STOP):
                await talking.write_event(event)
            assert (await until(talking, "transcript-stop"))[-1].type == "transcript-stop"


@pytest.mark.parametrize("events", [[], [START], [SynthesizeStart().event()]])
async def test_who_stops_in_the_middle_is_cut_off(events: list[Event]) -> None:
    async with serving(limits=Limits(idle_s=0.02, stalled_s=0.02)) as server, client(server.port) as talking:
        for event in events:
            await talking.write_event(event)
        assert await error_of(talking) == "timeout"
        await server.all_places_free()


async def test_who_does_not_read_is_cut_off() -> None:
    """An endless text is spoken to a client that takes none of it, until the buffers are full."""
    async with serving(limits=Limits(unread_s=0.02, text_chars=10**9), sessions=1) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port, limit=1024)
        start, text = SynthesizeStart().event(), "a" * 60_000
        chunk = {"type": "synthesize-chunk", "data": {"text": f"{text}. "}}
        writer.write(json.dumps({"type": start.type}).encode() + b"\n")
        line = json.dumps(chunk).encode() + b"\n"
        with pytest.raises(ConnectionError):
            for _ in range(2000):
                writer.write(line)
                await writer.drain()
        await server.all_places_free()
        writer.transport.abort()
        del reader
