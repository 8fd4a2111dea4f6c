"""The server of one machine as an ASGI application, for whatever serves those."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from urllib.parse import urlsplit

from websockets.datastructures import Headers
from websockets.http11 import Request, Response

from assistant.cluster.asgi_socket import AsgiSocket, Message, Receive, Scope, Send, client, target
from assistant.config import ServerConfig
from assistant.server.access import REALTIME, check_upgrade
from assistant.server.application import Application
from assistant.server.conversations import Conversations
from assistant.server.handshake import SUBPROTOCOL, Handshake
from assistant.server.metrics import Metrics
from assistant.server.routes import Routes
from assistant.server.server import watched_loop

_NO_RESPONSE = "websocket.http.response"  # the extension with which a server answers in place of an upgrade
_TRY_LATER = 1013


class AsgiServer:
    """What `run_server` is to a socket, to ASGI: the same checks, pages and conversations.

    Once `draining` is set, new connections are refused with 503, and conversations finish their turns and
    close with 1012.
    """

    def __init__(
        self,
        application: Application,
        config: ServerConfig,
        metrics: Metrics,
        models: Sequence[str],
        draining: asyncio.Event,
        beside: Callable[[], AbstractAsyncContextManager[object]] = nullcontext,
    ) -> None:
        """`beside` is what is open while it serves."""
        self.draining = draining
        self.conversations = Conversations(application, metrics, draining)
        self._config, self._metrics, self._beside = config, metrics, beside
        self._routes = Routes(application, config, self.conversations, metrics, models, draining)
        self._handshake = Handshake(config, application, self.conversations, self._routes, metrics, draining)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request, one WebSocket, or the lifespan of the server."""
        match scope["type"]:
            case "lifespan":
                await self._live(receive, send)
            case "http":
                await _respond(send, "http.response", self._routes.answer(_request(scope)))
            case "websocket":
                await self._connect(scope, receive, send)

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        async with self._beside(), watched_loop(self._metrics):
            await send({"type": "lifespan.startup.complete"})
            await receive()
        await send({"type": "lifespan.shutdown.complete"})

    async def _connect(self, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        request = _request(scope)
        if (answer := self._refusal(request, scope)) is not None:
            if _NO_RESPONSE in scope.get("extensions", {}):
                await _respond(send, _NO_RESPONSE, answer)
            else:
                await send({"type": "websocket.accept"})
                await send({"type": "websocket.close", "code": _TRY_LATER})
            return
        socket = AsgiSocket(scope, receive, send, self._config.message_bytes)
        self.conversations.admit(socket)
        offered = SUBPROTOCOL in scope.get("subprotocols", ())
        await send({"type": "websocket.accept", "subprotocol": SUBPROTOCOL if offered else None})
        await self.conversations.hold(socket)

    def _refusal(self, request: Request, scope: Scope) -> Response | None:
        if urlsplit(request.path).path != REALTIME:
            return self._routes.answer(request)
        handshake = self._handshake
        refusal = check_upgrade(request, self._config) or handshake.closed() or handshake.full()
        return handshake.refuse(client(scope), refusal) if refusal else None


def _request(scope: Scope) -> Request:
    headers = Headers((name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"])
    return Request(target(scope), headers, scope.get("method", "GET"))


async def _respond(send: Send, kind: str, response: Response) -> None:
    """Answer in ASGI's messages, whose names begin with `kind`."""
    start: Message = {
        "type": f"{kind}.start",
        "status": response.status_code,
        "headers": [
            (name.lower().encode("latin-1"), value.encode("latin-1"))
            for name, value in response.headers.raw_items()
            if name.lower() != "connection"  # the server's affair
        ],
    }
    await send(start)
    await send({"type": f"{kind}.body", "body": bytes(response.body)})
