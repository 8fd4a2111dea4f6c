"""A WebSocket of an ASGI server, as a conversation needs it."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, MutableMapping
from contextlib import suppress
from typing import Any
from uuid import uuid4

from websockets.exceptions import ConnectionClosedError, ConnectionClosedOK
from websockets.frames import Close, CloseCode

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Asgi = Callable[[Scope, Receive, Send], Coroutine[None, None, None]]

_CLOSE_S = 2.0  # in which the server passes a close frame on; to a client that reads nothing it cannot


class AsgiSocket:
    """See assistant.server.socket.Socket; of an accepted connection."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, message_bytes: int) -> None:
        self.name, self.path, self.remote = str(uuid4()), target(scope), client(scope)
        self.headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        self._receive, self._send, self._message_bytes = receive, send, message_bytes
        self._ending: Close | None = None
        """Ours or the client's, whichever came first."""

    @property
    def ended_with(self) -> int:
        """See Socket."""
        return CloseCode.ABNORMAL_CLOSURE if self._ending is None else self._ending.code

    async def send(self, message: str) -> None:
        """See Socket."""
        if self._ending is not None:
            raise self._gone(self._ending)
        try:
            await self._send({"type": "websocket.send", "text": message})
        except OSError as error:  # what a server raises whose client is gone
            raise self._gone(Close(CloseCode.ABNORMAL_CLOSURE, "")) from error

    async def recv(self) -> str | bytes:
        """See Socket."""
        if self._ending is not None:
            raise self._gone(self._ending)
        message = await self._receive()
        if message["type"] == "websocket.disconnect":
            raise self._gone(
                Close(message.get("code", CloseCode.NO_STATUS_RCVD), message.get("reason") or "")
            )
        text: str | None = message.get("text")
        data: str | bytes = text if text is not None else message["bytes"]
        if len(data) > self._message_bytes:
            await self.close(CloseCode.MESSAGE_TOO_BIG, "the message is too long")
            raise self._gone(Close(CloseCode.MESSAGE_TOO_BIG, ""))
        return data

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """See Socket.

        A machine that goes away says 1001. Where another takes over, that is 1012, "service restart".
        """
        if self._ending is not None:
            return
        code = CloseCode.SERVICE_RESTART if code == CloseCode.GOING_AWAY else code
        self._ending = Close(code, reason)
        with suppress(OSError, TimeoutError):
            async with asyncio.timeout(_CLOSE_S):
                await self._send({"type": "websocket.close", "code": code, "reason": reason})

    def abort(self) -> None:
        """See Socket. ASGI has no such thing: the server hangs up when its application returns."""
        self._ending = self._ending or Close(CloseCode.ABNORMAL_CLOSURE, "")

    def _gone(self, close: Close) -> ConnectionClosedOK | ConnectionClosedError:
        self._ending = self._ending or close
        orderly = close.code in (CloseCode.NORMAL_CLOSURE, CloseCode.GOING_AWAY)
        return ConnectionClosedOK(close, None) if orderly else ConnectionClosedError(close, None)


def target(scope: Scope) -> str:
    """The target of a request, with its query."""
    path = scope.get("raw_path", b"").decode("latin-1") or scope["path"]
    query = scope.get("query_string", b"").decode("latin-1")
    return f"{path}?{query}" if query else path


def client(scope: Scope) -> str:
    """Host and port of the client, for a log."""
    address = scope.get("client")
    return f"{address[0]}:{address[1]}" if address else "unknown"
