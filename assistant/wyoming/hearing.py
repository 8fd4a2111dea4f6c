"""One utterance to text while it comes in, by a session's recognizer; the client says where it ends."""

import asyncio
from collections.abc import AsyncIterable, Awaitable, Callable

from asr.audio import RATE
from asr.stream import StreamConfig
from asr.vad import WINDOW
from assistant.session.ring import AudioRing, Frame
from assistant.session.stages import Audio, Hearing, Utterance

Tell = Callable[[str], Awaitable[None]]


class Transcription:
    """Run it once. `tell` is told the words as they are committed, with the spaces between them."""

    def __init__(self, hearing: Hearing, config: StreamConfig, voice_on: float, tell: Tell) -> None:
        self._hearing, self._config, self._voice_on, self._tell = hearing, config, voice_on, tell
        self._ring = AudioRing(config.max_turn_s)
        self._start: int | None = None  # where the speech begins
        self._decoded = 0  # samples that were there when a partial was last asked for
        self._due = asyncio.Event()
        self._told = ""

    async def run(self, audio: AsyncIterable[Audio]) -> str:
        """The transcript of `audio` ([n] at 16 kHz each, `max_turn_s` in all); "" if nobody speaks in it.

        `tell` gets the last words of it, too, unless the second pass has changed those before them.
        """
        async with asyncio.TaskGroup() as group:
            partials = group.create_task(self._follow(), name="partials")
            async for frame in audio:
                await self._push(frame)
            partials.cancel()
        if self._start is None:
            return ""
        text = (await self._hearing.recognizer.final(self._utterance(self._start))).text
        await self._tell_up_to(text)
        return text

    async def _push(self, audio: Audio) -> None:
        self._ring.push(Frame(audio, 0))
        for end_sample, window in self._ring.windows():
            if self._start is None and await self._is_voiced(window):
                pre_roll = self._config.pre_roll_ms * RATE // 1000
                self._start = self._decoded = max(0, end_sample - WINDOW - pre_roll)
        if (
            self._start is not None
            and self._ring.end - self._decoded >= self._config.partial_ms * RATE // 1000
        ):
            self._decoded = self._ring.end
            self._due.set()

    async def _is_voiced(self, window: Audio) -> bool:
        """The recognizer hallucinates in silence, so it gets nothing before somebody speaks."""
        return await self._hearing.detector.probability(window) >= self._voice_on

    async def _follow(self) -> None:
        """Decode what there is whenever enough is new, and the recognizer is free."""
        while True:
            await self._due.wait()
            self._due.clear()
            partial = await self._hearing.recognizer.partial(self._latest)
            if partial is not None:
                await self._tell_up_to(partial.stable)

    def _latest(self) -> Utterance | None:
        """Called from the recognizer's thread."""
        return None if self._start is None else self._utterance(self._start)

    def _utterance(self, start: int) -> Utterance:
        return Utterance(start, self._ring.span(start))

    async def _tell_up_to(self, text: str) -> None:
        if len(text) > len(self._told) and text.startswith(self._told):
            new, self._told = text[len(self._told) :], text
            await self._tell(new)
