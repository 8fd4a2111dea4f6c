"""Playing a reply: what of it was given to the sink, and what of that has been heard, by samples."""

import numpy as np

from assistant.runtime import Clock
from assistant.session.conversation import Spoken
from assistant.session.sink import Sink, duration_ns
from tts.stream import SpeechChunk

_AUDIBLE = 10 ** (-50 / 20)  # full scale: what lies below -50 dBFS nobody takes for a reply
_DUCKED = 0.125  # -18 dB: still understood in a quiet room, and no match for the user's own voice


class Playback:
    """What has been played of one reply."""

    def __init__(self, sink: Sink, clock: Clock) -> None:
        self._sink = sink
        self._base = 0  # the sink's position when the reply began
        self._audible_at = 0  # its first audible sample, once there is one
        self._written = 0
        self._rate = 1
        self._paused = self._ducked = False
        self._stopped_at: int | None = None  # samples heard when it was stopped
        self.spoken: list[Spoken] = []
        self.audible_ns: int | None = None
        self.end_ns = clock.now_ns()  # when the last sample written so far will have sounded
        self.underruns = 0

    async def play(self, chunk: SpeechChunk) -> None:
        """Hand `chunk` to the sink and note when it sounds."""
        if len(chunk.audio):
            await self._write(chunk)
        self.spoken.append(Spoken(chunk.text, self._written * 1e3 / self._rate))

    async def _write(self, chunk: SpeechChunk) -> None:
        if not self._written:
            self._base, self._rate = self._sink.position, chunk.sample_rate
        paused = self._paused
        start_ns = await self._sink.write(chunk.audio, chunk.sample_rate)
        if self.audible_ns is not None and start_ns > self.end_ns and not (paused or self._paused):
            self.underruns += 1
        self._paused = False
        self.end_ns = start_ns + duration_ns(len(chunk.audio), chunk.sample_rate)
        if self.audible_ns is None and (loud := np.flatnonzero(np.abs(chunk.audio) >= _AUDIBLE)).size:
            self.audible_ns = start_ns + int(loud[0]) * 1_000_000_000 // chunk.sample_rate
            self._audible_at = self._written + int(loud[0])
        self._written += len(chunk.audio)

    @property
    def heard_samples(self) -> int:
        """How many samples of the reply have sounded."""
        if self._stopped_at is not None:
            return self._stopped_at
        return min(self._written, max(0, self._sink.position - self._base)) if self._written else 0

    @property
    def heard_ms(self) -> float:
        """How many milliseconds of the reply have sounded."""
        return self.heard_samples * 1e3 / self._rate

    @property
    def sounded(self) -> bool:
        """Whether anything audible has sounded: a reply may be stopped between its writing and its sound."""
        return self.audible_ns is not None and self.heard_samples > self._audible_at

    @property
    def left_ms(self) -> float:
        """How many milliseconds of what was written have not sounded yet."""
        return (self._written - self.heard_samples) * 1e3 / self._rate

    async def drain(self) -> None:
        """Wait until all that was written has sounded."""
        await self._sink.drain()

    def duck(self) -> None:
        """Play quietly from now on."""
        self._ducked = True
        self._sink.gain(_DUCKED)

    def unduck(self) -> None:
        """Play at its own loudness again."""
        if self._ducked:
            self._ducked = False
            self._sink.gain(1.0)

    def pause(self) -> None:
        """Fall silent, ready to go on."""
        self._paused = True
        self._sink.pause()

    def resume(self) -> None:
        """Go on at the sample where `pause` came, at its own loudness."""
        self.unduck()
        self._sink.resume()

    def stop(self) -> None:
        """Silence, now."""
        self._sink.stop()
        self._stopped_at = self.heard_samples  # with what a device could not take back
        self.unduck()
