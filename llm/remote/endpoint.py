"""One POST to an HTTP server, and its answer as it comes, in bounded memory.

h11 speaks HTTP, the socket is ours and never blocks (`llm.remote.polled`). The HTTP clients at hand block
in a read until it times out, and then their stream is lost: neither a stop nor a time-out of our own would
reach them.
"""

import socket
import ssl
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Self
from urllib.parse import urlsplit

import h11

from llm.remote.patience import Patience, RemoteError
from llm.remote.polled import dial, receive, send

_HEAD_BYTES = 32_768  # of the answer


@dataclass(frozen=True)
class Endpoint:
    """Where to POST to. With https the server's certificate is verified against those the system trusts."""

    url: str  # fit to be printed
    host: str
    port: int
    authority: str
    target: str
    tls: ssl.SSLContext | None

    @classmethod
    def parse(cls, url: str) -> Self:
        """From an http or https URL; raises RemoteError, which does not quote what may be a secret."""
        try:
            parts = urlsplit(url)
            host, port = parts.hostname or "", parts.port
            host.encode("idna")
        except ValueError:
            raise RemoteError("remote model", "its URL cannot be read") from None
        if parts.scheme not in ("http", "https") or not host:
            raise RemoteError("remote model", "its URL must begin with http:// or https:// and name a host")
        if not (url.isascii() and url.isprintable()) or " " in url:
            raise RemoteError("remote model", "its URL has characters that must be escaped")
        authority = (f"[{host}]" if ":" in host else host) + (f":{port}" if port else "")
        shown = f"{parts.scheme}://{authority}{parts.path}"
        if "@" in parts.netloc or "?" in url or "#" in url:
            raise RemoteError(shown, "the URL of a remote model has no credentials, query or fragment")
        tls = _tls() if parts.scheme == "https" else None
        return cls(shown, host, port or (443 if tls else 80), authority, parts.path or "/", tls)

    @contextmanager
    def post(
        self, body: bytes, headers: Sequence[tuple[str, str]], connect_s: float, patience: Patience
    ) -> Iterator["Answer"]:
        """Send `body`; leaving the context closes the connection at once. Raises RemoteError and Unwanted."""
        own = [("Host", self.authority), ("Content-Length", str(len(body))), ("Connection", "close")]
        request = h11.Request(method="POST", target=self.target, headers=[*own, *headers])
        connecting = patience.at_most(connect_s, f"no connection within {connect_s:g} s")
        with closing(dial(self.host, self.port, self.tls, connecting)) as sock:
            http = h11.Connection(h11.CLIENT, max_incomplete_event_size=_HEAD_BYTES)
            events = (request, h11.Data(data=body), h11.EndOfMessage())
            send(sock, b"".join(http.send(event) or b"" for event in events), patience)
            yield Answer(http, sock)


class Answer:
    """The answer to a request that has been sent. All it does raises RemoteError and Unwanted."""

    def __init__(self, http: h11.Connection, sock: socket.socket) -> None:
        self._http, self._sock = http, sock

    def head(self, patience: Patience) -> tuple[int, dict[str, str]]:
        """Status and headers, their names in small letters."""
        while True:
            event = self._next(patience)
            if isinstance(event, h11.Response):
                headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in event.headers}
                return event.status_code, headers

    def read(self, patience: Patience) -> bytes:
        """Some more of the body, nothing at its end."""
        while True:
            event = self._next(patience)
            if isinstance(event, h11.EndOfMessage):
                return b""
            if isinstance(event, h11.Data) and event.data:
                return bytes(event.data)

    def _next(self, patience: Patience) -> object:
        data: bytes | None = None
        patience.left_s()  # a server that never pauses must not keep us either
        while True:
            try:
                event = self._http.next_event()
            except h11.RemoteProtocolError:
                if data == b"":
                    what = "closed the connection before its answer was over"
                    raise RemoteError(patience.url, what, transient=True) from None
                raise RemoteError(patience.url, "does not answer in HTTP/1.1") from None
            if event is not h11.NEED_DATA:
                return event
            data = receive(self._sock, patience)
            self._http.receive_data(data)


def _tls() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    return context
