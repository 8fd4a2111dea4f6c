"""One stream to a loudspeaker: its callback, what it really sent, and when each sample of it sounds."""

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from assistant.microphone.devices.feed import Feed
from assistant.microphone.devices.port import Audio, BlockTime
from assistant.microphone.devices.timeline import ClockOffset, Timeline

_SENT_S = 4  # of what was sent is kept, for the echo canceller
_RUNS = 64  # runs of sound between silences that may not have sounded yet, or just have


@dataclass(frozen=True)
class _Block:
    first: int
    time: BlockTime
    called_ns: int


class Playing:
    """What a stream plays. Samples count from its start, silence included.

    `callback` belongs to PortAudio's thread, all else to the loop.
    """

    def __init__(self, rate: int, feed: Feed, now_ns: Callable[[], int] = time.monotonic_ns) -> None:
        self.rate = rate
        self.timeline = Timeline(rate, steps=True)
        self.called_ns = now_ns()  # when a block was asked for last
        self.end = 0  # sample behind the last that was asked for
        self.given = 0  # samples of sound that were taken from the feed
        self.underruns = 0  # of the device, inside of sound
        self._feed, self._now_ns = feed, now_ns
        self._offset = ClockOffset()
        self._times: deque[_Block] = deque(maxlen=256)
        self._lost = False  # with the last block
        self._runs: deque[tuple[int, int]] = deque(maxlen=_RUNS)  # first sample and length, silence between
        self._sent = np.zeros(rate * _SENT_S, np.float32)

    def callback(self, out: Audio, at: BlockTime) -> None:
        """Fill a block [n, channels], every channel alike."""
        self.called_ns = self._now_ns()
        count = len(out)
        mono = np.empty(count, np.float32)
        with self._feed.lock:
            taken = self._feed.pull(mono)
            out[:] = mono[:, None]
            self._sent[np.arange(self.end, self.end + count) % len(self._sent)] = mono
            if taken:
                self._note_run(taken)
            self._times.append(_Block(self.end, at, self.called_ns))
            self.underruns += at.lost and not self._lost and taken > 0
            self._lost = at.lost  # it is told with each block of a bufferful
            self.given += taken
            self.end += count

    def _note_run(self, taken: int) -> None:
        if self._runs and sum(self._runs[-1]) == self.end:
            first, length = self._runs.pop()
            self._runs.append((first, length + taken))
        else:
            self._runs.append((self.end, taken))

    def update(self) -> None:
        """Take in the times of the blocks that were asked for since the last call."""
        while self._times:
            block = self._times.popleft()
            at = block.time
            if at.lost:
                self.timeline.restart()
            self._offset.note(at.now_s, block.called_ns)
            ahead_s = min(max(0.0, at.converter_s - at.now_s), 1.0)  # some drivers state 0, or nonsense
            sounds_ns = self._offset.monotonic_ns(at.now_s + ahead_s)
            self.timeline.note(block.first, sounds_ns, block.called_ns)

    def sounded(self, now_ns: int) -> int:
        """How many of the `given` samples have sounded."""
        self.update()
        with self._feed.lock:
            given, runs = self.given, list(self._runs)
        if not self.timeline.known:
            return 0
        at = int(self.timeline.sample_at(now_ns))
        return given - sum(first + length - max(first, min(at, first + length)) for first, length in runs)

    def sounds(self, start_ns: int, end_ns: int) -> bool:
        """Whether any of the `given` samples sounds between these times."""
        self.update()
        if not self.timeline.known:
            return False
        start, end = self.timeline.sample_at(start_ns), self.timeline.sample_at(end_ns)
        with self._feed.lock:
            return any(start < first + length and first < end for first, length in self._runs)

    def sounds_at_ns(self, waiting: int) -> int:
        """When a sample sounds that is given to the feed now, behind `waiting` others."""
        self.update()
        return self.timeline.at_ns(self.end + waiting) if self.timeline.known else self._now_ns()

    def sent(self, start: int, count: int) -> Audio:
        """What was sent from sample `start` on, [count]; zeros where that is not held any more or not yet."""
        with self._feed.lock:
            numbers = np.arange(start, start + count)
            audio = self._sent[numbers % len(self._sent)]
            known = (numbers >= max(0, self.end - len(self._sent))) & (numbers < self.end)
        return np.where(known, audio, np.float32(0))
