"""openai-agents: `RealtimeSession`, which truncates, retrieves and runs tools by itself."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from agents import function_tool
from agents.realtime import RealtimeAgent, RealtimeRunner, RealtimeSession
from agents.realtime.events import RealtimeSessionEvent
from agents.realtime.model_inputs import RealtimeModelSendRawMessage
from kit import INSTRUCTIONS, Options, Refusal, Session, Setup, main
from scenarios import SCENARIOS


@function_tool
def get_weather(city: str) -> str:
    """The weather in a city."""
    return f"18 degrees and sunny in {city}"


class AgentsSession(Session):
    """One session of the SDK; `run` reads its events."""

    # The SDK checks the types of raw events itself, but not what is in a string.
    malformed = ({"type": "input_audio_buffer.append", "event_id": "bad_audio", "audio": "&&&&"},)

    def __init__(self, session: RealtimeSession) -> None:
        super().__init__()
        self._session = session
        self._items: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()  # retrieved
        self._changed: asyncio.Queue[str] = asyncio.Queue()  # added or deleted

    async def run(self) -> None:
        """Read events until the session ends."""
        async for event in self._session:
            self._take(event)

    def _take(self, event: RealtimeSessionEvent) -> None:
        if event.type == "audio":
            self.heard.sound(event.audio.data)
        elif event.type == "error":
            self._refused(event.error)
        elif event.type == "raw_model_event":
            self._take_model(event.data)

    def _refused(self, error: Any) -> None:  # noqa: ANN401  # the SDK's own, a string or an exception
        code = getattr(error, "code", None)
        if code == "item_retrieve_invalid_item_id":
            self._items.put_nowait(None)
        elif hasattr(error, "event_id"):
            self.heard.refusals.put_nowait(Refusal(code, error.event_id))
        else:
            self.heard.complaints.append(f"{type(error).__name__}: {error}"[:300])

    def _take_model(self, event: Any) -> None:  # noqa: ANN401  # one of two dozen dataclasses
        match event.type:
            case "input_audio_transcription_completed":
                self.heard.transcripts.put_nowait(event.transcript)
            case "transcript_delta" | "output_text_delta":
                self.heard.current.text += event.delta
            case "exception":
                self.heard.complaints.append(f"{event.context}: {event.exception!r}")
            case "raw_server_event":
                self._take_raw(event.data)

    def _take_raw(self, event: dict[str, Any]) -> None:
        self.heard.saw(event["type"])
        match event["type"]:
            case "response.done":
                self.heard.finish(event["response"]["status"])
            case "conversation.item.truncated":
                self.heard.truncations.put_nowait(event["audio_end_ms"])
            case "conversation.item.retrieved":
                self._items.put_nowait(event["item"])
            case "conversation.item.added":
                self._changed.put_nowait(event["item"]["id"])
            case "conversation.item.deleted":
                self._changed.put_nowait(event["item_id"])

    async def ask(self, text: str) -> None:
        await self._session.send_message(text)

    async def push(self, audio: bytes) -> None:
        await self._session.send_audio(audio)

    async def commit(self) -> None:
        await self._session.send_audio(b"\0\0", commit=True)
        await self._raw({"type": "response.create"})

    async def _raw(self, event: dict[str, Any]) -> None:
        more = {name: value for name, value in event.items() if name != "type"}
        message = RealtimeModelSendRawMessage(message={"type": event["type"], "other_data": more})
        await self._session.model.send_event(message)

    async def cancel(self) -> Refusal | None:
        await self._raw({"type": "response.cancel", "event_id": "idle_cancel"})
        refusal = await self.heard.refusals.get()
        if refusal.event_id != "idle_cancel":
            raise AssertionError(f"the refusal names {refusal.event_id}")
        return refusal

    async def send_raw(self, event: str | dict[str, object]) -> None:
        assert isinstance(event, dict)
        await self._raw(event)

    async def create(self, item_id: str, text: str) -> None:
        content = [{"type": "input_text", "text": text}]
        item = {"id": item_id, "type": "message", "role": "user", "content": content}
        await self._raw({"type": "conversation.item.create", "item": item})
        await self._until_changed(item_id)

    async def retrieve(self, item_id: str) -> str | None:
        await self._raw({"type": "conversation.item.retrieve", "item_id": item_id})
        item = await self._items.get()
        return item and "".join(part.get("text", "") for part in item["content"])

    async def delete(self, item_id: str) -> None:
        await self._raw({"type": "conversation.item.delete", "item_id": item_id})
        await self._until_changed(item_id)

    async def _until_changed(self, item_id: str) -> None:
        while await self._changed.get() != item_id:
            pass


@asynccontextmanager
async def connect(setup: Setup, options: Options) -> AsyncIterator[Session]:
    """The SDK uses the URL as it is."""
    form = {"type": "audio/pcmu"} if options.pcmu else {"type": "audio/pcm", "rate": 24000}
    heard: dict[str, Any] = {"format": form}
    if options.manual:
        heard["turn_detection"] = None
    settings: dict[str, Any] = {
        "audio": {"input": heard, "output": {"format": form}},
        "output_modalities": ["text" if options.text_only else "audio"],
    }
    tools = [get_weather] if options.weather else []
    agent = RealtimeAgent(name="conformance", instructions=INSTRUCTIONS, tools=tools)
    model = {"url": setup.url, "api_key": setup.key, "initial_model_settings": settings}
    async with await RealtimeRunner(agent).run(model_config=model) as running:  # type: ignore[arg-type]
        session = AgentsSession(running)
        reader = asyncio.create_task(session.run(), name="events")
        try:
            yield session
        finally:
            await running.close()
            await asyncio.wait([reader])
            reader.result()


if __name__ == "__main__":
    main(connect, SCENARIOS, {})
