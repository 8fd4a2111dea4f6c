"""A typed conversation with a server, and all that came of it."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

_AWAIT_S = 60.0
Event = Mapping[str, Any]


@dataclass
class Talk:
    """A connection, and its events."""

    connection: ClientConnection
    events: list[Event] = field(default_factory=list)

    async def read_until(self, kind: str) -> Event:
        """Read on to the next event of this type."""
        async with asyncio.timeout(_AWAIT_S):
            while True:
                event: Event = json.loads(await self.connection.recv())
                self.events.append(event)
                if event["type"] == kind:
                    return event

    async def ask(self, text: str) -> None:
        content = [{"type": "input_text", "text": text}]
        item = {"type": "message", "role": "user", "content": content}
        await self.connection.send(json.dumps({"type": "conversation.item.create", "item": item}))
        await self.connection.send(json.dumps({"type": "response.create"}))

    def replied(self) -> str:
        kind = "response.output_audio_transcript.delta"
        return "".join(event["delta"] for event in self.events if event["type"] == kind)


async def talk(url: str) -> Talk:
    """A new conversation."""
    new = Talk(await connect(url))
    await new.read_until("session.created")
    return new
