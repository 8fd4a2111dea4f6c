"""One Wyoming client: describes, transcribes, speaks and answers, one request behind the other."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar

from wyoming.asr import Transcript, TranscriptChunk, TranscriptStart, TranscriptStop
from wyoming.audio import AudioStop
from wyoming.error import Error
from wyoming.event import Event
from wyoming.handle import Handled, NotHandled
from wyoming.ping import Pong
from wyoming.tts import SynthesizeStopped

from asr.audio import RATE
from assistant.config import Config
from assistant.models.pool import ModelPool, PoolBusy
from assistant.runtime import Clock
from assistant.server.logs import logger
from assistant.server.metrics import Metrics
from assistant.server.outbox import Unread
from assistant.server.wire import WireError, shown
from assistant.session.context import one_line
from assistant.session.conversation import Conversation
from assistant.session.reply import FALLBACK
from assistant.session.stages import Audio, Stages
from assistant.wyoming.answering import Conversations, Responder
from assistant.wyoming.hearing import Transcription
from assistant.wyoming.pcm import Decoder, PcmFormat
from assistant.wyoming.speaking import Speech
from assistant.wyoming.wire import WireLimits, read_event, write_event

T = TypeVar("T")

_EVENTS_READ_AHEAD = 2
_NAME_CHARS = 128
_PARTS = frozenset({"audio-chunk", "audio-stop", "synthesize-chunk", "synthesize-stop"})


@dataclass(frozen=True)
class Limits:
    """How much one client may take, and how long it may take for it."""

    wire: WireLimits = WireLimits()
    text_chars: int = 8192
    """Of a text to speak or to answer: nine minutes of speech."""
    idle_s: float = 600
    """Between two requests."""
    stalled_s: float = 60
    """Between two events of a request, which holds a place; a language model may write the next one."""
    unread_s: float = 10
    """A client that plays what it is sent reads at the speed of speech."""
    linger_s: float = 1
    """For a client to read why it is cut off: what it still sends would reset the connection before."""


@dataclass(frozen=True)
class Service:
    """What all clients share; `info` answers `describe`."""

    pool: ModelPool
    config: Config
    clock: Clock
    metrics: Metrics
    info: Event
    conversations: Conversations
    responder: Responder
    limits: Limits = Limits()


@dataclass(frozen=True)
class _Done:
    """A request that is over: its last events, and what is logged of it, what was said where that is wanted."""

    last: tuple[Event, ...]
    said: Mapping[str, str | bool | None]


_Serve = Callable[[Event, Stages], Awaitable[_Done]]


class _Gone(Exception):  # noqa: N818  # it ends the tasks of a connection
    """The client has closed its side."""


class Connection:
    """Run it once. A request has a place among the pool's sessions from its first event to its last."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, service: Service) -> None:
        self.idle = False
        """Whether it waits for a request."""
        self._reader, self._writer, self._service, self._limits = reader, writer, service, service.limits
        self._events: asyncio.Queue[Event | WireError | None] = asyncio.Queue(_EVENTS_READ_AHEAD)
        self._gone = asyncio.Event()
        self._last = False
        self._unnamed = service.conversations.new()

    def end_after_request(self) -> None:
        """Take no request after the present one."""
        self._last = True

    async def run(self) -> None:
        """Serve until the client has gone, or is told why it is cut off; the socket is closed then."""
        try:
            refusal = await self._served()
            if refusal is not None:
                await self._refuse(refusal)
        finally:
            self._writer.close()

    async def refuse(self, error: WireError) -> None:
        """Turn the client away."""
        try:
            await self._refuse(error)
        finally:
            self._writer.close()

    async def _served(self) -> WireError | None:
        """Serve; returns why the client is cut off, if it is to be told."""
        refusal: WireError | None = None
        try:
            async with asyncio.TaskGroup() as group:
                reading = group.create_task(self._read(), name="wyoming.read")
                await self._serve()
                reading.cancel()
        except* (_Gone, OSError):
            pass
        except* Unread as unread:
            logger().warning("wyoming client cut off", why=one_line(unread))
            self._writer.transport.abort()
        except* WireError as errors:
            refusal = _first(errors)
        except* Exception as errors:  # noqa: BLE001  # a model may raise anything; the server goes on
            logger().error("wyoming request failed", exc_info=errors)
            refusal = WireError("internal", one_line(errors))
        return refusal

    async def _refuse(self, error: WireError) -> None:
        logger().warning("wyoming request refused", code=error.code, why=error.message)
        self._service.metrics.event_error(error.code)
        with suppress(OSError, Unread):
            await self._send(Error(error.message, error.code).event())
            self._writer.write_eof()
            async with asyncio.timeout(self._limits.linger_s):
                while await self._reader.read(self._limits.wire.header):
                    pass

    async def _read(self) -> None:
        """Read ahead, so that it is noticed when the client goes."""
        try:
            while (event := await read_event(self._reader, self._limits.wire)) is not None:
                await self._events.put(event)
        except WireError as error:
            await self._events.put(error)
            return
        self._gone.set()
        await self._events.put(None)

    async def _next(self, within_s: float) -> Event:
        try:
            async with asyncio.timeout(within_s):
                event = await self._events.get()
        except TimeoutError:
            raise WireError("timeout", f"nothing came for {within_s:g} s") from None
        if event is None:
            raise _Gone
        if isinstance(event, WireError):
            raise event
        return event

    async def _send(self, event: Event) -> None:
        await write_event(event, self._writer, self._limits.unread_s)

    async def _serve(self) -> None:
        while not self._last:
            self.idle = True
            event = await self._next(self._limits.idle_s)
            self.idle = False
            await self._handle(event)

    async def _handle(self, event: Event) -> None:
        """One request; of types that are not known nothing is made, as the protocol wants it."""
        match event.type:
            case "describe":
                await self._send(self._service.info)
            case "ping":
                await self._send(Pong(self._text(event) if event.data.get("text") else None).event())
            case "audio-start":
                await self._request("asr", self._transcribe, event)
            case "synthesize":
                await self._request("tts", self._speak, event)
            case "synthesize-start":
                await self._request("tts", self._speak_stream, event)
            case "transcript":
                await self._request("handle", self._answer, event)
            case part if part in _PARTS:
                raise WireError("unexpected_event", f"{part} without its start")

    async def _request(self, service: str, serve: _Serve, event: Event) -> None:
        """Serve the request that `event` begins with a place of its own; raises WireError `busy`.

        The place is given back before the last events are sent: the client's next request may be there as
        soon as it has them.
        """
        clock, began_ns = self._service.clock, self._service.clock.now_ns()
        try:
            stages = self._service.pool.open(f"wyoming_{secrets.token_hex(6)}")
        except PoolBusy as busy:
            raise WireError("busy", str(busy)) from busy
        try:
            done = await serve(event, stages)
        finally:
            await stages.close()
        for last in done.last:
            await self._send(last)
        self._service.metrics.wyoming_request(service)
        logger().info("wyoming", service=service, ms=round((clock.now_ns() - began_ns) / 1e6), **done.said)

    async def _transcribe(self, start: Event, stages: Stages) -> _Done:
        assert stages.hearing is not None, "a server listens"

        async def tell(words: str) -> None:
            await self._send(TranscriptChunk(words).event())

        config, stated = self._service.config, PcmFormat.of(start.data)
        transcription = Transcription(stages.hearing, config.asr, config.turn.voice_on, tell)
        await self._send(TranscriptStart(language="en").event())
        text = await transcription.run(self._audio(stated))
        return _Done(
            (Transcript(text, language="en").event(), TranscriptStop().event()), {"transcript": text}
        )

    async def _audio(self, stated: PcmFormat) -> AsyncIterator[Audio]:
        """The audio up to `audio-stop`, at 16 kHz; raises WireError."""
        decoder, samples = Decoder(stated), 0
        max_turn_s = self._service.config.asr.max_turn_s
        while (event := await self._next(self._limits.stalled_s)).type != "audio-stop":
            if event.type != "audio-chunk":
                raise WireError("unexpected_event", f"{shown(event.type)} in a stream of audio")
            audio = decoder.push(PcmFormat.of(event.data), event.payload or b"")
            samples += len(audio)
            if samples > max_turn_s * RATE:
                raise WireError("audio_too_long", f"more than {max_turn_s} s; [asr] max_turn_s is the limit")
            yield audio
        yield decoder.flush()

    async def _speak(self, event: Event, stages: Stages) -> _Done:
        text = self._text(event)
        speech = self._speech(event, stages)
        await speech.start()
        await speech.push(text)
        await speech.finish()
        return _Done((AudioStop().event(),), {"text": text})

    async def _speak_stream(self, start: Event, stages: Stages) -> _Done:
        """Speak text as it comes. The `synthesize` that repeats all of it is for servers that cannot."""
        speech, said = self._speech(start, stages), ""
        await speech.start()
        while (event := await self._next(self._limits.stalled_s)).type != "synthesize-stop":
            if event.type == "synthesize-chunk":
                text = self._text(event)
                said += text
                self._check_length(said)
                await speech.push(text)
            elif event.type != "synthesize":
                raise WireError("unexpected_event", f"{shown(event.type)} in a stream of text")
        await speech.finish()
        return _Done((AudioStop().event(), SynthesizeStopped().event()), {"text": said})

    def _speech(self, event: Event, stages: Stages) -> Speech:
        assert stages.synthesizer is not None, "a server speaks"
        if event.data.get("text_format") not in (None, "text"):
            raise WireError("invalid_value", "'text_format' must be text", "text_format")
        return Speech(stages.synthesizer, self._service.clock, self._send)

    async def _answer(self, event: Event, stages: Stages) -> _Done:
        text, conversation = self._text(event), self._conversation(event)
        respond = self._service.responder(stages, conversation, self._service.clock)
        reply = await self._unless_gone(respond(text)) if text.strip() else None
        answer = NotHandled(FALLBACK) if reply is None else Handled(reply)
        said = {"transcript": text, "reply": reply, "handled": reply is not None}
        return _Done((answer.event(),), said)

    def _conversation(self, event: Event) -> Conversation:
        """The one that the client names, else that of the connection."""
        context = event.data.get("context")
        name = context.get("conversation_id") if isinstance(context, dict) else None
        if not isinstance(name, str) or len(name) > _NAME_CHARS:
            return self._unnamed
        return self._service.conversations.get(name)

    async def _unless_gone(self, work: Awaitable[T]) -> T:
        """What `work` gives; it is given up when the client goes."""
        async with asyncio.TaskGroup() as group:
            watch = group.create_task(self._raise_when_gone(), name="wyoming.gone")
            result = await work
            watch.cancel()
        return result

    async def _raise_when_gone(self) -> None:
        await self._gone.wait()
        raise _Gone

    def _text(self, event: Event) -> str:
        text = event.data.get("text")
        if not isinstance(text, str):
            raise WireError("invalid_value", "'text' must be a string", "text")
        self._check_length(text)
        return text

    def _check_length(self, text: str) -> None:
        if len(text) > self._limits.text_chars:
            raise WireError(
                "text_too_long", f"a text has at most {self._limits.text_chars} characters", "text"
            )


def _first(group: BaseExceptionGroup[WireError]) -> WireError:
    found: Any = group
    while isinstance(found, BaseExceptionGroup):
        found = found.exceptions[0]
    assert isinstance(found, WireError), "split off by its type"
    return found
