"""Plain HTTP: the page's files, health, models and metrics."""

import json
from pathlib import Path

import pytest
from raw_client import ask, connected, handshake, request, upgraded
from serving import Echo, serving
from websockets.datastructures import Headers
from websockets.http11 import Request

from assistant.server.pages import Pages

GET = Request("/", Headers())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("index.html", "style.css", "main.js", "icon.svg", "notes.txt", "key.pem"):
        (tmp_path / name).write_text(f"the {name}", encoding="utf-8")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "inner.js").write_text("x")
    return tmp_path


@pytest.mark.parametrize(
    ("path", "name", "kind"),
    [
        ("/", "index.html", "text/html; charset=utf-8"),
        ("/page/index.html", "index.html", "text/html; charset=utf-8"),
        ("/page/style.css", "style.css", "text/css; charset=utf-8"),
        ("/page/main.js", "main.js", "text/javascript; charset=utf-8"),
        ("/page/icon.svg", "icon.svg", "image/svg+xml"),
    ],
)
def test_files_are_served_with_their_types(path: str, name: str, kind: str, folder: Path) -> None:
    answer = Pages(folder).answer(path, GET)
    assert answer is not None
    assert (answer.status_code, answer.body) == (200, f"the {name}".encode())
    assert answer.headers["Content-Type"] == kind
    assert answer.headers["Content-Length"] == str(len(answer.body))
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    policy = answer.headers["Content-Security-Policy"]
    assert {"default-src 'self'", "connect-src 'self' ws: wss:"} <= set(policy.split("; "))
    assert "unsafe" not in policy and "http" not in policy and "*" not in policy


@pytest.mark.parametrize(
    "path",
    [
        "/page/",
        "/page",
        "/page/notes.txt",
        "/page/key.pem",
        "/page/sub/inner.js",
        "/page/../server.py",
        "/page/%2e%2e/server.py",
        "/page//etc/passwd",
        "/index.html",
        "//",
    ],
)
def test_nothing_else_is_served(path: str, folder: Path) -> None:
    assert Pages(folder).answer(path, GET) is None


def test_what_the_browser_has_is_not_sent_again(folder: Path) -> None:
    first = Pages(folder).answer("/", GET)
    assert first is not None
    again = Pages(folder).answer("/", Request("/", Headers({"If-None-Match": first.headers["ETag"]})))
    assert again is not None and (again.status_code, again.body) == (304, b"")
    (folder / "index.html").write_text("changed")
    changed = Pages(folder).answer("/", Request("/", Headers({"If-None-Match": first.headers["ETag"]})))
    assert changed is not None and changed.status_code == 200


def test_a_folder_without_files_serves_none(tmp_path: Path) -> None:
    assert Pages(tmp_path).answer("/", GET) is None
    assert Pages(tmp_path / "none").answer("/", GET) is None


async def test_health_readiness_and_an_unknown_path() -> None:
    async with serving() as server:
        health = await ask(server.port, request("/healthz?from=probe"))
        ready = await ask(server.port, request("/readyz"))
        unknown = await ask(server.port, request("/v1/chat/completions"))
        wrong_socket = await ask(server.port, handshake(path="/"))
    assert (health.status, health.body) == (200, b"ok\n")
    assert (ready.status, ready.body) == (200, b"ready\n")
    assert health.headers["cache-control"] == "no-store"
    assert (unknown.status, unknown.error["code"]) == (404, "not_found")
    assert wrong_socket.status == 404 and "/v1/realtime" in wrong_socket.error["message"]


async def test_a_server_whose_places_are_taken_is_not_ready() -> None:
    async with serving(Echo(capacity=1), retry_after_s=7) as server:
        async with upgraded(server.port):
            full = await ask(server.port, request("/readyz"))
        await server.application.left(0)
        free = await ask(server.port, request("/readyz"))
    assert (full.status, full.body, full.headers["retry-after"]) == (503, b"busy\n", "7")
    assert (free.status, free.body) == (200, b"ready\n")


async def test_models_are_listed_as_openai_lists_them() -> None:
    async with serving() as server:
        answer = await ask(server.port, request("/v1/models"))
    (model,) = json.loads(answer.body)["data"]
    assert (model["id"], model["object"], type(model["created"])) == ("tiny", "model", int)


async def test_metrics_in_both_forms() -> None:
    async with serving() as server:
        plain = await ask(server.port, request("/metrics"))
        typed = await ask(
            server.port, request("/metrics", "Accept: application/openmetrics-text; version=1.0.0")
        )
    assert plain.headers["content-type"].startswith("text/plain; version=")
    assert b"assistant_sessions_capacity 4.0\n" in plain.body
    assert typed.headers["content-type"].startswith("application/openmetrics-text")
    assert typed.body.endswith(b"# EOF\n")


async def test_the_token_guards_what_tells_about_the_machine() -> None:
    async with serving(token="abc") as server:
        for path, status in {"/metrics": 401, "/v1/models": 401, "/healthz": 200, "/readyz": 200}.items():
            assert (await ask(server.port, request(path))).status == status
            assert (await ask(server.port, request(path, "Authorization: Bearer abc"))).status == 200


async def test_head_has_no_body_and_other_methods_are_refused() -> None:
    async with serving() as server:
        posted = await ask(server.port, request("/healthz", method="POST"))
        head = await ask_head(server.port)
        old = await ask(server.port, request("/healthz", version="HTTP/1.0"))
    assert (posted.status, posted.headers["allow"]) == (405, "GET, HEAD")
    assert head.startswith(b"HTTP/1.1 200 ") and head.endswith(b"\r\n\r\n")
    assert b"Content-Length: 3\r\n" in head
    assert old.status == 200  # as load balancers ask


async def ask_head(port: int) -> bytes:
    async with connected(port) as raw:
        await raw.send(request("/healthz", method="HEAD"))
        return await raw.reader.read()


async def test_asking_for_pages_takes_no_place() -> None:
    async with serving(Echo(capacity=1)) as server:
        for _ in range(3):
            await ask(server.port, request("/healthz"))
        assert (await ask(server.port, handshake())).status == 101
