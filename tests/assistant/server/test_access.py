"""Who gets in: origins, tokens, admission; over sockets, and the order of the checks on requests."""

import asyncio
import hmac
from typing import Any

import pytest
import websockets
from raw_client import ask, handshake, request, upgraded
from serving import Echo, serving
from websockets.datastructures import Headers
from websockets.exceptions import InvalidStatus
from websockets.http11 import Request

from assistant.config import ServerConfig
from assistant.server.access import check_upgrade, is_loopback

TOKEN = "s3cret.t0ken"
BEARER = f"Authorization: Bearer {TOKEN}"


def asked(path: str = "/v1/realtime", *headers: tuple[str, str], **more: str) -> Request:
    return Request(path, Headers([("Host", "127.0.0.1:8765"), *headers]), **more)


def code(request: Request, **settings: object) -> str | None:
    refusal = check_upgrade(request, ServerConfig(**settings))  # type: ignore[arg-type]
    return refusal.code if refusal else None


OWN = ["http://127.0.0.1:8765", "https://127.0.0.1:8765", "HTTP://127.0.0.1:8765".lower()]
FOREIGN = [
    "http://evil.example",
    "http://127.0.0.1",
    "http://127.0.0.1:8766",
    "http://127.0.0.1:8765.evil.example",
    "http://evil.example/http://127.0.0.1:8765",
    "ftp://127.0.0.1:8765",
    "chrome-extension://127.0.0.1:8765",
    "127.0.0.1:8765",
    "null",
    "",
]


@pytest.mark.parametrize("origin", OWN)
def test_the_own_page_may_connect(origin: str) -> None:
    assert code(asked("/v1/realtime", ("Origin", origin))) is None


@pytest.mark.parametrize("origin", FOREIGN)
def test_a_foreign_page_may_not(origin: str) -> None:
    assert code(asked("/v1/realtime", ("Origin", origin))) == "origin_not_allowed"


def test_what_is_no_browser_sends_no_origin() -> None:
    assert code(asked()) is None


def test_a_listed_origin_may_connect_and_only_as_it_is_listed() -> None:
    origins = ("https://app.example",)
    assert code(asked("/v1/realtime", ("Origin", "https://app.example")), origins=origins) is None
    for origin in ("http://app.example", "https://app.example:444", "https://sub.app.example"):
        assert code(asked("/v1/realtime", ("Origin", origin)), origins=origins) == "origin_not_allowed"


def test_two_origins_are_none() -> None:
    twice = asked("/v1/realtime", ("Origin", OWN[0]), ("Origin", OWN[0]))
    assert code(twice) == "origin_not_allowed"


def test_a_name_that_was_pointed_at_this_machine_is_not_this_server() -> None:
    """DNS rebinding: the page's own name, which resolves to 127.0.0.1 now, is both Origin and Host."""
    rebound = Request("/v1/realtime", Headers(Host="evil.example:8765", Origin="http://evil.example:8765"))
    assert code(rebound) == "origin_not_allowed"
    assert code(rebound, token=TOKEN) == "invalid_api_key"  # it does not know the token
    assert code(rebound, origins=("http://evil.example:8765",)) is None
    for name in ("localhost:8765", "[::1]:8765"):
        own = Request("/v1/realtime", Headers(Host=name, Origin=f"http://{name}"))
        assert code(own) is None


def test_the_checks_have_an_order() -> None:
    """Each request fails this check and all behind it."""
    foreign = ("Origin", "http://evil.example")
    assert code(asked("/else", foreign, method="POST"), token=TOKEN) == "not_found"
    assert code(asked("/v1/realtime", foreign, method="POST"), token=TOKEN) == "method_not_allowed"
    assert code(asked("/v1/realtime", foreign), token=TOKEN) == "origin_not_allowed"
    assert code(asked("/v1/realtime"), token=TOKEN) == "invalid_api_key"


GIVEN = {
    "bearer": ("Authorization", f"Bearer {TOKEN}"),
    "lower case": ("authorization", f"bearer {TOKEN}"),
    "subprotocol": ("Sec-WebSocket-Protocol", f"openai-insecure-api-key.{TOKEN}"),
    "of several": ("Sec-WebSocket-Protocol", f"realtime, openai-insecure-api-key.{TOKEN},agents.1"),
}
WRONG = {
    "none": ("X-Other", TOKEN),
    "wrong": ("Authorization", "Bearer s3cret.t0kem"),
    "shorter": ("Authorization", f"Bearer {TOKEN[:-1]}"),
    "longer": ("Authorization", f"Bearer {TOKEN}x"),
    "empty": ("Authorization", "Bearer "),
    "another scheme": ("Authorization", f"Basic {TOKEN}"),
    "no scheme": ("Authorization", TOKEN),
    "not ASCII": ("Authorization", "Bearer s\xe9cret"),
    "another prefix": ("Sec-WebSocket-Protocol", f"openai-api-key.{TOKEN}"),
    "in the query": ("X-Other", "1"),
}


@pytest.mark.parametrize("how", GIVEN)
def test_the_token_is_taken_from_where_clients_put_it(how: str) -> None:
    assert code(asked("/v1/realtime", GIVEN[how]), token=TOKEN) is None


