"""Connections that bound what a client can make the library do by itself.

`websockets` answers every ping, hangs up on requests that it cannot parse, and waits long for clients that
do not close. The methods overridden here have no underscore, and its own subclasses override them, too.
"""

import asyncio
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from websockets.asyncio.server import ServerConnection
from websockets.exceptions import InvalidMessage
from websockets.frames import CloseCode, Frame, Opcode
from websockets.protocol import CLOSING, CONNECTING, Event

from assistant.server.access import Refusal
from assistant.server.responses import refuse

_ABNORMAL = 1006  # RFC 6455, 7.4.1: no close frame was exchanged
_SLICE = 4096  # bytes parsed before the limits are looked at again: 680 empty pings
_CONTROL_FRAMES_PER_S = 20  # a client that keeps its connection alive sends one in 20 s
_LINGER_S = 0.5  # in which a client closes its side, once ours is closed
_NO_REQUEST = Refusal(HTTPStatus.BAD_REQUEST, "bad_request", "this is no HTTP/1.1 request without a body")


class Guard:
    """The connections that are open, from TCP's accept on."""

    def __init__(self) -> None:
        self._open: set[GuardedConnection] = set()

    def connect(self, *args: Any, **kwargs: Any) -> "GuardedConnection":  # noqa: ANN401  # the library's
        """A new connection; the factory that `serve` is given."""
        return GuardedConnection(self._open, *args, **kwargs)

    def drop_unopened(self) -> None:
        """Hang up on those that have not finished their handshake."""
        for connection in list(self._open):
            if connection.state is CONNECTING:
                connection.transport.abort()


class GuardedConnection(ServerConnection):
    """One connection, in the set `peers` while it is open; it is a Socket once it is accepted."""

    def __init__(self, peers: "set[GuardedConnection]", *args: Any, **kwargs: Any) -> None:  # noqa: ANN401
        super().__init__(*args, **kwargs)
        self._peers = peers
        self._control_frames, self._second = 0, 0.0
        self._answered = False
        self._linger: asyncio.TimerHandle | None = None

    @property
    def name(self) -> str:
        """See Socket."""
        return str(self.id)

    @property
    def path(self) -> str:
        """See Socket."""
        assert self.request is not None, "the handshake is over"
        return self.request.path

    @property
    def headers(self) -> Mapping[str, str]:
        """See Socket."""
        assert self.request is not None, "the handshake is over"
        return self.request.headers

    @property
    def remote(self) -> str:
        """See Socket. A TLS connection that is closed no longer knows it."""
        address = self.remote_address
        return "gone" if address is None else f"{address[0]}:{address[1]}"

    @property
    def ended_with(self) -> int:
        """See Socket."""
        close = self.protocol.close_sent or self.protocol.close_rcvd
        return _ABNORMAL if close is None else int(close.code)

    def abort(self) -> None:
        """See Socket."""
        self.transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._peers.add(self)
        super().connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """End, and with it the wait for the client to close."""
        self._peers.discard(self)
        if self._linger is not None:
            self._linger.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse `data` in slices, so that a flood is noticed before all of it is answered."""
        for start in range(0, len(data), _SLICE):
            super().data_received(data[start : start + _SLICE])

    def process_event(self, event: Event) -> None:
        """Close the connection when it gets more control frames in a second than anyone needs."""
        super().process_event(event)
        if not isinstance(event, Frame) or event.opcode not in (Opcode.PING, Opcode.PONG):
            return
        now = self.loop.time()
        if now - self._second >= 1:
            self._control_frames, self._second = 0, now
        self._control_frames += 1
        if self._control_frames > _CONTROL_FRAMES_PER_S and not self.protocol.eof_sent:
            self.protocol.fail(CloseCode.POLICY_VIOLATION, "too many pings")
            self.send_data()

    def send_data(self) -> None:
        """Answer a request that cannot be parsed before the library hangs up on it.

        Once our side is closed the client has a moment to close its own: until the connection is lost, its
        conversation waits for a message. An answer over plain HTTP has the library's time for that.
        """
        error = self.protocol.handshake_exc
        unread = isinstance(error, InvalidMessage) and not isinstance(error.__cause__, EOFError)
        if unread and not self._answered:
            self._answered = True
            self.transport.write(refuse(_NO_REQUEST).serialize())
        super().send_data()
        closing = self.protocol.state is CLOSING or self.request is None
        if closing and self.protocol.eof_sent and self._linger is None:
            self._linger = self.loop.call_later(_LINGER_S, self.transport.abort)
