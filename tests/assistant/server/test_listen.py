"""Where the server listens, and what it refuses to."""

import asyncio
import shutil
import socket
import ssl
import subprocess
from contextlib import closing
from pathlib import Path

import pytest
import websockets
from serving import LOCAL, serving

from assistant.config import ServerConfig
from assistant.server.errors import ServerError
from assistant.server.listen import listen


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.invalid"])
def test_other_machines_are_let_in_with_a_token_only(host: str) -> None:
    with pytest.raises(ServerError, match=r"ASSISTANT_TOKEN or --token") as caught:
        listen(ServerConfig(host=host, port=0))
    assert host in str(caught.value)


def test_a_port_in_use_is_named() -> None:
    with closing(listen(LOCAL)) as first:
        port = first.sock.getsockname()[1]
        with pytest.raises(ServerError, match=rf"127\.0\.0\.1, port {port}: Address already in use"):
            listen(ServerConfig(port=port))


@pytest.mark.parametrize("host", ["192.0.2.1", "no-such-host.invalid"])
def test_an_address_that_is_not_of_this_machine(host: str) -> None:
    with pytest.raises(ServerError, match=host) as caught:
        listen(ServerConfig(host=host, port=0, token="t"))
    assert "\n" not in str(caught.value)


def test_a_port_is_taken_and_named() -> None:
    with closing(listen(LOCAL)) as listener:
        port = listener.sock.getsockname()[1]
        assert port > 0
        assert listener.url == f"ws://127.0.0.1:{port}/v1/realtime"
        assert listener.page == f"http://127.0.0.1:{port}/"


def test_the_page_of_a_server_on_every_address_is_at_localhost() -> None:
    with closing(listen(ServerConfig(host="0.0.0.0", port=0, token="t"))) as listener:
        port = listener.sock.getsockname()[1]
        assert listener.url == f"ws://0.0.0.0:{port}/v1/realtime"
        assert listener.page == f"http://localhost:{port}/"


def test_an_address_of_six_bytes_stands_in_brackets() -> None:
    if not socket.has_ipv6:
        pytest.skip("no IPv6")
    try:
        listener = listen(ServerConfig(host="::1", port=0))
    except ServerError:
        pytest.skip("no IPv6 on this machine")
    with closing(listener):
        assert listener.url.startswith("ws://[::1]:")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is not installed")
    folder = tmp_path_factory.mktemp("tls")
    cert, key = str(folder / "cert.pem"), str(folder / "key.pem")
    words = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2"]
    done = subprocess.run(
        [openssl, *words, *names, "-keyout", key, "-out", cert], capture_output=True, check=False, text=True
    )
    assert done.returncode == 0, done.stderr
    return cert, key


async def test_tls(certificate: tuple[str, str]) -> None:
    cert, key = certificate
    trusting = ssl.create_default_context(cafile=cert)
    failures: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: failures.append(context))
    async with serving(tls_cert=cert, tls_key=key, handshake_s=5.0) as server:
        url = f"wss://127.0.0.1:{server.port}/v1/realtime"
        origin = f"https://127.0.0.1:{server.port}"
        async with websockets.connect(url, ssl=trusting, proxy=None, origin=origin) as client:
            await client.send("hello")
            assert await client.recv() == "hello"
        await server.application.left(0)
    assert failures == []  # as when the log wants the address of a client that is gone


def test_the_address_says_that_it_is_tls(certificate: tuple[str, str]) -> None:
    cert, key = certificate
    with closing(listen(ServerConfig(port=0, tls_cert=cert, tls_key=key))) as listener:
        assert listener.url.startswith("wss://127.0.0.1:")
        assert listener.page.startswith("https://127.0.0.1:")


def test_a_certificate_that_is_none_is_refused(certificate: tuple[str, str], tmp_path: Path) -> None:
    cert, key = certificate
    (tmp_path / "text.pem").write_text("no certificate")
    for pair in ((str(tmp_path / "text.pem"), key), (cert, cert), (str(tmp_path / "none.pem"), key)):
        with pytest.raises(ServerError, match=r"\.pem") as caught:
            listen(ServerConfig(port=0, tls_cert=pair[0], tls_key=pair[1]))
        assert "\n" not in str(caught.value)
