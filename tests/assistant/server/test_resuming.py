"""A client comes back after its server died: two servers, a real Redis, real sockets, scripted models."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, replace
from typing import Any

import pytest
from near_server import Models
from stores import RedisServer, needs_redis, running_redis
from structlog.testing import capture_logs
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from assistant.config import Config, ServerConfig
from assistant.runtime import Clock, Recorder
from assistant.server.kept import read_kept
from assistant.server.listen import listen
from assistant.server.metrics import Metrics
from assistant.server.realtime import Realtime
from assistant.server.redis_store import RedisStore
from assistant.server.server import run_server
from assistant.session.stages import Stages

pytestmark = needs_redis
REPLIES = {"how are you": "Fine.", "and the weather": "Sunny.", "one": "1.", "other": "2."}
TEXT = {"type": "session.update", "session": {"type": "realtime", "output_modalities": ["text"]}}


class Pool:
    """In place of a ModelPool: models that answer as they are told."""

    sessions = 4

    def __init__(self) -> None:
        self.models: list[Models] = []
        self.taken = 0

    def open(self, name: str) -> Stages:
        self.models.append(Models((), REPLIES))
        return self.models[-1].stages()


@dataclass
class Served:
    url: str
    pool: Pool
    task: "asyncio.Task[None]"
    stop: asyncio.Event


@asynccontextmanager
async def served(redis: str | None, **settings: Any) -> AsyncIterator[Served]:  # noqa: ANN401  # of ServerConfig
    config = Config(server=replace(ServerConfig(port=0, resume=redis), **settings))
    pool, metrics, clock = Pool(), Metrics(), Clock()
    store = redis and RedisStore(
        redis, config.server.token, config.server.resume_s, config.server.resume_bytes
    )
    application = Realtime(pool, config, clock, Recorder(), metrics, "scripted", store=store or None)  # type: ignore[arg-type]
    stop, ready = asyncio.Event(), asyncio.Event()
    with closing(listen(config.server)) as listener:
        serving = run_server(
            application, config.server, metrics, listener, stop, models=["scripted"], on_ready=ready.set
        )
        task = asyncio.create_task(serving)
        await ready.wait()
        port = listener.sock.getsockname()[1]
        try:
            yield Served(f"ws://127.0.0.1:{port}/v1/realtime", pool, task, stop)
        finally:
            stop.set()
            await task
            if store:
                await store.__aexit__()


async def kept(redis: RedisServer, session: str, items: list[str]) -> None:
    """Wait until the newest of the items are kept."""
    async with asyncio.timeout(20), RedisStore(redis.url, None, 60, 10**6) as store:
        while True:
            text = await store.load(session)
            entries = read_kept(text).entries if text else ()
            if entries and entries[-1].item.id == items[-1]:
                return
            await asyncio.sleep(0.01)


class Client:
    """What it was told is `told`, by type."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.told: list[Any] = []

    async def send(self, *events: Any) -> None:  # noqa: ANN401  # any JSON
        for event in events:
            await self.socket.send(json.dumps(event))

    async def until(self, kind: str) -> Any:  # noqa: ANN401  # any JSON
        async with asyncio.timeout(20):
            while True:
                event = json.loads(await self.socket.recv())
                self.told.append(event)
                if event["type"] == kind:
                    return event

    async def say(self, text: str) -> str:
        """Type something; the reply."""
        item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}
        await self.send({"type": "conversation.item.create", "item": item}, {"type": "response.create"})
        done = await self.until("response.done")
        return str(done["response"]["output"][0]["content"][0]["text"])

    def items(self) -> list[str]:
        return [event["item"]["id"] for event in self.told if event["type"] == "conversation.item.added"]


@asynccontextmanager
async def connected(server: Served, resume: str = "", token: str | None = None) -> AsyncIterator[Client]:
    headers = {"Authorization": f"Bearer {token}"} if token else None
    url = f"{server.url}?model=gpt-realtime" + (f"&resume={resume}" if resume else "")
    async with connect(url, additional_headers=headers, proxy=None) as socket:
        client = Client(socket)
        await client.send(TEXT)
        await client.until("session.updated")
        yield client


