"""The socket that the server listens on, and its certificate."""

import socket
import ssl
from dataclasses import dataclass

from assistant.config import ServerConfig
from assistant.server.access import REALTIME, is_loopback
from assistant.server.errors import ServerError

# Of what was sent, the kernel holds no more than this (twice, on Linux) for a client that does not read: a
# few seconds of audio. Left to itself it would hold up to 4 MB, a minute.
_SEND_BUFFER = 131_072


@dataclass(frozen=True)
class Listener:
    """A listening socket, TLS if it is wanted, and the address of the protocol on it."""

    sock: socket.socket
    tls: ssl.SSLContext | None
    url: str

    def close(self) -> None:
        """Stop listening."""
        self.sock.close()


def listen(config: ServerConfig) -> Listener:
    """Listen as `config` says, on one address; raises ServerError.

    Any address but a loopback one is refused without a token.
    """
    if config.token is None and not is_loopback(config.host):
        raise ServerError(
            f"{config.host} can be reached from other machines: set a token with ASSISTANT_TOKEN or --token"
        )
    context = _tls(config)
    sock = _bound(config)
    scheme = "wss" if context else "ws"
    host = f"[{config.host}]" if ":" in config.host else config.host
    return Listener(sock, context, f"{scheme}://{host}:{sock.getsockname()[1]}{REALTIME}")


def _bound(config: ServerConfig) -> socket.socket:
    where = f"cannot listen on {config.host}, port {config.port}"
    try:
        found = socket.getaddrinfo(config.host, config.port, type=socket.SOCK_STREAM)
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
        raise ServerError(f"{where}: {error.strerror}") from error
    return sock


def _tls(config: ServerConfig) -> ssl.SSLContext | None:
    if config.tls_cert is None or config.tls_key is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    both = f"{config.tls_cert} and {config.tls_key}"
    try:
        context.load_cert_chain(config.tls_cert, config.tls_key, password=lambda: b"")
    except ssl.SSLError as error:
        raise ServerError(f"{both}: not a certificate and its key in PEM, without a password") from error
    except OSError as error:
        raise ServerError(f"{both}: {error.strerror}") from error
    return context
