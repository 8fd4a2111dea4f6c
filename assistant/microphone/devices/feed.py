"""What a loudspeaker's callback takes: audio that the loop gave it, with fades that keep it from clicking."""

from threading import Lock

import numpy as np

from assistant.audio import Resampler
from assistant.microphone.devices.port import Audio
from assistant.session.sink import RAMP_MS

FADE_MS = 5


class Feed:
    """Audio [n] at the device's rate that waits to be played. Bounded by its writer, who waits for room.

    `lock` is held for as long as a copy of 10 ms takes. Its holder may use everything here.
    """

    def __init__(self, rate: int, level: float = 1.0) -> None:
        self.lock = Lock()
        self._waiting = np.zeros(0, np.float32)
        self._held: Audio | None = None  # of a pause
        self._level = self._wanted = level
        self._fade, self._ramp = (rate * ms // 1000 for ms in (FADE_MS, RAMP_MS))
        self.rate = rate
        self._silence = 0  # samples that were asked for in vain since the last `push`

    @property
    def nothing(self) -> Audio:
        """No audio."""
        return self._waiting[:0]

    def __len__(self) -> int:
        return len(self._waiting)

    def pull(self, out: Audio) -> int:
        """Fill `out` [n], with silence behind the end of what waits; how many samples are no silence."""
        taken = min(len(out), len(self._waiting))
        out[:taken] = self._waiting[:taken]
        out[taken:] = 0
        self._waiting = self._waiting[taken:]
        self._silence += len(out) - taken
        if self._level != 1.0 or self._wanted != 1.0:
            self._scale(out)
        return taken

    def _scale(self, out: Audio) -> None:
        """Go to the wanted level in steps that take a ramp from silence to full loudness."""
        steps = np.arange(1, len(out) + 1, dtype=np.float32) / self._ramp
        if self._wanted >= self._level:
            levels = np.minimum(self._level + steps, self._wanted)
        else:
            levels = np.maximum(self._level - steps, self._wanted)
        out *= levels
        self._level = float(levels[-1])

    def push(self, audio: Audio) -> int:
        """Play `audio` [n] behind what waits; so many samples of silence were played since the last time."""
        assert self._held is None, "nobody writes in a pause"
        self._waiting = np.concatenate([self._waiting, audio])
        silence, self._silence = self._silence, 0
        return silence

    def pause(self) -> None:
        """Fade out and keep the rest."""
        if self._held is None:
            self._held = self._cut()

    def resume(self) -> None:
        """Go on with what was kept, fading in."""
        if self._held is None:
            return
        audio, self._held = self._held.copy(), None
        ramp = np.linspace(0, 1, min(self._fade, len(audio)), dtype=np.float32)
        audio[: len(ramp)] *= ramp
        self.push(audio)

    def stop(self) -> None:
        """Fade out and drop the rest."""
        if self._held is None:
            self._cut()
        self._held = None

    def gain(self, level: float) -> None:
        """Go to `level` times its own loudness, from now on."""
        self._wanted = level

    def move(self, other: "Feed", more: Audio) -> None:
        """Leave all that waits, and `more` behind it, to the feed of another device."""
        paused, self._held = self._held, None
        audio = np.concatenate([self._waiting, *([] if paused is None else [paused]), more])
        self._waiting = self._waiting[:0]
        resampler = Resampler(self.rate, other.rate)
        audio = np.concatenate([resampler.push(audio), resampler.flush()])
        if paused is None:
            other.push(audio)
        else:
            other._held = audio

    def _cut(self) -> Audio:
        """Leave a fade to play; what comes behind it."""
        end = min(self._fade, len(self._waiting))
        tail, rest = self._waiting[:end].copy(), self._waiting[end:]
        tail *= np.linspace(1, 0, end, dtype=np.float32)
        self._waiting = tail
        return rest
