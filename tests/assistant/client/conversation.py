"""A conversation of a client and the real server's connection, on virtual time and a fake sound system."""

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from fake_port import OUT_LATENCY_S, FakePort
from near_server import End, Models, Voice, converse, sound, voiced, wire
from plain import Plain
from rig import Rig
from shown import Shown

from assistant.client.errors import RealtimeError
from assistant.client.gate import Gate
from assistant.client.talk import RemoteTalk
from assistant.microphone.echo.canceller import EchoCanceller
from assistant.microphone.echo.duplex import UNKNOWN, Duplex
from assistant.microphone.front_end import TalkOptions
from assistant.server.keeper import Store
from assistant.trace.replay import Replay


class Talked:
    """Run it once. `refusals` are what attempts to connect come to, in place of a connection."""

    def __init__(
        self,
        voices: Sequence[Voice],
        replies: Mapping[str, str],
        options: TalkOptions,
        *,
        duplex: Duplex = UNKNOWN,
        canceller: Callable[[], EchoCanceller] | None = None,
        port: FakePort | None = None,
        refusals: Sequence[RealtimeError | None] = (),
        store: Store | None = None,
    ) -> None:
        self.voices, self.replies, self.options = voices, replies, options
        self.canceller = canceller or (lambda: Plain(duplex))
        self.rig = Rig(port or FakePort(sound=sound(voices)))
        self.shown = Shown()
        self.store = store
        self.asked: list[str] = []  # sessions to go on with, "" for none
        self.refusals = list(refusals)
        self.models: list[Models] = []  # of each connection
        self.servers: list[End] = []
        self.sent: list[Mapping[str, Any]] = []  # by the server
        self.received: list[tuple[float, Mapping[str, Any]]] = []  # by it, and when
        self.draining = asyncio.Event()
        self.tasks: list[asyncio.Task[None]] = []
        self.replay = Replay((), (), 0)

    def run(self, at: Mapping[float, Callable[["Talked"], None]] | None = None) -> "Talked":
        async def main() -> None:
            handles = [self.rig.loop.call_at(ms / 1e3, do, self) for ms, do in (at or {}).items()]
            self.talk = RemoteTalk(
                "ws://far",
                self.dial,
                Gate(voiced, 128, 0.5),
                self.rig.streams,
                self.rig.sink,
                self.rig.loop.clock,
                self.shown,
                self.options,
                open_canceller=self.canceller,
            )
            try:
                self.replay = await self.talk.run()
            finally:
                for handle in handles:
                    handle.cancel()
                await asyncio.wait(self.tasks) if self.tasks else None

        self.rig.run(main)
        return self

    async def dial(self, resume: str) -> End:
        self.asked.append(resume)
        refusal = self.refusals.pop(0) if self.refusals else None
        if refusal is not None:
            raise refusal
        ours, theirs = wire()
        self.models.append(Models(self.voices, self.replies))
        self.servers.append(theirs)
        put = theirs.inbox.put_nowait

        def noted(message: object) -> None:
            if isinstance(message, str):
                self.received.append((self.rig.now_ms, json.loads(message)))
            put(message)  # type: ignore[arg-type]

        theirs.inbox.put_nowait = noted  # type: ignore[method-assign]
        clock = self.rig.loop.clock
        name = f"near{len(self.servers)}"
        server = converse(
            theirs, self.models[-1], clock, self.draining, self.sent.append, name, self.store, resume
        )
        self.tasks.append(asyncio.create_task(server))
        return ours

    def got(self, kind: str) -> list[Mapping[str, Any]]:
        """What the server got of a type."""
        return [event for _, event in self.received if event["type"] == kind]

    def told(self, kind: str) -> list[Mapping[str, Any]]:
        """What the server sent of a type."""
        return [event for event in self.sent if event["type"] == kind]

    def loud(self) -> list[tuple[float, float]]:
        """From when to when (ms) the loudspeaker sounded."""
        stream = next(stream for stream in self.rig.port.streams if stream.direction == "output")
        loud = np.flatnonzero(np.abs(stream.sound()) > 10 ** (-50 / 20)) / 48
        runs = np.split(loud, np.flatnonzero(np.diff(loud) > 100) + 1)
        return [(run[0] + OUT_LATENCY_S * 1e3, run[-1] + OUT_LATENCY_S * 1e3) for run in runs if len(run)]


def press(key: str) -> Callable[[Talked], None]:
    return lambda talked: talked.talk.press(key)
