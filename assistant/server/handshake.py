"""The opening handshake: what becomes a WebSocket, and what gets another answer. No model is waited for."""

import asyncio
from collections.abc import Sequence
from http import HTTPStatus
from urllib.parse import urlsplit

from websockets.asyncio.server import ServerConnection
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from assistant.config import ServerConfig
from assistant.server.access import REALTIME, TOKEN_PROTOCOL, Refusal, check_upgrade
from assistant.server.application import Application
from assistant.server.conversations import Conversations
from assistant.server.guarded import GuardedConnection
from assistant.server.logs import logger
from assistant.server.metrics import Metrics
from assistant.server.responses import refuse
from assistant.server.routes import Routes

SUBPROTOCOL = Subprotocol("realtime")
"""The one that is spoken."""


def select_subprotocol(_: ServerConnection, offered: Sequence[Subprotocol]) -> Subprotocol | None:
    """`realtime` if it is offered. The one that holds a token is never sent back."""
    return SUBPROTOCOL if SUBPROTOCOL in offered else None


class Handshake:
    """The checks of `websockets`' two hooks, before and behind its own."""

    def __init__(
        self,
        config: ServerConfig,
        application: Application,
        conversations: Conversations,
        routes: Routes,
        metrics: Metrics,
        draining: asyncio.Event,
    ) -> None:
        self._config, self._application, self._conversations = config, application, conversations
        self._routes, self._metrics, self._draining = routes, metrics, draining

    def request(self, connection: ServerConnection, request: Request) -> Response | None:
        """Answer what asks for no WebSocket, or may have none; None lets the library go on."""
        if urlsplit(request.path).path != REALTIME:
            return self._routes.answer(request)
        refusal = check_upgrade(request, self._config) or self.closed()
        return self.refuse(_guarded(connection).remote, refusal) if refusal else None

    def response(self, connection: ServerConnection, _: Request, response: Response) -> Response | None:
        """Give an accepted connection its place, or refuse it; spell the library's refusals in JSON."""
        if not connection.protocol.accept_called:
            return None
        guarded = _guarded(connection)
        if response.status_code != HTTPStatus.SWITCHING_PROTOCOLS:
            return self.refuse(guarded.remote, _spelt(response))
        if refusal := self.full():
            return self.refuse(guarded.remote, refusal)
        self._conversations.admit(guarded)
        return None

    def full(self) -> Refusal | None:
        """Why there is no place for a connection, if there is none."""
        if self._conversations.full:
            return self._unavailable("server_busy", "all conversations are taken")
        return None

    def closed(self) -> Refusal | None:
        """Why no connection can be taken at present, whoever asks."""
        if self._draining.is_set():
            return self._unavailable("server_draining", "the server is shutting down")
        if not self._application.ready:
            return self._unavailable("server_loading", "the models are not ready")
        return None

    def _unavailable(self, code: str, message: str) -> Refusal:
        headers = {"Retry-After": str(self._config.retry_after_s)}
        return Refusal(HTTPStatus.SERVICE_UNAVAILABLE, code, message, headers)

    def refuse(self, remote: str, refusal: Refusal) -> Response:
        """Count a refusal, log it, and put it in words."""
        self._metrics.refused(refusal.code)
        logger().info("connection refused", remote=remote, status=refusal.status.value, code=refusal.code)
        return refuse(refusal)


def _guarded(connection: ServerConnection) -> GuardedConnection:
    assert isinstance(connection, GuardedConnection), "Guard.connect makes them"
    return connection


def _spelt(response: Response) -> Refusal:
    """A refusal of the library's, whose body is text; its headers Allow and Upgrade are kept.

    The text may quote a header that is malformed, and one of them holds the token.
    """
    kept = {name: response.headers[name] for name in ("Allow", "Upgrade") if name in response.headers}
    message = bytes(response.body).decode().split("\n", 1)[0]
    if TOKEN_PROTOCOL in message:
        message = "the header Sec-WebSocket-Protocol is malformed"
    return Refusal(HTTPStatus(response.status_code), "bad_handshake", message, kept)
