"""Replies as they come over a wire, one behind the other on the loudspeaker."""

import asyncio
from collections.abc import Callable

from assistant.microphone.devices.port import Audio
from assistant.runtime import Clock
from assistant.session.playback import Playback
from assistant.session.sink import Sink
from tts.stream import SpeechChunk

_PIECE_S = 0.1  # of what is written at once, so that little waits in the loudspeaker's own buffer
_MOST_S = 600  # of audio that waits; what comes beyond it is dropped


class Player:
    """`on_played` is told each reply that has sounded to its end."""

    def __init__(self, sink: Sink, clock: Clock, rate: int, on_played: Callable[[str], None]) -> None:
        self._sink, self._clock, self._rate, self._on_played = sink, clock, rate, on_played
        self._waiting: asyncio.Queue[tuple[str, Audio | None]] = asyncio.Queue()  # None ends a reply
        self._waiting_s = 0.0
        self._task: asyncio.Task[None] | None = None
        self._playing: dict[str, Playback] = {}  # replies that are not over yet
        self.current = ""  # the reply that sounds

    def play(self, reply: str, audio: Audio) -> Playback:
        """Let `audio` [n] sound behind what waits; the reply's playback, which knows when it does."""
        if reply not in self._playing:
            self._playing[reply] = Playback(self._sink, self._clock)
        if self._waiting_s < _MOST_S:
            self._waiting_s += len(audio) / self._rate
            self._waiting.put_nowait((reply, audio))
        return self._playing[reply]

    def finish(self, reply: str) -> None:
        """No more audio of a reply comes."""
        self._waiting.put_nowait((reply, None))

    def heard_ms(self) -> float:
        """How much of the current reply has sounded."""
        return self._playing[self.current].heard_ms if self.current in self._playing else 0.0

    def stop(self) -> dict[str, int]:
        """Silence; how many ms were heard of each reply that was to sound."""
        if self._task is not None:
            self._task.cancel()
        self._waiting, self._waiting_s = asyncio.Queue(), 0.0
        if self.current in self._playing:
            self._playing[self.current].stop()
        heard = {reply: int(playback.heard_ms) for reply, playback in self._playing.items()}
        self._playing.clear()
        self.current = ""
        return heard

    async def run(self) -> None:
        """Play until cancelled."""
        while True:
            self._task = asyncio.create_task(self._play(), name="play")
            try:
                await asyncio.wait([self._task])
            finally:
                self._task.cancel()
            if not self._task.cancelled():
                self._task.result()

    async def _play(self) -> None:
        """Play what waits, until it is stopped."""
        while True:
            reply, audio = await self._waiting.get()
            self.current = reply
            playback = self._playing[reply]
            if audio is None:
                await playback.drain()
                del self._playing[reply]
                self._on_played(reply)
                continue
            self._waiting_s -= len(audio) / self._rate
            size = int(_PIECE_S * self._rate)
            for at in range(0, len(audio), size):
                await playback.play(SpeechChunk(audio[at : at + size], self._rate, ""))
