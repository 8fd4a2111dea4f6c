"""A Realtime server that gives the page and says what a test tells it to say, and records what it hears."""

import asyncio
import base64
import json
import mimetypes
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from itertools import count
from pathlib import Path

import numpy as np
from websockets.asyncio.server import ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

PAGE = Path(__file__).parents[3] / "assistant/server/page"
POLICY = "default-src 'self'; connect-src 'self' ws: wss:; worker-src 'self'"
RATE = 24000
PATIENCE = 30
"""Seconds after which a page that did nothing is given up."""
Event = dict[str, object]


@dataclass(eq=False)
class Peer:
    """One connected page, as its server sees it. Each event is read once; audio is gathered instead."""

    socket: ServerConnection
    audio: bytearray = field(default_factory=bytearray)
    """Everything that was appended: 16-bit samples at 24 kHz."""
    appends: int = 0
    _events: asyncio.Queue[Event] = field(default_factory=asyncio.Queue)
    _appended: asyncio.Condition = field(default_factory=asyncio.Condition)
    _numbers: "count[int]" = field(default_factory=count)

    async def listen(self) -> None:
        async for message in self.socket:
            event = json.loads(message)
            if event["type"] == "input_audio_buffer.append":
                async with self._appended:
                    self.audio += base64.b64decode(event["audio"], validate=True)
                    self.appends += 1
                    self._appended.notify_all()
            else:
                self._events.put_nowait(event)

    async def next(self, kind: str) -> Event:
        """The next event that is no audio; it must be of this type."""
        async with asyncio.timeout(PATIENCE):
            event = await self._events.get()
        assert event["type"] == kind, event
        return event

    def unread(self) -> list[Event]:
        """What came and was not read yet."""
        return [self._events.get_nowait() for _ in range(self._events.qsize())]

    async def hear(self, more: int) -> None:
        """Wait for audio to be appended `more` times."""
        end = self.appends + more
        async with asyncio.timeout(PATIENCE), self._appended:
            await self._appended.wait_for(lambda: self.appends >= end)

    async def send(self, kind: str, **fields: object) -> None:
        event = {"type": kind, "event_id": f"event_{next(self._numbers)}", **fields}
        await self.socket.send(json.dumps(event))

    async def greet(self) -> Event:
        """Begin the session. Returns the settings that the page asked for."""
        await self.send("session.created", session={"type": "realtime"})
        update = await self.next("session.update")
        await self.send("session.updated", session=update["session"])
        return update

    async def user_begins(self, item: str) -> None:
        await self.send("input_audio_buffer.speech_started", item_id=item, audio_start_ms=0)

    async def partial(self, item: str, stable: str, unstable: str) -> None:
        kind = "conversation.item.input_audio_transcription.partial"
        await self.send(kind, item_id=item, stable=stable, unstable=unstable)

    async def user_ends(self, item: str, transcript: str, previous: str | None = None) -> None:
        await self.send("input_audio_buffer.speech_stopped", item_id=item, audio_end_ms=900)
        await self.send("input_audio_buffer.committed", item_id=item, previous_item_id=previous)
        content = [{"type": "input_audio", "transcript": None}]
        await self.item(item, "user", content, previous)
        kind = "conversation.item.input_audio_transcription"
        for delta in transcript.replace(" ", " |").split("|"):
            await self.send(f"{kind}.delta", item_id=item, content_index=0, delta=delta)
        usage = {"type": "duration", "seconds": 0.9}
        await self.send(
            f"{kind}.completed", item_id=item, content_index=0, transcript=transcript, usage=usage
        )

    async def item(self, item: str, role: str, content: list[object], previous: str | None) -> None:
        message = {"id": item, "type": "message", "role": role, "content": content}
        for kind in ("conversation.item.added", "conversation.item.done"):
            await self.send(kind, item=message, previous_item_id=previous)

    async def reply_begins(self, item: str, transcript: str, audio_ms: int, previous: str | None) -> None:
        """A reply with all of its words and audio, which is a tone; it is not done yet."""
        response = f"response_of_{item}"
        await self.send("response.created", response={"id": response, "status": "in_progress", "output": []})
        message = {"id": item, "type": "message", "role": "assistant", "content": []}
        await self.send("response.output_item.added", response_id=response, output_index=0, item=message)
        await self.send("conversation.item.added", item=message, previous_item_id=previous)
        place = {"response_id": response, "item_id": item, "output_index": 0, "content_index": 0}
        for delta in transcript.replace(" ", " |").split("|"):
            await self.send("response.output_audio_transcript.delta", **place, delta=delta)
        for chunk in np.array_split(tone(audio_ms), max(1, audio_ms // 100)):
            delta = base64.b64encode(chunk.tobytes()).decode()
            await self.send("response.output_audio.delta", **place, delta=delta)

    async def reply_ends(
        self, item: str, transcript: str, metadata: Mapping[str, str], status: str = "completed"
    ) -> None:
        response = f"response_of_{item}"
        if status == "completed":
            await self.send("response.output_audio.done", response_id=response, item_id=item)
        content = [{"type": "output_audio", "transcript": transcript}]
        message = {"id": item, "type": "message", "role": "assistant", "content": content}
        done = {"id": response, "status": status, "output": [message], "metadata": metadata}
        await self.send("response.done", response=done)


def tone(ms: int) -> np.ndarray:
    """A tone of 440 Hz as 16-bit samples."""
    times = np.arange(RATE * ms // 1000) / RATE
    return np.round(np.sin(2 * np.pi * 440 * times) * 8000).astype("<i2")


@dataclass(eq=False)
class ScriptedServer:
    """The server. `refusal` is the status that new connections get, and `ready` that of /readyz."""

    port: int = 0
    token: str | None = None
    refusal: HTTPStatus | None = None
    ready: HTTPStatus = HTTPStatus.OK
    scripts: dict[str, bytes] = field(default_factory=dict)
    """JavaScript of a test's own, by name under /page/."""
    _peers: asyncio.Queue[Peer] = field(default_factory=asyncio.Queue)

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def peer(self) -> Peer:
        """The next page that connects."""
        async with asyncio.timeout(PATIENCE):
            return await self._peers.get()

    async def serve(self, socket: ServerConnection) -> None:
        peer = Peer(socket)
        self._peers.put_nowait(peer)
        try:
            await peer.listen()
        except ConnectionClosed:
            return  # a browser that is closed says no goodbye

    def answer(self, _connection: ServerConnection, request: Request) -> Response | None:
        path = request.path.partition("?")[0]
        if path == "/v1/realtime":
            status = self.refusal if self.refusal else self._check(request)
            return None if status is None else _response(status)
        if path == "/readyz":
            return _response(self.ready)
        if path == "/v1/models":
            bearer = request.headers.get("Authorization")
            right = self.token is None or bearer == f"Bearer {self.token}"
            return _response(HTTPStatus.OK if right else HTTPStatus.UNAUTHORIZED)
        name = "index.html" if path == "/" else path.removeprefix("/page/")
        if name in self.scripts:
            return _response(HTTPStatus.OK, "text/javascript", self.scripts[name])
        file = PAGE / Path(name).name
        if not file.is_file():
            return _response(HTTPStatus.NOT_FOUND)
        return _response(HTTPStatus.OK, mimetypes.guess_type(file)[0], file.read_bytes())

    def _check(self, request: Request) -> HTTPStatus | None:
        offered = [name.strip() for name in request.headers["Sec-WebSocket-Protocol"].split(",")]
        wanted = [] if self.token is None else [f"openai-insecure-api-key.{self.token}"]
        return None if offered == ["realtime", *wanted] else HTTPStatus.UNAUTHORIZED


def _response(status: HTTPStatus, kind: str | None = "text/plain", body: bytes = b"") -> Response:
    headers = Headers({"Content-Length": str(len(body)), "Connection": "close"})
    headers["Content-Type"] = kind or "application/octet-stream"
    headers["Content-Security-Policy"] = POLICY
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        headers["Retry-After"] = "7"
    return Response(status, status.phrase, headers, body)


@asynccontextmanager
async def scripted_server() -> AsyncIterator[ScriptedServer]:
    """A server on a free port of 127.0.0.1."""
    server = ScriptedServer()
    protocols = [Subprotocol("realtime")]
    async with serve(
        server.serve, "127.0.0.1", 0, process_request=server.answer, subprotocols=protocols
    ) as listening:
        server.port = next(iter(listening.sockets)).getsockname()[1]
        yield server