@pytest.mark.parametrize("how", WRONG)
def test_without_the_token_nobody_gets_in(how: str) -> None:
    assert code(asked(f"/v1/realtime?token={TOKEN}", WRONG[how]), token=TOKEN) == "invalid_api_key"


def test_tokens_are_compared_in_one_time_whatever_their_length(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the one comparison that takes it, on values of one length."""
    compared: list[tuple[bytes, bytes]] = []
    original = hmac.compare_digest

    def watched(one: bytes, other: bytes) -> bool:
        compared.append((one, other))
        return original(one, other)

    monkeypatch.setattr(hmac, "compare_digest", watched)
    for given in ("x", "x" * 5000, TOKEN):
        code(asked("/v1/realtime", ("Authorization", f"Bearer {given}")), token=TOKEN)
    assert len(compared) == 3
    assert {(len(one), len(other)) for one, other in compared} == {(32, 32)}


def test_every_token_is_compared_though_the_first_was_right(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    original = hmac.compare_digest
    monkeypatch.setattr(hmac, "compare_digest", lambda one, other: seen.append(1) or original(one, other))
    both = asked("/v1/realtime", GIVEN["bearer"], ("Sec-WebSocket-Protocol", "openai-insecure-api-key.x"))
    assert code(both, token=TOKEN) is None
    assert len(seen) == 2


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", True),
        ("127.8.9.1", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("192.168.1.2", False),
        ("localhost.evil.example", False),
        ("127.0.0.1.evil.example", False),
        ("", False),
    ],
)
def test_what_only_this_machine_can_reach(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected


async def test_refusals_over_the_socket() -> None:
    async with serving(token=TOKEN) as server:
        foreign = await ask(server.port, handshake("Origin: http://evil.example", BEARER))
        wrong = await ask(server.port, handshake("Authorization: Bearer x"))
        none = await ask(server.port, handshake())
        own = await ask(
            server.port, handshake(f"Origin: http://127.0.0.1:{server.port}", BEARER, port=server.port)
        )
    assert (foreign.status, foreign.error["code"]) == (403, "origin_not_allowed")
    assert (wrong.status, none.status) == (401, 401)
    assert wrong.error == none.error
    assert wrong.headers["www-authenticate"].startswith("Bearer")
    assert own.status == 101


@pytest.mark.parametrize(
    "given",
    [
        {"additional_headers": {"Authorization": f"Bearer {TOKEN}"}},
        {"subprotocols": ["realtime", f"openai-insecure-api-key.{TOKEN}"]},
    ],
)
async def test_a_client_library_connects_with_the_token(given: dict[str, Any]) -> None:
    async with serving(token=TOKEN) as server:
        async with websockets.connect(server.url + "?model=any&more=1", proxy=None, **given) as client:
            await client.send("hello")
            assert await client.recv() == "hello"
            assert client.subprotocol == ("realtime" if "subprotocols" in given else None)
        with pytest.raises(InvalidStatus) as refused:
            await websockets.connect(server.url, proxy=None)
    assert refused.value.response.status_code == 401


async def test_one_too_many_is_told_when_to_come_back() -> None:
    async with serving(Echo(capacity=2), retry_after_s=7) as server, upgraded(server.port):
        async with upgraded(server.port):
            answer = await ask(server.port, handshake())
            assert (answer.status, answer.error["code"]) == (503, "server_busy")
            assert answer.headers["retry-after"] == "7"
        await server.application.left(1)
        assert (await ask(server.port, handshake())).status == 101


async def test_of_two_handshakes_at_once_one_gets_the_last_place() -> None:
    """Also while the application, slow to notice, still calls all its places free."""

    class Unaware(Echo):
        def taken(self) -> int:
            return 0

    async with serving(Unaware(capacity=3)) as server:
        clients = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(8)]
        for _, writer in clients:
            writer.write(handshake())
        lines = [await reader.readline() for reader, _ in clients]
        for _, writer in clients:
            writer.transport.abort()
    statuses = sorted(int(line.split()[1]) for line in lines)
    assert statuses == [101] * 3 + [503] * 5


async def test_places_that_the_application_has_given_elsewhere_count() -> None:
    class Busy(Echo):
        def taken(self) -> int:
            return 4

    async with serving(Busy(capacity=4)) as server:
        assert (await ask(server.port, handshake())).status == 503


async def test_a_conversation_that_fails_gives_its_place_back() -> None:
    class Failing(Echo):
        async def converse(self, websocket: object, draining: asyncio.Event) -> None:
            raise RuntimeError("its own fault")

    async with serving(Failing(capacity=1)) as server:
        for _ in range(3):
            async with upgraded(server.port) as raw:
                assert await raw.closing() == 1011


async def test_a_server_that_is_not_ready_takes_nobody() -> None:
    async with serving(Echo(ready=False)) as server:
        answer = await ask(server.port, handshake())
        assert (answer.status, answer.error["code"]) == (503, "server_loading")
        assert (await ask(server.port, request("/readyz"))).status == 503
        assert (await ask(server.port, request("/healthz"))).status == 200
