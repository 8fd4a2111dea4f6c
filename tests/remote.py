"""A client of the server in a scene, on virtual time: what it sends and when, and all that it was sent."""

import asyncio
import base64
import json
from collections.abc import Mapping, Sequence
from typing import Any
from unittest.mock import patch

import numpy as np
from fakes import PER_MS, Scene, microphone
from websockets.exceptions import ConnectionClosedError, ConnectionClosedOK
from websockets.frames import Close
from world import SYSTEM, Machine, World

from asr.audio import RATE
from assistant.runtime import VirtualLoop, run_virtual
from assistant.server import formats, protocol
from assistant.server.connection import Connection, ConnectionLimits
from assistant.server.formats import AudioFormat
from assistant.server.keeper import Keeper, Store
from assistant.server.kept import Writer
from assistant.server.resume import NOTHING, Resume
from assistant.server.settings import Limits
from assistant.session.turn import TurnConfig

Event = Mapping[str, Any]

EXACT = AudioFormat(
    "audio/exact",
    RATE,
    4,
    lambda audio: audio.astype("<f4").tobytes(),
    lambda data: np.frombuffer(data, "<f4"),
)
"""Samples as they are, in which the fakes know their place; nobody resamples them."""

HANG_UP = {"type": "hang up"}
"""In place of an event: the client is gone."""


class FakeSocket:
    """A WebSocket whose client is the test."""

    name, path, remote, ended_with = "fake", "/v1/realtime", "127.0.0.1:9", 1000
    headers: Mapping[str, str] = {}

    def __init__(self, remote: "Remote") -> None:
        self._remote = remote
        self.inbox: asyncio.Queue[str | bytes | None] = asyncio.Queue()
        self.aborted = False
        self.closed: tuple[int, str] | None = None
        self.reading = asyncio.Event()
        self.reading.set()
        self.gone = False

    async def send(self, message: str) -> None:
        await self.reading.wait()
        if self.gone:
            raise ConnectionClosedError(None, None)
        now_ms = self._remote.ms(self._remote.loop.clock.now_ns())
        self._remote.sent.append((round(now_ms), json.loads(message)))

    async def recv(self) -> str | bytes:
        message = await self.inbox.get()
        if message is None:
            raise ConnectionClosedOK(Close(1000, ""), Close(1000, ""), rcvd_then_sent=True)
        return message

    def abort(self) -> None:
        self.aborted = True

    def vanish(self) -> None:
        """From now on nothing can be sent; what has come can still be read."""
        self.gone = True

    async def close(self, code: int = 1000, reason: str = "") -> None:
        self.closed = (code, reason)


class Remote(World):
    """A connection in a scene. `says` are events of the client, each behind the audio of so many ms.

    Unless `audio` is false it sends what the microphone records, 20 ms at a time; at the end it hangs up.
    """

    def __init__(
        self,
        scene: Scene,
        says: Mapping[int, Event | Sequence[Event | bytes | str]] | None = None,
        session: Event | None = None,
        *,
        audio: bool = True,
        limits: Limits | None = None,
        pace: ConnectionLimits | None = None,
        can_call: bool = False,
        loop: VirtualLoop | None = None,
        machine: Machine | None = None,
        resume: Resume = NOTHING,
        store: Store | None = None,
    ) -> None:
        super().__init__(scene, loop=loop, machine=machine)
        self.says, self.audio = says or {}, audio
        self.sent: list[tuple[int, dict[str, Any]]] = []
        self.socket = FakeSocket(self)
        self.draining = asyncio.Event()
        self.first, self.end_ms = session or {}, 0.0
        self._limits, self._pace, self._can_call = limits or Limits(), pace or ConnectionLimits(), can_call
        self._resume, self._store = resume, store
        self.strict = []

    def check_history(self) -> None:
        """What a client adds is in no record."""

    def run_remote(self) -> "Remote":
        """The whole scene."""
        with patch.dict(formats.FORMATS, {EXACT.name: EXACT}):
            run_virtual(self.connect(), self.loop)
        return self

    async def connect(self) -> None:
        """The same on a loop that runs already."""
        self.start_ns = self.loop.clock.now_ns()
        state = protocol.open_state("c", "assistant", SYSTEM, 99, self._limits, can_call=self._can_call)
        clock, keeper = self.loop.clock, None
        if self._store is not None:
            keeper = Keeper(self._store, state.session["id"], Writer(state.session, 2**20), clock)
        about = {"resume": self._resume, "keeper": keeper}
        connection = Connection(self.socket, self.session, state, clock, TurnConfig(), self._pace, **about)
        running = asyncio.create_task(connection.run(self.draining))
        client = asyncio.create_task(self._client())
        await running
        self.end_ms = self.ms(self.loop.clock.now_ns())
        client.cancel()

    async def _client(self) -> None:
        self.say(
            {"type": "session.update", "session": {"type": "realtime", **self.first, "audio": self._audio()}}
        )
        for end_ms in range(20, self.scene.end_ms + 1, 20):
            await self.loop.clock.sleep_until(self.start_ns + end_ms * 1_000_000)
            if self.audio:
                self.say(append(microphone((end_ms - 20) * PER_MS, 20 * PER_MS)))
            said = self.says.get(end_ms, ())
            for event in [said] if isinstance(said, Mapping) else said:
                self.say(event)
        self.say(HANG_UP)

    def _audio(self) -> Event:
        wanted = self.first.get("audio", {})
        heard = {"format": {"type": EXACT.name}, **wanted.get("input", {})}
        return {**wanted, "input": heard}

    def say(self, event: Event | bytes | str) -> None:
        """Send something now."""
        if event is HANG_UP:
            self.socket.inbox.put_nowait(None)
        else:
            self.socket.inbox.put_nowait(json.dumps(event) if isinstance(event, Mapping) else event)

    def types(self, *without: str) -> list[str]:
        """The types of what was sent, without those that begin like that."""
        return [event["type"] for _, event in self.sent if not event["type"].startswith(without or ("-",))]

    def all(self, kind: str) -> list[dict[str, Any]]:
        """The events of a type."""
        return [event for _, event in self.sent if event["type"] == kind]

    def one(self, kind: str) -> dict[str, Any]:
        """The only event of a type."""
        (event,) = self.all(kind)
        return event

    def when(self, kind: str) -> int:
        """When the first event of a type was sent, in ms."""
        return next(ms for ms, event in self.sent if event["type"] == kind)


def append(audio: "np.typing.NDArray[np.float32]") -> Event:
    """The event that brings audio."""
    return {"type": "input_audio_buffer.append", "audio": base64.b64encode(EXACT.encode(audio)).decode()}


def typed(text: str, **more: Any) -> Event:  # noqa: ANN401  # fields of an item
    """The event that brings a typed message."""
    content = [{"type": "input_text", "text": text}]
    item = {"type": "message", "role": "user", "content": content, **more}
    return {"type": "conversation.item.create", "item": item}
