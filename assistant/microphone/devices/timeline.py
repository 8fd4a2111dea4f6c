"""When each sample of a stream is at its converter, on the monotonic clock."""

from collections import deque

import numpy as np

_KEPT = 200  # blocks: 2 s. A clock that is 200 ppm off is 0.2 ms off in the middle of them.
_FRESH = 10  # blocks that a median may be old: each new one costs 20 us
_BURST_NS = 3_000_000  # blocks that come at once have one measurement, and may be a second of one stall
_UNSETTLED = 20  # blocks: PulseAudio states the first that it takes, a bufferful, 8 ms early
_STEPPED = 10  # blocks in a row
_STEP_NS = 4_000_000
_TIGHT_NS = 2_000_000
_OFFSETS = 200
_JUMP_NS = 1_000_000_000
_SET_NS = 100_000_000
_PROOF = 20  # blocks in a row: one callback may wait for the interpreter, all do behind a clock that was set


class Timeline:
    """A line through the times that a device states: its nominal rate, and the median of the offsets.

    Slopes fitted to seconds of these times are wrong by up to 230 ppm on a busy machine, so the line has
    none; a median does not notice the blocks that were late. Samples that came late move the line in a step:
    where the device says so (`restart`), and with `steps` where it does not, but its times stay away.
    """

    def __init__(self, rate: int, *, steps: bool = False) -> None:
        self.rate = rate
        self._steps = steps
        self._offsets_ns: deque[float] = deque(maxlen=_KEPT)
        self._median_ns: float | None = None
        self._since = 0  # blocks, since the median was taken
        self._blocks = 0  # since the line began
        self._called_ns = 0  # when the last of them came
        self._moved_ns = 0.0  # up to `_level_ns`
        self._level_ns: float | None = None  # the line's offset where it began, until it is settled
        self._before_ns: float | None = None  # the offset of the line before this one
        self._beyond = 0  # blocks in a row that were a step away

    @property
    def known(self) -> bool:
        """Whether there is a line."""
        return bool(self._offsets_ns)

    @property
    def moved_ns(self) -> float:
        """All steps of the line together, without what the stated times wander between them."""
        if self._level_ns is None or not self.known:
            return self._moved_ns
        return self._moved_ns + self._offset_ns() - self._level_ns

    def late_ns(self, sample: int, at_ns: int) -> float:
        """By how much later `at_ns` is than what the line says of `sample`."""
        return at_ns - sample * 1e9 / self.rate - self._offset_ns() if self.known else 0.0

    def note(self, sample: int, at_ns: int, called_ns: int | None = None) -> None:
        """`sample` is at the converter at `at_ns`, as was said at `called_ns`."""
        if called_ns is not None:
            if self.known and called_ns - self._called_ns < _BURST_NS:
                return
            self._called_ns = called_ns
        offset_ns, late_ns = at_ns - sample * 1e9 / self.rate, self.late_ns(sample, at_ns)
        if not self.known:
            self._begin(offset_ns)
        self._offsets_ns.append(offset_ns)
        self._since += 1
        self._blocks += 1
        if self._since >= min(_FRESH, len(self._offsets_ns) // 2):
            self._median_ns = None
        self._settle(late_ns)

    def at_ns(self, sample: float) -> int:
        """When `sample` is at the converter."""
        return round(self._offset_ns() + sample * 1e9 / self.rate)

    def sample_at(self, time_ns: float) -> float:
        """Which sample is at the converter at `time_ns`, with its fraction."""
        return (time_ns - self._offset_ns()) * self.rate / 1e9

    def restart(self) -> None:
        """Forget the line: samples were lost, or came late, and all after them have other times."""
        if self.known:
            self._moved_ns, self._before_ns = self.moved_ns, self._offset_ns()
        self._offsets_ns.clear()
        self._median_ns = None

    def _begin(self, offset_ns: float) -> None:
        if self._before_ns is not None:
            self._moved_ns += offset_ns - self._before_ns
        self._before_ns, self._level_ns = None, offset_ns
        self._blocks = self._beyond = 0

    def _settle(self, late_ns: float) -> None:
        """Take only the latest offsets where a line has begun, or has stepped."""
        if self._level_ns is not None:
            if self._blocks == _UNSETTLED:
                self._keep(_UNSETTLED // 2, self._level_ns)
                self._level_ns = None
            return
        self._beyond = self._beyond + 1 if self._steps and abs(late_ns) > _STEP_NS else 0
        if self._beyond >= _STEPPED and np.ptp(list(self._offsets_ns)[-_STEPPED:]) < _TIGHT_NS:
            self._keep(_STEPPED, self._offset_ns())
            self._level_ns, self._blocks, self._beyond = self._offset_ns(), 0, 0

    def _keep(self, count: int, before_ns: float) -> None:
        kept = list(self._offsets_ns)[-count:]
        self._offsets_ns.clear()
        self._offsets_ns.extend(kept)
        self._median_ns = None
        self._moved_ns += self._offset_ns() - before_ns

    def _offset_ns(self) -> float:
        assert self._offsets_ns, "a time before the first block"
        if self._median_ns is None:
            self._median_ns = float(np.median(np.fromiter(self._offsets_ns, np.float64)))
            self._since = 0
        return self._median_ns


class ClockOffset:
    """From a stream's clock to the monotonic one, measured with every block.

    A callback may be late, never early: the smallest difference of the last two seconds is nearest to the
    truth. A clock that was set (ALSA's is that of the calendar) is followed: forwards at once, back within
    a fifth of a second.
    """

    def __init__(self) -> None:
        self._differences_ns: deque[int] = deque(maxlen=_OFFSETS)
        self._smallest_ns = 0
        self._late = 0  # blocks in a row that were late by more than any callback is
        self.jumped = False
        """The clocks went apart by more than a second: the machine slept, or one of them was set."""

    def note(self, stream_s: float, monotonic_ns: int) -> None:
        """It was `monotonic_ns`, or a little earlier, when the stream's clock said `stream_s`."""
        difference_ns = monotonic_ns - round(stream_s * 1e9)
        if self._differences_ns:
            late_ns = difference_ns - self._smallest_ns
            self._late = self._late + 1 if late_ns > _SET_NS else 0
            was_set = self._late >= _PROOF
            self.jumped = self.jumped or late_ns < -_JUMP_NS or (was_set and late_ns > _JUMP_NS)
            if was_set:
                self._differences_ns.clear()
        self._differences_ns.append(difference_ns)
        self._smallest_ns = min(self._differences_ns)

    def monotonic_ns(self, stream_s: float) -> int:
        """The same moment on the monotonic clock."""
        return round(stream_s * 1e9) + self._smallest_ns
