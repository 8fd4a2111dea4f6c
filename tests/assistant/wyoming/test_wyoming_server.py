"""Who may reach the Wyoming server, and how it ends."""

import asyncio

import pytest
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.client import AsyncTcpClient
from wyoming.ping import Ping
from wyoming_serving import client, serving, until

from assistant.config import ServerConfig
from assistant.server.errors import ServerError
from assistant.wyoming.server import listen_wyoming, may_connect, wyoming_url

START = AudioStart(16000, 2, 1).event()
SECOND = AudioChunk(16000, 2, 1, b"\x00\x40" * 16000).event()
STOP = AudioStop().event()


@pytest.mark.parametrize("host", ["0.0.0.0", "[::]", "192.0.2.1", "home.invalid"])
def test_an_address_that_others_reach_needs_to_be_told_who_they_are(host: str) -> None:
    with pytest.raises(ServerError, match="wyoming_clients"):
        listen_wyoming(ServerConfig(wyoming=f"tcp://{host}:0"))


@pytest.mark.parametrize("uri", ["tcp://127.0.0.1:0", "tcp://localhost:0", "tcp://[::1]:0"])
def test_the_address_says_the_port_that_was_free(uri: str) -> None:
    config = ServerConfig(wyoming=uri)
    with listen_wyoming(config) as sock:
        assert wyoming_url(config, sock) == f"{uri[:-1]}{sock.getsockname()[1]}"


def test_a_port_in_use_is_one_line() -> None:
    with listen_wyoming(ServerConfig(wyoming="tcp://127.0.0.1:0")) as sock:
        port = sock.getsockname()[1]
        with pytest.raises(ServerError, match=f"{port}.*in use.*--wyoming"):
            listen_wyoming(ServerConfig(wyoming=f"tcp://127.0.0.1:{port}"))


@pytest.mark.parametrize(
    ("address", "admitted"),
    [
        ("127.0.0.1", True),
        ("::1", True),
        ("192.168.1.10", True),
        ("::ffff:192.168.1.10", True),
        ("192.168.1.11", False),
        ("10.1.2.3", True),
        ("11.1.2.3", False),
        ("fe80::1%eth0", True),
        ("2001:db8::1", False),
    ],
)
def test_only_those_that_are_listed_may_connect(address: str, admitted: bool) -> None:
    config = ServerConfig(wyoming_clients=("192.168.1.10", "10.0.0.0/8", "fe80::/10"))
    assert may_connect(address, config) is admitted


async def test_others_are_hung_up_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("assistant.wyoming.server.may_connect", lambda *_: False)
    async with serving() as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        assert await reader.read(1) == b""
        writer.close()


async def test_what_is_begun_ends_in_peace_and_nobody_new_is_taken() -> None:
    async with serving() as server, client(server.port) as busy, client(server.port) as idle:
        await busy.write_event(START)
        await until(busy, "transcript-start")
        await idle.write_event(Ping().event())
        await until(idle, "pong")
        server.stop.set()
        assert await idle.read_event() is None
        with pytest.raises(ConnectionError):
            await AsyncTcpClient("127.0.0.1", server.port).connect()
        for event in (SECOND, STOP):
            await busy.write_event(event)
        assert (await until(busy, "transcript-stop"))[-2].data["text"].startswith("heard 16000")
        assert await busy.read_event() is None
        await server.task


async def test_what_does_not_end_is_cut_off() -> None:
    async with serving(drain_s=0) as server, client(server.port) as talking:
        await talking.write_event(START)
        await until(talking, "transcript-start")
        server.stop.set()
        assert await talking.read_event() is None
        await server.task
        assert server.pool.taken == 0
