"""What Serve's proxy leaves out, as ASGI middleware in the proxy.

A replica that dies ends its requests at the proxy without a word: the client of a WebSocket would see the
connection break (1006). Any request that waits for a replica with a free place would wait for ever, and
Serve's own refusals are in HTTP's messages, which a WebSocket server does not take.
"""

import asyncio
import json

from assistant.cluster.asgi_socket import Asgi, Message, Receive, Scope, Send

RESTART = 1012
"""RFC 6455's registry: "service restart"; the client is to connect again."""
RETRY_AFTER_S = 5
_PATIENCE_S = 3.0  # for a place on a replica; a client's handshake waits about ten
_ANSWERS = {"websocket": "websocket.http.response", "http": "http.response"}
"""What the messages of an answer to a request that becomes no WebSocket begin with."""


class Restarts:
    """Closes with 1012 what a replica left open, and refuses with 503 what no replica takes in time."""

    def __init__(self, app: Asgi, patience_s: float = _PATIENCE_S) -> None:
        self._app, self._patience_s = app, patience_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Watch over one WebSocket or one request; the server's lifespan is passed on as it is."""
        if scope["type"] in _ANSWERS:
            await self._connect(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _connect(self, scope: Scope, receive: Receive, send: Send) -> None:
        answer = _ANSWERS[scope["type"]]
        state = _Progress(receive, send, answer)
        answered = asyncio.create_task(state.answered.wait(), name="answered")
        serving = asyncio.create_task(self._app(scope, state.receive, state.send), name="serving")
        try:
            await asyncio.wait(
                (answered, serving), timeout=self._patience_s, return_when=asyncio.FIRST_COMPLETED
            )
            if state.answered.is_set():
                await asyncio.wait((serving,))
            if not state.answered.is_set() and not state.gone:
                state.refused = True
                await _refuse(send, answer)
            elif state.open:
                await send({"type": "websocket.close", "code": RESTART, "reason": "the replica is gone"})
        finally:
            answered.cancel()
            serving.cancel()
            await asyncio.wait((answered, serving))
        if not serving.cancelled():
            serving.result()  # what the proxy raised is the server's to log


class _Progress:
    """How far one WebSocket or request has come."""

    def __init__(self, receive: Receive, send: Send, answer: str) -> None:
        self._receive, self._send, self._answer = receive, send, answer
        self.answered = asyncio.Event()
        self.open = self.gone = self.refused = False

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] in ("websocket.disconnect", "http.disconnect"):
            self.gone, self.open = True, False
        return message

    async def send(self, message: Message) -> None:
        kind = message["type"]
        if self.refused or (kind.startswith("http.response") and self._answer != "http.response"):
            return  # a replica that answers too late, or Serve's own refusal: told by `_refuse`
        self.open = kind in ("websocket.accept", "websocket.send") and not self.gone
        self.answered.set()
        await self._send(message)


async def _refuse(send: Send, answer: str) -> None:
    error = {
        "type": "server_error",
        "code": "server_busy",
        "message": "all replicas are taken",
        "param": None,
    }
    headers = [(b"content-type", b"application/json"), (b"retry-after", str(RETRY_AFTER_S).encode())]
    await send({"type": f"{answer}.start", "status": 503, "headers": headers})
    await send({"type": f"{answer}.body", "body": json.dumps({"error": error}).encode()})
