"""One stream from a microphone: its callback, and its samples in the order of time."""

import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from assistant.microphone.devices.channels import ChannelChoice
from assistant.microphone.devices.port import Audio, BlockTime
from assistant.microphone.devices.timeline import ClockOffset, Timeline

_KEPT = 200  # blocks of 10 ms: what comes while the loop is busy for longer than 2 s is lost
_SLACK_NS = 5_000_000  # that the time of a block may be off
_LONGEST_NS = 2_000_000_000  # gap that becomes silence; after a longer one everything begins anew


@dataclass(frozen=True)
class _Block:
    first: int  # of the samples that the device gave
    audio: Audio  # [n, channels]
    time: BlockTime
    called_ns: int


class Recording:
    """What a stream has recorded. `callback` belongs to PortAudio's thread, all else to the loop."""

    def __init__(
        self, rate: int, wake: Callable[[], None], now_ns: Callable[[], int] = time.monotonic_ns
    ) -> None:
        """`wake` is called, in PortAudio's thread, for every block that ends behind `wake_at`."""
        self.rate = rate
        self.timeline = Timeline(rate)  # without `steps`: PulseAudio's own corrections are as large
        self.called_ns = now_ns()  # when a block came last
        self.wake_at = 0  # of the samples that the device gave
        self.overflows = 0
        self.silenced = 0  # samples that were lost, and are silence now
        self._blocks: deque[_Block] = deque(maxlen=_KEPT)
        self._offset = ClockOffset()
        self._channels = ChannelChoice(rate)
        self._wake, self._now_ns = wake, now_ns
        self._given = 0  # samples that the device gave
        self._taken = 0  # of these, up to where they were read
        self._end = 0  # sample behind the last that was read, of all the time

    def callback(self, audio: Audio, at: BlockTime) -> None:
        """Copy a block [n, channels]."""
        self.called_ns = self._now_ns()
        self._blocks.append(_Block(self._given, audio.copy(), at, self.called_ns))
        self._given += len(audio)
        if self._given >= self.wake_at:
            self._wake()

    def read(self) -> Iterator[tuple[int, Audio]]:
        """What came since the last call: audio [n] and the number of its first sample, without a hole."""
        while self._blocks:
            block = self._blocks.popleft()
            yield from self._silence(block.first - self._taken)
            at_ns = self._converter_ns(block)
            late_ns = self.timeline.late_ns(self._end, at_ns)
            if block.time.lost and late_ns > _SLACK_NS:
                self.timeline.restart()
                yield from self._silence(round(min(late_ns, _LONGEST_NS) * self.rate / 1e9))
            self.timeline.note(self._end, at_ns, block.called_ns)
            self._taken = block.first + len(block.audio)
            start, self._end = self._end, self._end + len(block.audio)
            yield start, self._channels.push(block.audio)

    @property
    def jumped(self) -> bool:
        """Whether the stream's clock did; see ClockOffset."""
        return self._offset.jumped

    def wait_for(self, count: int) -> None:
        """Wake the reader when there are `count` samples that it has not read."""
        self.wake_at = self._taken + count

    def skip(self) -> None:
        """Drop what came so far, and what was lost of it: nobody was listening yet."""
        for _ in self.read():
            pass
        self.overflows = self.silenced = 0

    def _converter_ns(self, block: _Block) -> int:
        at = block.time
        self._offset.note(at.now_s, block.called_ns)
        age_s = min(max(0.0, at.now_s - at.converter_s), 1.0)  # some drivers state 0, or nonsense
        return self._offset.monotonic_ns(at.now_s - age_s)

    def _silence(self, count: int) -> Iterator[tuple[int, Audio]]:
        if count <= 0:
            return
        self.overflows += 1
        self.silenced += count
        start, self._end = self._end, self._end + count
        yield start, np.zeros(count, np.float32)
