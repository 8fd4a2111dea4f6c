"""The requests of one Wyoming client: describe, transcribe, speak and answer."""

import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Protocol, TypeVar

from wyoming.asr import Transcript, TranscriptChunk, TranscriptStart, TranscriptStop
from wyoming.audio import AudioStop
from wyoming.event import Event
from wyoming.handle import Handled, NotHandled
from wyoming.ping import Pong
from wyoming.tts import SynthesizeStopped

from asr.audio import RATE
from assistant.models.pool import PoolBusy
from assistant.server.logs import logger
from assistant.server.wire import WireError, shown
from assistant.session.reply import FALLBACK
from assistant.session.stages import Audio, Stages
from assistant.wyoming.answering import Talk
from assistant.wyoming.hearing import Transcription
from assistant.wyoming.pcm import Decoder, PcmFormat
from assistant.wyoming.service import Service
from assistant.wyoming.speaking import Speech

T = TypeVar("T")

_NAME_CHARS = 128
_PARTS = frozenset({"audio-chunk", "audio-stop", "synthesize-chunk", "synthesize-stop"})


class Link(Protocol):
    """The client. Each raises what ends the connection."""

    async def next(self, within_s: float) -> Event: ...  # noqa: D102
    async def send(self, event: Event) -> None: ...  # noqa: D102
    async def unless_gone(self, work: Awaitable[T]) -> T: ...  # noqa: D102


@dataclass(frozen=True)
class _Done:
    """A request that is over: its last events, and what was said, which is logged where that is wanted."""

    last: tuple[Event, ...]
    said: Mapping[str, str | bool | None]


_Serve = Callable[[Event, Stages], Awaitable[_Done]]


class Requests:
    """A request has a place among the pool's sessions from its first event until it is answered."""

    def __init__(self, link: Link, service: Service) -> None:
        self._link, self._service, self._limits = link, service, service.limits
        self._unnamed = service.conversations.new()

    async def handle(self, event: Event) -> None:
        """Serve the request that `event` begins; raises WireError.

        Of types that are not known nothing is made, as the protocol wants it.
        """
        match event.type:
            case "describe":
                await self._link.send(self._service.info)
            case "ping":
                await self._link.send(Pong(self._text(event) if event.data.get("text") else None).event())
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
            await self._link.send(last)
        self._service.metrics.wyoming_request(service)
        logger().info("wyoming", service=service, ms=round((clock.now_ns() - began_ns) / 1e6), **done.said)

    async def _transcribe(self, start: Event, stages: Stages) -> _Done:
        assert stages.hearing is not None, "a server listens"

        async def tell(words: str) -> None:
            await self._link.send(TranscriptChunk(words).event())

        config, stated = self._service.config, PcmFormat.of(start.data)
        transcription = Transcription(stages.hearing, config.asr, config.turn.voice_on, tell)
        await self._link.send(TranscriptStart(language="en").event())
        text = await transcription.run(self._audio(stated))
        return _Done(
            (Transcript(text, language="en").event(), TranscriptStop().event()), {"transcript": text}
        )

    async def _audio(self, stated: PcmFormat) -> AsyncIterator[Audio]:
        """The audio up to `audio-stop`, at 16 kHz; raises WireError."""
        decoder, samples = Decoder(stated), 0
        max_turn_s = self._service.config.asr.max_turn_s
        while (event := await self._link.next(self._limits.stalled_s)).type != "audio-stop":
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
        while (event := await self._link.next(self._limits.stalled_s)).type != "synthesize-stop":
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
        return Speech(stages.synthesizer, self._service.clock, self._link.send)

    async def _answer(self, event: Event, stages: Stages) -> _Done:
        text, talk = self._text(event), self._talk(event)
        respond = self._service.responder(stages, talk, self._service.clock)
        reply = await self._link.unless_gone(respond(text)) if text.strip() else None
        answer = NotHandled(FALLBACK) if reply is None else Handled(reply)
        said = {"transcript": text, "reply": reply, "handled": reply is not None}
        return _Done((answer.event(),), said)

    def _talk(self, event: Event) -> Talk:
        """The one that the client names, else that of the connection."""
        context = event.data.get("context")
        name = context.get("conversation_id") if isinstance(context, dict) else None
        if not isinstance(name, str) or len(name) > _NAME_CHARS:
            return self._unnamed
        return self._service.conversations.get(name)

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
