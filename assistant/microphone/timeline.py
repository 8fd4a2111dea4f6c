"""When each sample of a stream is at its converter, on the monotonic clock."""

from collections import deque

import numpy as np

_KEPT = 200  # blocks: 2 s. A clock that is 200 ppm off is 0.2 ms off in the middle of them.
_FRESH = 10  # blocks that a median may be old: each new one costs 20 us
_OFFSETS = 200
_JUMP_NS = 1_000_000_000
_PROOF = 20  # blocks in a row: one callback may wait for the interpreter, all do behind a clock that was set


class Timeline:
    """A line through the times that a device states: its nominal rate, and the median of the offsets.

    Slopes fitted to seconds of these times are wrong by up to 230 ppm on a busy machine, so the line has
    none; a median does not notice the blocks that were late.
    """

    def __init__(self, rate: int) -> None:
        self.rate = rate
        self._offsets_ns: deque[float] = deque(maxlen=_KEPT)
        self._median_ns: float | None = None
        self._since = 0  # blocks, since the median was taken

    @property
    def known(self) -> bool:
        """Whether there is a line."""
        return bool(self._offsets_ns)

    def note(self, sample: int, at_ns: int) -> float:
        """`sample` is at the converter at `at_ns`; by how many ns that is later than the line says."""
        late_ns = at_ns - self.at_ns(sample) if self.known else 0.0
        self._offsets_ns.append(at_ns - sample * 1e9 / self.rate)
        self._since += 1
        if self._since >= min(_FRESH, len(self._offsets_ns) // 2):
            self._median_ns = None
        return late_ns

    def at_ns(self, sample: float) -> int:
        """When `sample` is at the converter."""
        return round(self._offset_ns() + sample * 1e9 / self.rate)

    def sample_at(self, time_ns: float) -> float:
        """Which sample is at the converter at `time_ns`, with its fraction."""
        return (time_ns - self._offset_ns()) * self.rate / 1e9

    def restart(self) -> None:
        """Forget the line: samples were lost, or came late, and all after them have other times."""
        self._offsets_ns.clear()
        self._median_ns = None

    def _offset_ns(self) -> float:
        assert self._offsets_ns, "a time before the first block"
        if self._median_ns is None:
            self._median_ns = float(np.median(np.fromiter(self._offsets_ns, np.float64)))
            self._since = 0
        return self._median_ns


class ClockOffset:
    """From a stream's clock to the monotonic one, measured with every block.

    A callback may be late, never early: the smallest difference of the last two seconds is nearest to the
    truth, and a clock that was set (ALSA's is that of the calendar) is followed within them.
    """

    def __init__(self) -> None:
        self._differences_ns: deque[int] = deque(maxlen=_OFFSETS)
        self._smallest_ns = 0
        self._late = 0  # blocks in a row that were late by more than a jump
        self.jumped = False
        """The clocks went apart by more than a second: the machine slept, or one of them was set."""

    def note(self, stream_s: float, monotonic_ns: int) -> None:
        """It was `monotonic_ns`, or a little earlier, when the stream's clock said `stream_s`."""
        difference_ns = monotonic_ns - round(stream_s * 1e9)
        if self._differences_ns:
            late_ns = difference_ns - self._smallest_ns
            self._late = self._late + 1 if late_ns > _JUMP_NS else 0
            self.jumped = self.jumped or late_ns < -_JUMP_NS or self._late >= _PROOF
        self._differences_ns.append(difference_ns)
        self._smallest_ns = min(self._differences_ns)

    def monotonic_ns(self, stream_s: float) -> int:
        """The same moment on the monotonic clock."""
        return round(stream_s * 1e9) + self._smallest_ns
