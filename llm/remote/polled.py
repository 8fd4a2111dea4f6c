"""TCP and TLS whose every wait, from the host's name to the last byte, is as long as a `Patience` allows."""

import os
import selectors
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from errno import EINPROGRESS, EWOULDBLOCK
from functools import partial
from typing import Any, TypeVar

from llm.remote.patience import Patience, RemoteError

T = TypeVar("T")
Address = tuple[socket.AddressFamily, socket.SocketKind, int, str, Any]  # as getaddrinfo returns them

_READ_BYTES = 16_384


def dial(host: str, port: int, tls: ssl.SSLContext | None, patience: Patience) -> socket.socket:
    """A connection to the first address that accepts one; raises RemoteError and Unwanted."""
    addresses = _resolve(host, port, patience)
    for i, address in enumerate(addresses):
        share_s = patience.left_s() / (len(addresses) - i)
        try:
            return _open(address, host, tls, patience.at_most(share_s, patience.what))
        except RemoteError as error:
            failed = error
    raise failed


def send(sock: socket.socket, data: bytes, patience: Patience) -> None:
    """Send all of it; raises RemoteError and Unwanted."""
    rest = memoryview(data)
    with _failures(patience.url, "the connection broke"):
        while rest:
            sent = _when_ready(sock, selectors.EVENT_WRITE, partial(sock.send, rest), patience)
            rest = rest[sent:]


def receive(sock: socket.socket, patience: Patience) -> bytes:
    """What has come, nothing at the end; raises RemoteError and Unwanted."""
    with _failures(patience.url, "the connection broke"):
        return _when_ready(sock, selectors.EVENT_READ, partial(sock.recv, _READ_BYTES), patience)


def _resolve(host: str, port: int, patience: Patience) -> list[Address]:
    """The host's addresses. A name is looked up in a thread of its own: that call cannot be cut short."""
    found: list[Address] = []

    def look_up(flags: int = 0) -> None:
        try:
            found.extend(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=flags))
        except socket.gaierror:
            return

    look_up(socket.AI_NUMERICHOST)
    if not found:
        thread = threading.Thread(target=look_up, name="look-up", daemon=True)
        thread.start()
        while thread.is_alive():
            thread.join(patience.poll_s())
    if not found:
        raise RemoteError(patience.url, "its host name has no address", transient=True)
    return found


def _open(address: Address, host: str, tls: ssl.SSLContext | None, patience: Patience) -> socket.socket:
    family, kind, protocol, _, where = address
    with _failures(patience.url, "no connection"):
        sock = socket.socket(family, kind, protocol)
        try:
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            _connect(sock, where, patience)
            if tls:
                sock = tls.wrap_socket(sock, server_hostname=host, do_handshake_on_connect=False)
                _when_ready(sock, selectors.EVENT_READ, sock.do_handshake, patience)
        except BaseException:
            sock.close()
            raise
        return sock


def _connect(sock: socket.socket, where: Any, patience: Patience) -> None:  # noqa: ANN401  # as in socket
    code = sock.connect_ex(where)
    if code in (EINPROGRESS, EWOULDBLOCK):
        _wait(sock, selectors.EVENT_WRITE, patience)
        code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if code:
        raise OSError(code, os.strerror(code))


def _when_ready(sock: socket.socket, event: int, action: Callable[[], T], patience: Patience) -> T:
    """The result of `action`, which a plain socket refuses until `event`, and TLS until either."""
    while True:
        try:
            return action()
        except ssl.SSLWantReadError:
            _wait(sock, selectors.EVENT_READ, patience)
        except ssl.SSLWantWriteError:
            _wait(sock, selectors.EVENT_WRITE, patience)
        except BlockingIOError:
            _wait(sock, event, patience)


def _wait(sock: socket.socket, event: int, patience: Patience) -> None:
    with selectors.DefaultSelector() as selector:
        selector.register(sock, event)
        while not selector.select(patience.poll_s()):
            pass


@contextmanager
def _failures(url: str, what: str) -> Iterator[None]:
    try:
        yield
    except ssl.SSLCertVerificationError as error:
        raise RemoteError(url, f"its certificate is refused: {error.verify_message}") from error
    except ssl.SSLError as error:
        raise RemoteError(url, f"{what}: TLS: {error.reason}") from error
    except OSError as error:
        raise RemoteError(url, f"{what}: {error.strerror}", transient=True) from error
