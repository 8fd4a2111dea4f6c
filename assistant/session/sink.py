"""Where a reply becomes sound: what a session needs of it, and one that only keeps time."""

import asyncio
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from assistant.runtime.clock import Clock

Audio = NDArray[np.float32]


def duration_ns(samples: int, rate: int) -> int:
    """How long `samples` sound, rounded up: when it is over, the last of them is, too."""
    return -(-samples * 1_000_000_000 // rate)


class Sink(Protocol):
    """A device, a socket or a file. Samples count what was written and not dropped."""

    @property
    def position(self) -> int:
        """How many samples have sounded."""
        ...

    async def write(self, audio: Audio, sample_rate: int) -> int:
        """Take `audio` [n], waiting for room; the time (ns) at which its first sample will sound."""
        ...

    async def drain(self) -> None:
        """Wait until everything written has sounded."""
        ...

    def pause(self) -> None:
        """Fall silent, keeping what has not sounded yet."""
        ...

    def resume(self) -> None:
        """Go on at the sample where `pause` came."""
        ...

    def gain(self, level: float) -> None:
        """Play what has not sounded yet at `level` times its own loudness."""
        ...

    def stop(self) -> None:
        """Fall silent, and drop what has not sounded yet."""
        ...


class PacedSink:
    """A device that only keeps time, for replays and tests: it sounds what it gets at its own pace.

    Audio starts `latency_ms` after it is written, as the buffer of a sound card would have it, and
    `write` waits until no more than `ahead_ms` is still to sound. What sounded is in `recorded`.
    """

    def __init__(self, clock: Clock, *, latency_ms: float = 20.0, ahead_ms: float = 200.0) -> None:
        self._clock = clock
        self._latency_ns, self._ahead_ns = int(latency_ms * 1e6), int(ahead_ms * 1e6)
        self._free_ns = 0  # when all that is scheduled has sounded
        self._rate = 1
        self._level = 1.0
        self._held: list[Audio] = []  # of a pause
        self._playing = asyncio.Event()
        self._playing.set()
        self._written = 0
        self.recorded: list[tuple[int, Audio]] = []

    @property
    def position(self) -> int:
        """See Sink."""
        left = sum(len(audio) for audio in self._held)
        now_ns = self._clock.now_ns()
        for start_ns, audio in reversed(self.recorded):
            sounded = min(len(audio), max(0, (now_ns - start_ns) * self._rate // 1_000_000_000))
            if sounded == len(audio):
                break
            left += len(audio) - sounded
        return self._written - left

    async def write(self, audio: Audio, sample_rate: int) -> int:
        """See Sink."""
        await self._playing.wait()
        await self._clock.sleep_until(self._free_ns - self._ahead_ns)
        await self._playing.wait()
        self._rate = sample_rate
        self._written += len(audio)
        return self._schedule(audio * np.float32(self._level) if self._level != 1.0 else audio)

    async def drain(self) -> None:
        """See Sink."""
        while self._held or self._free_ns > self._clock.now_ns():
            await self._playing.wait()
            await self._clock.sleep_until(self._free_ns)

    def pause(self) -> None:
        """See Sink."""
        self._playing.clear()
        self._held = [*self._cut(), *self._held]

    def resume(self) -> None:
        """See Sink."""
        held, self._held = self._held, []
        for audio in held:
            self._schedule(audio)
        self._playing.set()

    def gain(self, level: float) -> None:
        """See Sink."""
        change, self._level = np.float32(level / self._level), level
        if self._held:
            self._held = [audio * change for audio in self._held]
        else:
            now_ns = self._clock.now_ns()
            for index, audio in enumerate(self._cut()):
                self._schedule(audio * change, now_ns if index == 0 else None)

    def stop(self) -> None:
        """See Sink."""
        dropped = [*self._cut(), *self._held]
        self._written -= sum(len(audio) for audio in dropped)
        self._held = []
        self._playing.set()

    def _schedule(self, audio: Audio, start_ns: int | None = None) -> int:
        if start_ns is None:
            start_ns = max(self._clock.now_ns() + self._latency_ns, self._free_ns)
        self._free_ns = start_ns + duration_ns(len(audio), self._rate)
        self.recorded.append((start_ns, audio))
        return start_ns

    def _cut(self) -> list[Audio]:
        """Take what has not sounded yet off the recording."""
        now_ns, cut = self._clock.now_ns(), []
        while self.recorded and self.recorded[-1][0] >= now_ns:
            cut.append(self.recorded.pop()[1])
        if self.recorded:
            start_ns, audio = self.recorded[-1]
            sounded = (now_ns - start_ns) * self._rate // 1_000_000_000
            if sounded < len(audio):
                self.recorded[-1] = (start_ns, audio[:sounded])
                cut.append(audio[sounded:])
        self._free_ns = now_ns
        return cut[::-1]
