"""Text to audio events, phrase by phrase, by a session's voice."""

from collections.abc import Awaitable, Callable
from contextlib import aclosing

from wyoming.audio import AudioChunk, AudioStart
from wyoming.event import Event

from assistant.runtime import Clock, Urgency
from assistant.server.pcm import encode_pcm16
from assistant.session.stages import Synthesizer
from tts.phrases import PhraseSplitter
from tts.stream import SpeechChunk
from tts.vocoder import SAMPLE_RATE

_WIDTH, _CHANNELS = 2, 1

Send = Callable[[Event], Awaitable[None]]


class Speech:
    """One stream of audio: its start, and chunks as phrases are synthesized."""

    def __init__(self, synthesizer: Synthesizer, clock: Clock, send: Send) -> None:
        self._synthesizer, self._clock, self._send = synthesizer, clock, send
        self._splitter = PhraseSplitter()
        self._needed_ns = clock.now_ns()

    async def start(self) -> None:
        """Begin the stream."""
        await self._send(AudioStart(SAMPLE_RATE, _WIDTH, _CHANNELS).event())

    async def push(self, text: str) -> None:
        """Say the phrases that `text` completes."""
        for phrase in self._splitter.push(text):
            await self._say(phrase)

    async def finish(self) -> None:
        """Say the rest. The stream's stop is left to the caller."""
        for phrase in self._splitter.flush():
            await self._say(phrase)

    async def _say(self, phrase: str) -> None:
        async with aclosing(self._synthesizer.speak(phrase, self._urgency)) as chunks:
            async for chunk in chunks:
                if len(chunk.audio):
                    await self._send(_event(chunk))
                    self._needed_ns = max(self._needed_ns, self._clock.now_ns()) + _duration_ns(chunk)

    def _urgency(self) -> Urgency:
        """When the client has nothing left to play, if it plays at once; called from any thread."""
        return 0, self._needed_ns


def _event(chunk: SpeechChunk) -> Event:
    assert chunk.sample_rate == SAMPLE_RATE, "of one voice"
    return AudioChunk(SAMPLE_RATE, _WIDTH, _CHANNELS, encode_pcm16(chunk.audio)).event()


def _duration_ns(chunk: SpeechChunk) -> int:
    return len(chunk.audio) * 1_000_000_000 // chunk.sample_rate