async def test_a_conversation_goes_on_at_another_server_when_its_own_is_gone() -> None:
    async with running_redis() as redis, served(redis.url) as second:
        async with served(redis.url) as first, connected(first) as client:
            session = client.told[0]["session"]
            assert await client.say("how are you") == "Fine."
            before = client.items()
            first.stop.set()
            with pytest.raises(ConnectionClosed) as closed:
                await client.until("nothing")
            assert closed.value.rcvd is not None and closed.value.rcvd.code == 1012
        async with connected(second, session["id"]) as client:
            assert client.told[0]["session"]["resumed"] == session["id"]
            assert client.items() == before
            assert await client.say("and the weather") == "Sunny."
            assert len(set(client.items())) == 4
    (models,) = second.pool.models
    # The newest message is told apart from the history.
    assert models.histories[-1][:2] == [("user", "how are you"), ("assistant", "Fine.")]
    assert len(session["id"].removeprefix("sess_")) * 4 == 128
    assert session["id"][5:] not in "".join(before)


async def test_two_that_resume_one_conversation_each_go_on_with_a_copy() -> None:
    async with running_redis() as redis, served(redis.url) as server:
        async with connected(server) as client:
            assert await client.say("how are you") == "Fine."
            old = client.told[0]["session"]["id"]
            await kept(redis, old, client.items())
            # The first is still there: it is none the worse for it.
            async with connected(server, old) as one, connected(server, old) as other:
                ids = {each.told[0]["session"]["id"] for each in (client, one, other)}
                assert len(ids) == 3
                assert await one.say("one") == "1."
                assert await other.say("other") == "2."
                assert await client.say("and the weather") == "Sunny."
                assert one.items()[:2] == other.items()[:2] == client.items()[:2]
                assert not set(one.items()[2:]) & set(other.items()[2:])
                again, newest = one.told[0]["session"]["id"], one.items()
        await kept(redis, again, newest)
        async with connected(server, again) as client:
            texts = [event["item"]["content"][0]["text"] for event in client.told if "added" in event["type"]]
    assert texts == ["how are you", "Fine.", "one", "1."]


async def test_an_unknown_id_gets_a_fresh_session_and_an_error() -> None:
    async with running_redis() as redis, served(redis.url) as server:
        for unknown in ("sess_unknown", "%00%ff", "x" * 5000):
            async with connected(server, unknown) as client:
                kinds = [event["type"] for event in client.told]
                assert kinds == ["session.created", "error", "session.updated"]
                assert client.told[1]["error"]["code"] == "resume_not_found"
                assert await client.say("how are you") == "Fine."


async def test_a_token_is_needed_to_resume_and_one_of_another_server_finds_nothing() -> None:
    async with (
        running_redis() as redis,
        served(redis.url, token="a") as mine,
        served(redis.url, token="b") as other,
    ):
        async with connected(mine, token="a") as client:
            old = client.told[0]["session"]["id"]
            await client.say("how are you")
        for token in (None, "b"):
            with pytest.raises(InvalidStatus):
                async with connected(mine, old, token):
                    pass
        async with connected(other, old, "b") as client:
            assert client.told[1]["error"]["code"] == "resume_not_found" and client.items() == []
        async with connected(mine, old, "a") as client:
            assert len(client.items()) == 2


async def test_without_a_store_a_session_cannot_be_resumed_and_does_not_claim_to() -> None:
    async with served(None) as server, connected(server, "sess_old") as client:
        assert "resumable_s" not in client.told[0]["session"]
        assert client.told[1]["error"]["code"] == "resume_unavailable"
        assert await client.say("how are you") == "Fine."


async def test_a_redis_killed_in_the_middle_costs_no_turn_and_is_used_again_when_it_is_back() -> None:
    with capture_logs() as lines:
        async with running_redis() as redis, served(redis.url) as server, connected(server) as client:
            assert await client.say("how are you") == "Fine."
            await redis.kill()
            assert await client.say("and the weather") == "Sunny."
            async with connected(server, client.told[0]["session"]["id"]) as other:
                assert other.told[1]["error"]["code"] == "resume_unavailable"
                assert await other.say("one") == "1."
            await redis.start()
            old = client.told[0]["session"]["id"]
            await kept(redis, old, client.items())  # Redis had lost it: all of it is written again
            async with connected(server, old) as again:
                assert again.items() == client.items()
    events = [line["event"] for line in lines]
    assert events.count("redis lost") == events.count("redis back") == 1


async def test_what_is_stored_is_bounded_and_the_newest_items_are_in_it() -> None:
    async with running_redis() as redis, served(redis.url, resume_bytes=700) as server:
        async with connected(server) as client:
            old = client.told[0]["session"]["id"]
            for words in ("how are you", "and the weather", "one", "other"):
                await client.say(words)
            items = client.items()
        await kept(redis, old, items)
        async with connected(server, old) as client:
            back = client.items()
    assert 1 <= len(back) < 8 and back == items[-len(back) :]
