"""Conversations in a real Redis of this machine, which is killed, stopped and filled with garbage."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from redis.asyncio import Redis
from stores import RedisServer, needs_redis, running_redis
from structlog.testing import capture_logs

from assistant.server.errors import ServerError
from assistant.server.keeper import StoreLost, find
from assistant.server.redis_store import RedisStore

pytestmark = needs_redis
OPENED = ["redis lost", "redis back"]


@pytest.fixture
async def server() -> AsyncIterator[RedisServer]:
    async with running_redis() as server:
        yield server


@asynccontextmanager
async def opened(
    url: str, token: str | None = "t", ttl_s: int = 60, most: int = 1000
) -> AsyncIterator[RedisStore]:
    async with RedisStore(url, token, ttl_s, most) as store:
        yield store


async def test_what_is_saved_comes_back_for_a_while(server: RedisServer) -> None:
    async with opened(server.url) as store, Redis.from_url(server.url) as redis:
        assert await store.load("sess_a") is None
        await store.save("sess_a", "first")
        await store.save("sess_a", "gr\u00fc\u00dfe")
        await store.save("sess_b", "other")
        assert await store.load("sess_a") == "gr\u00fc\u00dfe".encode()
        keys = await redis.keys("*")
        assert len(keys) == 2 and {0 < await redis.ttl(key) <= 60 for key in keys} == {True}
        for key in keys:
            await redis.pexpire(key, 1)
        await asyncio.sleep(0.01)
        assert await store.load("sess_a") is None


async def test_keys_tell_no_id_and_another_token_finds_nothing(server: RedisServer) -> None:
    async with opened(server.url) as store, Redis.from_url(server.url) as redis:
        await store.save("sess_secret", "what was said")
        (key,) = await redis.keys("*")
        assert key.startswith(b"assistant:conversation:") and b"secret" not in key
        for token in ("other", None, ""):
            async with opened(server.url, token) as other:
                assert await other.load("sess_secret") is None
        async with opened(server.url) as again:
            assert await again.load("sess_secret") == b"what was said"


async def test_of_what_is_too_large_only_a_part_is_read(server: RedisServer) -> None:
    async with opened(server.url, most=1000) as store:
        await store.save("sess_a", "x" * 10_000_000)
        assert len(await store.load("sess_a") or b"") == 1001
        found = await find(store, "sess_a", 60)
    assert found.kept is None and found.refusal and found.refusal.code == "resume_not_found"


async def test_a_redis_that_is_killed_is_told_once_and_told_again_when_it_is_back(
    server: RedisServer,
) -> None:
    with capture_logs() as lines:
        async with opened(server.url) as store:
            await store.save("sess_a", "before")
            await server.kill()
            for _ in range(3):
                with pytest.raises(StoreLost):
                    await store.save("sess_a", "meanwhile")
            with pytest.raises(StoreLost):
                await store.load("sess_a")
            assert store.lost
            await server.start()
            await store.save("sess_a", "after")
            assert await store.load("sess_a") == b"after" and not store.lost
    assert [line["event"] for line in lines] == OPENED
    assert all("\n" not in str(line) for line in lines)


async def test_a_connection_that_redis_closed_meanwhile_is_no_loss(server: RedisServer) -> None:
    with capture_logs() as lines:
        async with opened(server.url) as store, Redis.from_url(server.url) as redis:
            await store.save("sess_a", "before")
            await redis.client_kill_filter(_type="normal", skipme=True)
            await store.save("sess_a", "after")
            assert await store.load("sess_a") == b"after"
    assert lines == []


async def test_a_redis_that_hangs_is_given_up_and_answers_are_never_mixed_up(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("assistant.server.redis_store._DEADLINE_S", 0.1)
    async with opened(server.url) as store:
        await store.save("sess_a", "a")
        await store.save("sess_b", "b")
        server.signal(signal.SIGSTOP)
        with pytest.raises(StoreLost):
            await store.load("sess_a")
        assert store.lost
        server.signal(signal.SIGCONT)
        async with asyncio.timeout(10):
            while True:
                try:
                    found = await store.load("sess_b")
                    break
                except StoreLost:  # it may still be about to wake up
                    continue
        assert found == b"b"


async def test_a_redis_that_refuses_is_lost(server: RedisServer) -> None:
    async with running_redis("--requirepass", "s3cret") as locked:
        with capture_logs() as lines:
            async with opened(locked.url) as store:
                with pytest.raises(StoreLost):
                    await store.save("sess_a", "x")
        assert [line["event"] for line in lines] == OPENED[:1] and "s3cret" not in str(lines)
        async with opened(locked.url.replace("://", "://:s3cret@")) as store:
            await store.save("sess_a", "x")
            assert await store.load("sess_a") == b"x"


async def test_one_that_is_not_there_is_told_at_the_start(server: RedisServer) -> None:
    await server.kill()
    with capture_logs() as lines:
        async with opened(server.url) as store:
            assert store.lost
    assert [line["event"] for line in lines] == OPENED[:1]
    assert str(server.port) in lines[0]["why"]
    await server.start()


async def test_many_at_once(server: RedisServer) -> None:
    async with opened(server.url) as store:
        await asyncio.gather(*(store.save(f"sess_{n}", str(n)) for n in range(200)))
        found = await asyncio.gather(*(store.load(f"sess_{n}") for n in range(200)))
    assert [int(text or b"") for text in found] == list(range(200))


def test_an_address_that_is_none_is_one_line() -> None:
    with pytest.raises(ServerError) as raised:
        RedisStore("http://127.0.0.1", None, 60, 1000)
    assert "\n" not in str(raised.value)


async def test_without_resume_redis_is_not_imported() -> None:
    code = "import sys, assistant.commands.serve, assistant.server.realtime; sys.exit('redis' in sys.modules)"
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", code)
    assert await process.wait() == 0
