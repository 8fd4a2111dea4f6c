"""What the proxies' middleware makes of replicas that die, are full, or do not answer."""

import asyncio
import json
from typing import Any

import pytest

from assistant.cluster.asgi_socket import Asgi, Message, Receive, Scope, Send
from assistant.cluster.restarts import RETRY_AFTER_S, Restarts

ACCEPT = {"type": "websocket.accept"}
SAID = {"type": "websocket.send", "text": "hello"}
SCOPE: dict[str, Any] = {"type": "websocket"}


async def served(
    app: Asgi, *received: dict[str, Any], patience_s: float = 60, kind: str = "websocket"
) -> list[Message]:
    """What the server is sent, of a client that sends `received` and then nothing."""
    sent: list[Message] = []
    inbox = list(received)

    async def receive() -> dict[str, Any]:
        if not inbox:
            await asyncio.Event().wait()
        return inbox.pop(0)

    async def send(message: Message) -> None:
        sent.append(message)

    await Restarts(app, patience_s)({"type": kind}, receive, send)
    return sent


def sending(*messages: dict[str, Any]) -> Asgi:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        for message in messages:
            await send(message)

    return app


async def test_a_connection_that_its_replica_left_open_is_closed_with_service_restart() -> None:
    sent = await served(sending(ACCEPT, SAID))
    assert sent[:2] == [ACCEPT, SAID]
    assert [(message["type"], message["code"]) for message in sent[2:]] == [("websocket.close", 1012)]


async def test_so_is_one_whose_proxy_fails_and_the_failure_goes_on() -> None:
    sent: list[Message] = []

    async def failing(scope: Scope, receive: Receive, send: Send) -> None:
        await send(ACCEPT)
        raise RuntimeError("the proxy's fault")

    async def send(message: Message) -> None:
        sent.append(message)

    with pytest.raises(RuntimeError, match="fault"):
        await Restarts(failing)(SCOPE, asyncio.Event().wait, send)  # type: ignore[arg-type]
    assert [message.get("code") for message in sent] == [None, 1012]


async def test_a_close_of_the_replica_is_passed_on_as_it_is() -> None:
    messages = [ACCEPT, SAID, {"type": "websocket.close", "code": 1008, "reason": "why"}]
    assert await served(sending(*messages)) == messages


async def test_a_client_that_is_gone_is_told_nothing() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(ACCEPT)
        await receive()

    assert await served(app, {"type": "websocket.disconnect", "code": 1001}) == [ACCEPT]


def assert_refused(sent: list[dict[str, Any]], answer: str = "websocket.http.response") -> None:
    start, body = sent
    assert (start["type"], start["status"]) == (f"{answer}.start", 503)
    assert (b"retry-after", str(RETRY_AFTER_S).encode()) in start["headers"]
    assert body["type"] == f"{answer}.body"
    assert json.loads(body["body"])["error"]["code"] == "server_busy"


async def test_a_refusal_in_the_messages_of_http_becomes_one_of_a_websocket() -> None:
    start = {"type": "http.response.start", "status": 503, "headers": []}
    assert_refused(await served(sending(start, {"type": "http.response.body", "body": b"no"})))


async def test_who_waits_too_long_for_a_place_is_refused_and_no_longer_waited_for() -> None:
    ended = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    assert_refused(await served(app, patience_s=0.01))
    assert ended.is_set()


async def test_a_replica_that_accepts_while_its_client_is_refused_is_not_heard() -> None:
    sent: list[Message] = []
    refusing, accepted = asyncio.Event(), asyncio.Event()

    async def late(scope: Scope, receive: Receive, send: Send) -> None:
        await refusing.wait()
        await send(ACCEPT)
        accepted.set()

    async def send(message: Message) -> None:
        sent.append(message)
        refusing.set()
        await accepted.wait()

    await Restarts(late, 0.01)(SCOPE, asyncio.Event().wait, send)  # type: ignore[arg-type]
    assert_refused(sent)


async def test_the_replicas_own_answer_in_place_of_the_upgrade_is_passed_on() -> None:
    start = {"type": "websocket.http.response.start", "status": 401, "headers": []}
    messages = [start, {"type": "websocket.http.response.body", "body": b"{}"}]
    assert await served(sending(*messages)) == messages


async def test_an_answer_to_plain_http_is_passed_on_as_it_is() -> None:
    start = {"type": "http.response.start", "status": 503, "headers": []}
    messages = [start, {"type": "http.response.body", "body": b"no"}]
    assert await served(sending(*messages), kind="http") == messages


async def test_so_is_one_that_takes_long_once_it_has_begun() -> None:
    start, body = {"type": "http.response.start", "status": 200}, {"type": "http.response.body"}

    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        await send(start)
        await asyncio.sleep(0.05)
        await send(body)

    assert await served(slow, patience_s=0.01, kind="http") == [start, body]


async def test_plain_http_waits_for_a_place_no_longer_than_a_handshake() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.Event().wait()

    assert_refused(await served(app, patience_s=0.01, kind="http"), "http.response")


async def test_the_lifespan_of_the_server_is_left_alone() -> None:
    complete = {"type": "lifespan.startup.complete"}
    assert await served(sending(complete), patience_s=0, kind="lifespan") == [complete]
