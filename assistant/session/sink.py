"""Where a reply becomes sound: what a session needs of it, and one that only keeps time."""

import asyncio
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from assistant.runtime import Clock

Audio = NDArray[np.float32]

RAMP_MS = 30
"""What `Sink.gain` takes from silence to full loudness, or back: a step would click."""


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
        """Go to `level` times its own loudness in what has not sounded yet, by a ramp; see RAMP_MS."""
        ...

    def stop(self) -> None:
        """Fall silent, and drop what has not sounded yet; what cannot be taken back counts as sounded."""
        ...


class PacedSink:
    """A device that only keeps time, for replays and tests: it sounds what it gets at its own pace.

    Audio starts `latency_ms` after it is written, as the buffer of a sound card would have it, and
    `write` waits until no more than `ahead_ms` is still to sound. What sounded is in `recorded`, if it is
    to be kept.
    """

    def __init__(
        self, clock: Clock, *, latency_ms: float = 20.0, ahead_ms: float = 200.0, keep: bool = True
    ) -> None:
        self._clock, self._keep = clock, keep
        self._latency_ns, self._ahead_ns = int(latency_ms * 1e6), int(ahead_ms * 1e6)
        self._free_ns = 0  # when all that is scheduled has sounded
        self._rate = 1
        self._level = self._wanted = 1.0
        self._level_ns = 0  # when the level was `_level`; since then it goes to `_wanted`
        self._unscaled: list[Audio] = []  # what was recorded, at its own loudness
        self._held: list[Audio] = []  # of a pause, likewise
        self._playing = asyncio.Event()
        self._playing.set()
        self._written = 0
        self.recorded: list[tuple[int, Audio]] = []

    @property
    def position(self) -> int:
        """See Sink."""
        left = sum(len(audio) for audio in self._held)
        for start_ns, audio in reversed(self.recorded):
            sounded = self._sounded(start_ns, audio)
            if sounded == len(audio):
                break
            left += len(audio) - sounded
        return self._written - left

    async def write(self, audio: Audio, sample_rate: int) -> int:
        """See Sink."""
        await self._room()
        self._rate = sample_rate
        self._written += len(audio)
        if not self._keep:
            self._forget()
        return self._append(audio)

    def _forget(self) -> None:
        """Drop what has sounded."""
        while self.recorded and self._sounded(*self.recorded[0]) == len(self.recorded[0][1]):
            del self.recorded[0], self._unscaled[0]

    async def _room(self) -> None:
        """Wait until it plays, and has little enough to. A pause may come, and be over, while this waits."""
        while True:
            await self._playing.wait()
            await self._clock.sleep_until(self._free_ns - self._ahead_ns)
            if self._playing.is_set() and self._free_ns - self._ahead_ns <= self._clock.now_ns():
                return

    async def drain(self) -> None:
        """See Sink."""
        while self._held or self._free_ns > self._clock.now_ns():
            await self._playing.wait()
            await self._clock.sleep_until(self._free_ns)

    def pause(self) -> None:
        """See Sink."""
        self._playing.clear()
        self._held = [*(audio for _, audio in self._cut()), *self._held]

    def resume(self) -> None:
        """See Sink."""
        held, self._held = self._held, []
        for audio in held:
            self._append(audio)
        self._playing.set()

    def gain(self, level: float) -> None:
        """See Sink."""
        now_ns = self._clock.now_ns()
        self._level, self._wanted = float(self._levels(now_ns, 1)[0]), level
        self._level_ns = now_ns
        for start_ns, audio in self._cut():
            self._schedule(start_ns, audio)

    def stop(self) -> None:
        """See Sink."""
        dropped = [*(audio for _, audio in self._cut()), *self._held]
        self._written -= sum(len(audio) for audio in dropped)
        self._held = []
        self._playing.set()

    def _append(self, audio: Audio) -> int:
        start_ns = max(self._clock.now_ns() + self._latency_ns, self._free_ns)
        self._schedule(start_ns, audio)
        return start_ns

    def _schedule(self, start_ns: int, audio: Audio) -> None:
        self._free_ns = start_ns + duration_ns(len(audio), self._rate)
        plain = self._level == self._wanted == 1.0
        self.recorded.append((start_ns, audio if plain else audio * self._levels(start_ns, len(audio))))
        self._unscaled.append(audio)

    def _levels(self, start_ns: int, count: int) -> Audio:
        """The loudness, [count], of samples that sound from `start_ns` on."""
        after_ns = start_ns - self._level_ns + np.arange(count) * 1e9 / self._rate
        moved = np.maximum(after_ns, 0) / (RAMP_MS * 1e6)
        if self._wanted >= self._level:
            levels = np.minimum(self._level + moved, self._wanted)
        else:
            levels = np.maximum(self._level - moved, self._wanted)
        return levels.astype(np.float32)

    def _cut(self) -> list[tuple[int, Audio]]:
        """Take what has not sounded yet off the recording, each piece with when it would have sounded."""
        cut = []
        while self.recorded and self._sounded(*self.recorded[-1]) < len(self.recorded[-1][1]):
            start_ns, recorded = self.recorded.pop()
            audio, sounded = self._unscaled.pop(), self._sounded(start_ns, recorded)
            cut.append((start_ns + duration_ns(sounded, self._rate), audio[sounded:]))
            if sounded:
                self.recorded.append((start_ns, recorded[:sounded]))
                self._unscaled.append(audio[:sounded])
        self._free_ns = self._clock.now_ns()
        return cut[::-1]

    def _sounded(self, start_ns: int, audio: Audio) -> int:
        since_ns = self._clock.now_ns() - start_ns
        return min(len(audio), max(0, since_ns * self._rate // 1_000_000_000))
