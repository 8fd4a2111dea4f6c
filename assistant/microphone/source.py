"""The microphone as a session's source: frames of 20 ms at 16 kHz, cleaned of what the loudspeaker played."""

from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator

import numpy as np

from asr.audio import RATE
from assistant.audio import FRAME_MS, Resampler
from assistant.microphone.canceller import open_canceller
from assistant.microphone.duplex import UNKNOWN, Duplex
from assistant.microphone.echo import Cleaned, EchoCanceller
from assistant.microphone.errors import OnlyZeros
from assistant.microphone.levels import Levels
from assistant.microphone.playing import Playing
from assistant.microphone.port import Audio
from assistant.microphone.recording import Recording
from assistant.microphone.sent import Sent
from assistant.microphone.streams import Streams
from assistant.microphone.wake import WakeGate
from assistant.session.ring import Frame
from assistant.session.session import Input
from assistant.session.turn import AudioCommitted, External

ECHO_MS = 300
"""After the last sample of a reply: the room, and the times of the devices, are silent by then."""
_FRAME = RATE * FRAME_MS // 1000


class _Front:
    """One opening of the streams, up to the canceller."""

    def __init__(self, recording: Recording, playing: Playing, canceller: EchoCanceller) -> None:
        self.recording, self.canceller = recording, canceller
        self._playing, self._sent = playing, Sent(playing)
        self._resampler = Resampler(recording.rate)
        self._waiting = np.zeros(0, np.float32)
        self._first: int | None = None  # the recording's sample that is number 0 here
        self._taken = self._given = 0  # samples at 16 kHz, in and out of the canceller
        self.zeros = 0  # that the recording begins with
        self.awake = False  # it has given something else

    def blocks(self) -> Iterator[tuple[Cleaned, int]]:
        """What was recorded since the last call, and when the last sample of each block was."""
        for start, audio in self.recording.read():
            if self._first is None:
                self._first = start
            self._wake(audio)
            self._waiting = np.concatenate([self._waiting, self._resampler.push(audio)])
        while len(self._waiting) >= _FRAME:
            block, self._waiting = self._waiting[:_FRAME], self._waiting[_FRAME:]
            drift_ppm = self.canceller.drift_ppm
            reference = self._sent.read(self._recorded_ns(self._taken), _FRAME, drift_ppm)
            cleaned = self.canceller.push(block, reference)
            self._taken += _FRAME
            self._given += len(cleaned.listen)
            if len(cleaned.listen):
                yield cleaned, self._recorded_ns(self._given)
        missing = (_FRAME - len(self._waiting)) * self.recording.rate // RATE
        self.recording.wait_for(
            missing
        )  # a frame later than it can be is a wait, and one block sooner is work

    def is_deaf(self, start_ns: int, end_ns: int) -> bool:
        """Whether what was recorded between these times is to be ignored: it may be the loudspeaker."""
        return self.canceller.duplex.deaf_while_speaking and self._playing.sounds(
            start_ns - ECHO_MS * 1_000_000, end_ns
        )

    def _recorded_ns(self, sample: int) -> int:
        assert self._first is not None, "something was recorded"
        return self.recording.timeline.at_ns(self._first + sample * self.recording.rate / RATE)

    def _wake(self, audio: Audio) -> None:
        self.awake = self.awake or bool(np.any(audio))
        self.zeros += 0 if self.awake else len(audio)


class MicrophoneSource:
    """What the user says, and what they ask for by keys, in the order in which it comes."""

    def __init__(
        self,
        streams: Streams,
        *,
        open_canceller: Callable[[], EchoCanceller] = open_canceller,
        gate: WakeGate | None = None,
        on_levels: Callable[[Levels], None] = lambda _: None,
        on_awake: Callable[[], None] = lambda: None,
        tell: Callable[[str], None] = lambda _: None,
    ) -> None:
        """`on_awake` is called when a microphone gives the first sample that is not zero."""
        self.muted = False
        self.end = 0  # sample behind the last frame
        self._streams, self._open_canceller, self._gate = streams, open_canceller, gate
        self._on_levels, self._on_awake, self._tell = on_levels, on_awake, tell
        self._asked: deque[External] = deque()
        self._front: _Front | None = None
        self._commit: AudioCommitted | None = None
        self._closed = self._told = False
        self._reasons: set[str] = set()  # to be deaf, that were told

    @property
    def duplex(self) -> Duplex:
        """What cancelling was measured to do with the present devices."""
        return self._front.canceller.duplex if self._front else UNKNOWN

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
        if self._front is None or self._front.recording is not recording:
            self._front, self._told = _Front(recording, playing, self._open_canceller()), False
        awake = self._front.awake
        for cleaned, end_ns in self._front.blocks():
            self._on_levels(self._front.canceller.levels)
            frame = self._frame(self._front, cleaned, end_ns)
            for given in self._gate.push(frame) if self._gate else (frame,):
                self.end += len(given.audio)
                yield given
        self._note_zeros(self._front, awake)
        self._note_duplex(self._front.canceller.duplex)

    def _frame(self, front: _Front, cleaned: Cleaned, end_ns: int) -> Frame:
        silence = np.zeros_like(cleaned.listen)
        if self.muted:
            return Frame(silence, end_ns)
        start_ns = end_ns - len(silence) * 1_000_000_000 // RATE
        return Frame(cleaned.listen, end_ns, silence if front.is_deaf(start_ns, end_ns) else cleaned.detect)

    def _note_duplex(self, duplex: Duplex) -> None:
        if duplex.deaf_while_speaking and duplex.reason not in self._reasons:
            self._reasons.add(duplex.reason)
            self._tell(f"not listening while the assistant speaks: {duplex.reason}")

    def _note_zeros(self, front: _Front, was_awake: bool) -> None:
        if front.awake and not was_awake:
            self._on_awake()
        if not front.awake and front.zeros >= front.recording.rate and not self._told:
            self._told = True
            self._tell(str(OnlyZeros("the microphone gives nothing but zeros")))
