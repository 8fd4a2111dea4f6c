"""The socket that the server listens on, and its certificate."""

import errno
import socket
import ssl
from dataclasses import dataclass
from pathlib import Path

from assistant.config import ServerConfig
from assistant.server.access import REALTIME, is_loopback, is_unspecified
from assistant.server.errors import ServerError

# Of what was sent, the kernel holds no more than this (twice, on Linux) for a client that does not read: a
# few seconds of audio. Left to itself it would hold up to 4 MB, a minute.
_SEND_BUFFER = 131_072


@dataclass(frozen=True)
class Listener:
    """A listening socket, TLS if it is wanted, and the addresses of the protocol and of the page on it."""

    sock: socket.socket
    tls: ssl.SSLContext | None
    url: str
    page: str

    def close(self) -> None:
        """Stop listening."""
        self.sock.close()


def listen(config: ServerConfig) -> Listener:
    """Listen as `config` says, on one address; raises ServerError.

    Any address but a loopback one is refused without a token.
    """
    refuse_open(config)
    context = _tls(config)
    sock = bound(config.host, config.port, "--port takes another, and 0 one that is free")
    secure, port = "s" if context else "", sock.getsockname()[1]
    host = f"[{config.host}]" if ":" in config.host else config.host
    # Browsers on this machine get the microphone at localhost, and at no address that stands for all.
    named = "localhost" if is_unspecified(config.host) else host
    url, page = f"ws{secure}://{host}:{port}{REALTIME}", f"http{secure}://{named}:{port}/"
    return Listener(sock, context, url, page)


def bound(host: str, port: int, hint: str) -> socket.socket:
    """A listening socket; raises ServerError, with `hint` if the port is in use."""
    where = f"cannot listen on {host}, port {port}"
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise ServerError(f"{where}: {error.strerror}") from error
    family, kind, protocol, _, address = min(found, key=lambda info: info[0] != socket.AF_INET)
    sock = socket.socket(family, kind, protocol)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
        sock.bind(address)
        sock.listen()
    except OSError as error:
        sock.close()
        remedy = f"; {hint}" if error.errno == errno.EADDRINUSE else ""
        raise ServerError(f"{where}: {error.strerror}{remedy}") from error
    return sock


def refuse_open(config: ServerConfig) -> None:
    """Raise ServerError if whoever reaches the machine could use the server of `config`."""
    if config.token is None and not is_loopback(config.host):
        raise ServerError(
            f"{config.host} can be reached from other machines: set a token with ASSISTANT_TOKEN or --token"
        )


def _tls(config: ServerConfig) -> ssl.SSLContext | None:
    if config.tls_cert is None or config.tls_key is None:
        return None
    for path in (config.tls_cert, config.tls_key):
        _check_readable(path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(config.tls_cert, config.tls_key, password=lambda: b"")
    except ssl.SSLError as error:
        both = f"{config.tls_cert} and {config.tls_key}"
        raise ServerError(f"{both}: not a certificate and its key in PEM, without a password") from error
    return context


def _check_readable(path: str) -> None:
    """Name the file that cannot be read; the library does not say which of the two it was."""
    try:
        with Path(path).open("rb"):
            pass
    except OSError as error:
        raise ServerError(f"{path}: {error.strerror}") from error
