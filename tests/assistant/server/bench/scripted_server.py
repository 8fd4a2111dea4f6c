"""A server on 127.0.0.1 that answers each voice it hears with the same reply, and shows figures."""

import base64
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request, Response

from assistant.server.bench.server import Watched

LOUD = 3000
SILENT_MS = 60  # behind a voice, after which it replies


class ScriptedServer:
    """It has `places` connections at once."""

    def __init__(self, places: int = 2) -> None:
        self.places, self.open, self.most, self.tasks = places, 0, 0, 3
        self.refused = self.sessions = self.replies = 0
        self.received: list[str] = []

    def request(self, connection: ServerConnection, request: Request) -> Response | None:
        if request.path == "/metrics":
            return connection.respond(200, self._figures())
        if self.open >= self.places:
            self.refused += 1
            refusal = connection.respond(503, "busy")
            refusal.headers["Retry-After"] = "5"
            return refusal
        self.open += 1
        self.most = max(self.most, self.open)
        return None

    def _figures(self) -> str:
        return (
            f"assistant_sessions_capacity {self.places}\n"
            f"assistant_sessions_in_use {self.open}\n"
            f"assistant_tasks {self.tasks}\n"
            'assistant_worker_queue_jobs{worker="llm"} 1\n'
            'assistant_worker_queue_jobs{worker="asr"} 2\n'
            f"assistant_dropped_frames_total {self.sessions * 2}\n"
        )

    async def hold(self, connection: ServerConnection) -> None:
        self.sessions += 1
        try:
            await connection.send(json.dumps({"type": "session.created"}))
            await self._converse(connection)
        finally:
            self.open -= 1

    async def _converse(self, connection: ServerConnection) -> None:
        heard, silent_ms = False, 0
        async for message in connection:
            event = json.loads(message)
            self.received.append(event["type"])
            samples = np.frombuffer(base64.b64decode(event["audio"]), "<i2")
            loud = bool(np.abs(samples.astype(int)).max() >= LOUD)
            heard, silent_ms = heard or loud, 0 if loud else silent_ms + len(samples) // 24
            if heard and silent_ms >= SILENT_MS:
                heard = False
                self.replies += 1
                for reply in _reply(self.replies):
                    await connection.send(json.dumps(reply))


def _reply(number: int) -> Iterator[dict[str, Any]]:
    about = {"item_id": f"item_{number}", "content_index": 0}
    name = f"resp_{number}"
    data = base64.b64encode(np.full(2400, LOUD, "<i2").tobytes()).decode()
    yield {"type": "input_audio_buffer.speech_started", "item_id": about["item_id"]}
    yield {"type": "input_audio_buffer.committed", "item_id": about["item_id"]}
    transcribed = "conversation.item.input_audio_transcription.completed"
    yield {"type": transcribed, **about, "transcript": "What is it?"}
    yield {"type": "response.created", "response": {"id": name}}
    for _ in range(2):
        yield {"type": "response.output_audio.delta", "response_id": name, "delta": data}
    yield {"type": "response.output_audio_transcript.delta", "response_id": name, "delta": "It is."}
    response = {"id": name, "status": "completed", "metadata": {"ttfa_ms": "12.0"}}
    yield {"type": "response.done", "response": response}


@asynccontextmanager
async def scripted(server: ScriptedServer) -> AsyncIterator[Watched]:
    async with serve(server.hold, "127.0.0.1", 0, process_request=server.request) as listening:
        port = next(iter(listening.sockets)).getsockname()[1]
        yield Watched(f"ws://127.0.0.1:{port}/v1/realtime")
