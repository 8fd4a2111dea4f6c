"""Conversations that the models do not take, and what comes of it."""

import asyncio
import json
from dataclasses import dataclass

import pytest
from stores import MemoryStore

from assistant.config import Config
from assistant.models.pool import PoolBusy
from assistant.runtime import Clock, Recorder
from assistant.server.metrics import Metrics
from assistant.server.realtime import Realtime
from llm.decode import CudaBroken


@dataclass
class FailingPool:
    """In place of a ModelPool: opens nothing."""

    error: Exception
    sessions = 1
    taken = 0

    def open(self, name: str) -> None:
        raise self.error


class Client:
    path = "/v1/realtime?resume=sess_1"

    def __init__(self) -> None:
        self.sent: list[str] = []
        self.code = 0

    async def send(self, message: str) -> None:
        self.sent.append(json.loads(message)["error"]["code"])

    async def close(self, code: int, reason: str) -> None:
        self.code = code


class Unread(MemoryStore):
    async def load(self, session_id: str) -> bytes | None:
        raise AssertionError("read for nothing")


def over(error: Exception) -> Realtime:
    pool = FailingPool(error)
    return Realtime(pool, Config(), Clock(), Recorder(), Metrics(), "tiny", store=Unread())  # type: ignore[arg-type]


async def test_one_that_ends_with_a_broken_gpu_is_the_last() -> None:
    application = over(ExceptionGroup("session", [ExceptionGroup("reply", [CudaBroken("launch failed")])]))
    assert application.ready
    with pytest.raises(ExceptionGroup):
        await application.converse(Client(), asyncio.Event())  # type: ignore[arg-type]
    assert not application.ready


async def test_another_failure_is_the_conversations_own() -> None:
    application = over(RuntimeError("something else"))
    with pytest.raises(RuntimeError, match="something else"):
        await application.converse(Client(), asyncio.Event())  # type: ignore[arg-type]
    assert application.ready


async def test_who_has_no_place_costs_no_read_of_the_store() -> None:
    client = Client()
    await over(PoolBusy(1)).converse(client, asyncio.Event())  # type: ignore[arg-type]
    assert (client.sent, client.code) == (["session_limit_reached"], 1008)
