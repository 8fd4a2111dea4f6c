"""LiveKit: the session of the plugin's `RealtimeModel`, driven as the framework drives it."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any

from kit import INSTRUCTIONS, NotApplicable, Options, Refusal, Session, Setup, main
from livekit import rtc
from livekit.agents import function_tool, llm
from livekit.plugins.openai.realtime import RealtimeModel, RealtimeSession
from scenarios import SCENARIOS


@function_tool
async def get_weather(city: str) -> str:
    """The weather in a city."""
    return f"18 degrees and sunny in {city}"


class Complaints(logging.Handler):
    """What the plugin logs as an error, except refusals, which it reports besides."""

    def __init__(self, session: "LiveKitSession") -> None:
        super().__init__(logging.ERROR)
        self._session = session

    def emit(self, record: logging.LogRecord) -> None:
        if "returned an error" not in record.getMessage():
            cause = record.exc_info[1] if record.exc_info else ""
            self._session.heard.complaints.append(f"{record.getMessage()} {cause!r}")


class LiveKitSession(Session):
    """One session of the plugin; what comes is reported by its emitter and its streams."""

    malformed = (
        {"type": "nonsense.do", "event_id": "bad_type"},
        {"type": "conversation.item.truncate", "event_id": "bad_field", "item_id": 5, "audio_end_ms": "x"},
    )

    def __init__(self, session: RealtimeSession) -> None:
        super().__init__()
        self._session = session
        self._tasks: set[asyncio.Task[None]] = set()
        self._playing: tuple[str, float] | None = None  # message, and when it began to sound
        self._audio_ms = 0.0
        self._status: asyncio.Queue[str] = asyncio.Queue()
        self._items: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()  # retrieved
        session.on("openai_server_event_received", self._take)
        session.on("generation_created", lambda event: self._start(self._follow(event)))
        session.on("input_audio_transcription_completed", self._transcribed)
        session.on("input_speech_started", lambda _: self._interrupt())

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _take(self, event: dict[str, Any]) -> None:
        self.heard.saw(event["type"])
        match event["type"]:
            case "response.done":
                self._status.put_nowait(event["response"]["status"])
            case "conversation.item.truncated":
                self.heard.truncations.put_nowait(event["audio_end_ms"])
            case "conversation.item.retrieved":
                self._items.put_nowait(event["item"])
            case "error" if event["error"]["code"] == "item_retrieve_invalid_item_id":
                self._items.put_nowait(None)
            case "error":
                error = event["error"]
                self.heard.refusals.put_nowait(Refusal(error.get("code"), error.get("event_id")))

    def _transcribed(self, event: llm.InputTranscriptionCompleted) -> None:
        if event.is_final:
            self.heard.transcripts.put_nowait(event.transcript)

    async def _follow(self, generation: llm.GenerationCreatedEvent) -> None:
        """Take a reply from its streams, which end with the response."""
        async for message in generation.message_stream:
            await asyncio.gather(self._read(message), self._listen(message))
        calls = [call async for call in generation.function_stream]
        self.heard.finish(await self._status.get())
        for call in calls:
            await self._answer(call)

    async def _read(self, message: llm.MessageGeneration) -> None:
        async for delta in message.text_stream:
            self.heard.current.text += delta

    async def _listen(self, message: llm.MessageGeneration) -> None:
        async for frame in message.audio_stream:
            if not self.heard.audible.is_set():
                self._playing, self._audio_ms = (message.message_id, time.monotonic()), 0.0
            self._audio_ms += frame.duration * 1000
            self.heard.sound(bytes(frame.data))

    async def _answer(self, call: llm.FunctionCall) -> None:
        context = self._session.chat_ctx.copy()
        output = await get_weather(city="Paris")
        context.items.append(
            llm.FunctionCallOutput(call_id=call.call_id, name=call.name, output=output, is_error=False)
        )
        await self._session.update_chat_ctx(context)
        await self._session.generate_reply()

    def _interrupt(self) -> None:
        """Stop and truncate what plays, as the framework does when its own session reports speech."""
        self._session.interrupt()
        if self._playing:
            item_id, since = self._playing
            self._playing = None
            ms = int(min((time.monotonic() - since) * 1000, self._audio_ms))
            self._session.truncate(message_id=item_id, modalities=["audio", "text"], audio_end_ms=ms)

    async def ask(self, text: str) -> None:
        context = self._session.chat_ctx.copy()
        context.add_message(role="user", content=text)
        await self._session.update_chat_ctx(context)
        await self._session.generate_reply()

    async def push(self, audio: bytes) -> None:
        self._session.push_audio(rtc.AudioFrame(audio, 24000, 1, len(audio) // 2))

    async def commit(self) -> None:
        self._session.commit_audio()
        await self._session.generate_reply()

    async def cancel(self) -> Refusal | None:
        self._session.send_event({"type": "response.cancel", "event_id": "idle_cancel"})
        return await self.heard.refusals.get()

    async def send_raw(self, event: str | dict[str, object]) -> None:
        assert isinstance(event, dict)
        self._session.send_event(event)

    async def create(self, item_id: str, text: str) -> None:
        context = self._session.chat_ctx.copy()
        context.add_message(id=item_id, role="user", content=text)
        await self._session.update_chat_ctx(context)

    async def retrieve(self, item_id: str) -> str | None:
        self._session.send_event({"type": "conversation.item.retrieve", "item_id": item_id})
        item = await self._items.get()
        return item and "".join(part.get("text", "") for part in item["content"])

    async def delete(self, item_id: str) -> None:
        context = self._session.chat_ctx.copy()
        context.items = [item for item in context.items if item.id != item_id]
        await self._session.update_chat_ctx(context)


@asynccontextmanager
async def connect(setup: Setup, options: Options) -> AsyncIterator[Session]:
    """The plugin appends to a URL only what its path lacks."""
    if options.pcmu:
        raise NotApplicable("the plugin always asks for PCM at 24 kHz")
    more: dict[str, Any] = {"turn_detection": None} if options.manual else {}
    modalities: Any = ["text"] if options.text_only else ["text", "audio"]
    model = RealtimeModel(base_url=setup.url, api_key=setup.key, modalities=modalities, **more)
    running = model.session()
    session = LiveKitSession(running)
    handler = Complaints(session)
    logging.getLogger("livekit").addHandler(handler)
    try:
        await running.update_instructions(INSTRUCTIONS)
        if options.weather:
            await running.update_tools([get_weather])
        yield session
    finally:
        logging.getLogger("livekit").removeHandler(handler)
        await running.aclose()
        await model.aclose()


if __name__ == "__main__":
    main(connect, SCENARIOS, {})
