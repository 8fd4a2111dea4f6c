"""openai-python: `AsyncOpenAI().realtime.connect`, a stream of events; the script does what a client must."""

import asyncio
import base64
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from kit import INSTRUCTIONS, Options, Refusal, Session, Setup, main
from openai import AsyncOpenAI
from openai.resources.realtime.realtime import AsyncRealtimeConnection
from openai.types.realtime import RealtimeServerEvent
from pydantic import TypeAdapter, ValidationError
from scenarios import SCENARIOS

WEATHER = {
    "type": "function",
    "name": "get_weather",
    "description": "The weather in a city.",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}
_EVENT: TypeAdapter[RealtimeServerEvent] = TypeAdapter(RealtimeServerEvent)


class OpenAISession(Session):
    """One connection; `run` reads its events."""

    malformed = (
        "{not JSON",
        {"type": "nonsense.do", "event_id": "bad_type"},
        {"type": "conversation.item.truncate", "event_id": "bad_field", "item_id": 5, "audio_end_ms": "x"},
    )

    def __init__(self, connection: AsyncRealtimeConnection, options: Options) -> None:
        super().__init__()
        self._connection, self._options = connection, options
        self._playing: tuple[str, float] | None = None  # item, and when it began to sound
        self._received = 0  # bytes of it
        self._items: asyncio.Queue[str | None] = asyncio.Queue()  # retrieved
        self._changed: asyncio.Queue[str] = asyncio.Queue()  # added or deleted

    async def start(self) -> None:
        """Configure the session, as a client does before anything else."""
        form = {"type": "audio/pcmu"} if self._options.pcmu else {"type": "audio/pcm", "rate": 24000}
        detection = None if self._options.manual else {"type": "semantic_vad", "eagerness": "high"}
        heard = {
            "format": form,
            "turn_detection": detection,
            "transcription": {"model": "gpt-4o-mini-transcribe"},
        }
        session = {
            "type": "realtime",
            "instructions": INSTRUCTIONS,
            "output_modalities": ["text" if self._options.text_only else "audio"],
            "audio": {"input": heard, "output": {"format": form, "voice": "marin"}},
            "tools": [WEATHER] if self._options.weather else [],
        }
        await self._connection.session.update(session=session)  # type: ignore[arg-type]

    async def run(self) -> None:
        """Read events until the connection ends."""
        async for event in self._connection:
            self.heard.saw(event.type)
            try:
                _EVENT.validate_python(event.to_dict())
            except ValidationError as error:
                self.heard.complaints.append(
                    f"{event.type}: {error.errors()[0]['loc']} {error.errors()[0]['msg']}"
                )
            await self._take(event)

    async def _take(self, event: RealtimeServerEvent) -> None:
        match event.type:
            case "conversation.item.input_audio_transcription.completed":
                self.heard.transcripts.put_nowait(event.transcript)
            case "response.output_audio.delta":
                self._play(event.item_id, base64.b64decode(event.delta))
            case "response.output_audio_transcript.delta" | "response.output_text.delta":
                self.heard.current.text += event.delta
            case "response.created":
                self._playing = None
            case "response.done":
                self.heard.finish(event.response.status or "")
            case "response.output_item.done" if event.item.type == "function_call":
                await self._call(event.item.call_id or "")
            case "input_audio_buffer.speech_started" if self._playing:
                item_id, since = self._playing
                self._playing = None
                await self._truncate(item_id, min(int((time.monotonic() - since) * 1000), self._received_ms))
            case "conversation.item.truncated":
                self.heard.truncations.put_nowait(event.audio_end_ms)
            case "conversation.item.retrieved":
                content = getattr(event.item, "content", None) or []
                self._items.put_nowait("".join(part.text or "" for part in content))
            case "conversation.item.added":
                self._changed.put_nowait(event.item.id or "")
            case "conversation.item.deleted":
                self._changed.put_nowait(event.item_id)
            case "error" if event.error.code == "item_retrieve_invalid_item_id":
                self._items.put_nowait(None)
            case "error":
                self.heard.refusals.put_nowait(Refusal(event.error.code, event.error.event_id))

    def _play(self, item_id: str, audio: bytes) -> None:
        """Take audio, and know when the item began to sound and how much of it there is."""
        if not self._playing:
            self._playing, self._received = (item_id, time.monotonic()), 0
        self._received += len(audio)
        self.heard.sound(audio)

    @property
    def _received_ms(self) -> int:
        return self._received // (8 if self._options.pcmu else 48)

    async def _truncate(self, item_id: str, ms: int) -> None:
        await self._connection.conversation.item.truncate(item_id=item_id, content_index=0, audio_end_ms=ms)

    async def _call(self, call_id: str) -> None:
        output = {"type": "function_call_output", "call_id": call_id, "output": "18 degrees and sunny"}
        await self._connection.conversation.item.create(item=output)  # type: ignore[arg-type]
        await self._connection.response.create()

    async def ask(self, text: str) -> None:
        await self._create(text)
        await self._connection.response.create()

    async def _create(self, text: str, **more: str) -> None:
        content = [{"type": "input_text", "text": text}]
        item = {"type": "message", "role": "user", "content": content, **more}
        await self._connection.conversation.item.create(item=item)  # type: ignore[arg-type]

    async def push(self, audio: bytes) -> None:
        await self._connection.input_audio_buffer.append(audio=base64.b64encode(audio).decode())

    async def commit(self) -> None:
        await self._connection.input_audio_buffer.commit()
        await self._connection.response.create()

    async def cancel(self) -> Refusal | None:
        await self._connection.response.cancel(event_id="idle_cancel")
        refusal = await self.heard.refusals.get()
        if refusal.event_id != "idle_cancel":
            raise AssertionError(f"the refusal names {refusal.event_id}")
        return refusal

    async def send_raw(self, event: str | dict[str, object]) -> None:
        if isinstance(event, str):
            await self._connection.send_raw(event)
        else:
            await self._connection.send(event)  # type: ignore[arg-type]

    async def create(self, item_id: str, text: str) -> None:
        await self._create(text, id=item_id)
        await self._until_changed(item_id)

    async def retrieve(self, item_id: str) -> str | None:
        await self._connection.conversation.item.retrieve(item_id=item_id)
        return await self._items.get()

    async def delete(self, item_id: str) -> None:
        await self._connection.conversation.item.delete(item_id=item_id)
        await self._until_changed(item_id)

    async def _until_changed(self, item_id: str) -> None:
        while await self._changed.get() != item_id:
            pass


@asynccontextmanager
async def connect(setup: Setup, options: Options) -> AsyncIterator[Session]:
    """The client appends /realtime to its base URL."""
    base = setup.url.replace("ws", "http", 1).removesuffix("/realtime")
    async with (
        AsyncOpenAI(base_url=base, api_key=setup.key) as client,
        client.realtime.connect(model="gpt-realtime") as connection,
    ):
        session = OpenAISession(connection, options)
        await session.start()
        reader = asyncio.create_task(session.run(), name="events")
        try:
            yield session
        finally:
            await connection.close()
            await asyncio.wait([reader])
            reader.result()


if __name__ == "__main__":
    main(connect, SCENARIOS, {})
