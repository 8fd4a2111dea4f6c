"""The microphone as a session's source: frames of 20 ms at 16 kHz, cleaned of what the loudspeaker played."""

from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator

import numpy as np

from asr.audio import RATE
from assistant.microphone.capture import Capture
from assistant.microphone.devices.errors import OnlyZeros
from assistant.microphone.devices.streams import Streams
from assistant.microphone.echo.canceller import Cleaned, EchoCanceller, open_canceller
from assistant.microphone.echo.duplex import MONITOR, UNKNOWN, Duplex
from assistant.microphone.echo.levels import Levels
from assistant.microphone.wake import WakeGate
from assistant.session.ring import Frame
from assistant.session.session import Input
from assistant.session.turn import AudioCommitted, External

_LONGEST_NS = 2_000_000_000  # between two devices that becomes silence: every turn ends in it


class MicrophoneSource:
    """What the user says, and what they ask for by keys, in the order in which it comes."""

    def __init__(
        self,
        streams: Streams,
        *,
        open_canceller: Callable[[], EchoCanceller] = open_canceller,
        gate: WakeGate | None = None,
        on_awake: Callable[[], None] = lambda: None,
        tell: Callable[[str], None] = lambda _: None,
    ) -> None:
        """`on_awake` is called when a microphone gives the first sample that is not zero, and after zeros."""
        self.muted = False
        self.end = 0  # sample behind the last frame
        self._streams, self._open_canceller, self._gate = streams, open_canceller, gate
        self._on_awake, self._tell = on_awake, tell
        self._asked: deque[External] = deque()
        self._capture: Capture | None = None
        self._end_ns: int | None = None  # when the last sample was recorded
        self._commit: AudioCommitted | None = None
        self._closed = False
        self._reasons: set[str] = set()  # to be deaf, that were told

    @property
    def duplex(self) -> Duplex:
        """What cancelling was measured to do with the present devices."""
        return self._capture.canceller.duplex if self._capture else UNKNOWN

    @property
    def levels(self) -> Levels:
        """The present ones."""
        return self._capture.canceller.levels if self._capture else Levels()

    def ask(self, event: External) -> None:
        """What the user wants, behind the audio that was recorded before."""
        self._asked.append(event)
        self._streams.woken.set()

    def commit(self, start_sample: int, end_sample: int) -> None:
        """What is said between these samples is a turn, once it has all been recorded."""
        self._commit = AudioCommitted(start_sample, end_sample)

    def close(self) -> None:
        """The conversation is over."""
        self._closed = True
        self._streams.woken.set()

    async def __aiter__(self) -> AsyncIterator[Input]:
        if self._streams.recording is not None:
            self._streams.recording.skip()
        while not self._closed:
            await self._streams.woken.wait()
            self._streams.woken.clear()
            for frame in self._frames():
                yield frame
            if self._commit is not None and self.end >= self._commit.end_sample:
                committed, self._commit = self._commit, None
                yield committed
            while self._asked:
                yield self._asked.popleft()

    def _frames(self) -> Iterator[Frame]:
        recording, playing = self._streams.recording, self._streams.playing
        if recording is None or playing is None:
            return
        if self._capture is None or self._capture.recording is not recording:
            self._capture = Capture(recording, playing, self._open_canceller())
        for cleaned, end_ns in self._capture.blocks():
            frame = self._frame(self._capture, cleaned, end_ns)
            if not self._capture.begun:
                yield from self._between(end_ns - len(frame.audio) * 1_000_000_000 // RATE)
            self._capture.begun, self._end_ns = True, end_ns
            for given in self._gate.push(frame) if self._gate else (frame,):
                self.end += len(given.audio)
                yield given
        self._note_zeros(self._capture)
        self._note_duplex(self._capture.canceller.duplex)

    def _between(self, start_ns: int) -> Iterator[Frame]:
        """Silence from the last sample of one device to the first of the next, which is at `start_ns`."""
        if self._end_ns is None:
            return
        missing = min(start_ns - self._end_ns, _LONGEST_NS) * RATE // 1_000_000_000
        if missing > 0:
            self.end += missing
            yield Frame(np.zeros(missing, np.float32), start_ns)

    def _frame(self, capture: Capture, cleaned: Cleaned, end_ns: int) -> Frame:
        silence = np.zeros_like(cleaned.listen)
        if self.muted:
            return Frame(silence, end_ns)
        start_ns = end_ns - len(silence) * 1_000_000_000 // RATE
        return Frame(cleaned.listen, end_ns, silence if capture.is_deaf(start_ns, end_ns) else cleaned.detect)

    def _note_duplex(self, duplex: Duplex) -> None:
        if duplex.deaf_while_speaking and duplex.reason not in self._reasons:
            self._reasons.add(duplex.reason)
            self._tell(f"not listening while the assistant speaks: {duplex.reason}")
        elif not duplex.deaf_while_speaking and MONITOR.reason in self._reasons:
            self._reasons.discard(MONITOR.reason)
            self._tell("the microphone is back: listening while the assistant speaks")

    def _note_zeros(self, capture: Capture) -> None:
        for noticed in capture.noticed():
            if noticed == "zeros":
                self._tell(str(OnlyZeros("the microphone gives nothing but zeros")))
                continue
            if noticed == "sound again":
                self._tell("the microphone is heard again")
            self._on_awake()
