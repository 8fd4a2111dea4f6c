"""One opening of the devices: from what they give to what is heard, resampled and without echo."""

from collections import deque
from collections.abc import Iterator

import numpy as np

from asr.audio import RATE
from assistant.audio import FRAME_MS, Resampler
from assistant.microphone.devices.playing import Playing
from assistant.microphone.devices.port import Audio
from assistant.microphone.devices.recording import Recording
from assistant.microphone.echo.canceller import Cleaned, EchoCanceller
from assistant.microphone.sent import Sent
from assistant.microphone.zeros import Noticed, Zeros

ECHO_MS = 300
"""After the last sample of a reply: the room, and the times of the devices, are silent by then."""
_FRAME = RATE * FRAME_MS // 1000


class Capture:
    """One opening of the streams, up to the canceller."""

    def __init__(self, recording: Recording, playing: Playing, canceller: EchoCanceller) -> None:
        self.recording, self.canceller = recording, canceller
        self._playing, self._sent = playing, Sent(playing, recording)
        self._resampler = Resampler(recording.rate)
        self._waiting = np.zeros(0, np.float32)
        self._first: int | None = None  # the recording's sample that is number 0 here
        self._taken = self._given = 0  # samples at 16 kHz, in and out of the canceller
        self._zeros = Zeros(recording.rate)
        self._noticed: deque[Noticed] = deque()
        self.begun = False  # some of it was heard

    def blocks(self) -> Iterator[tuple[Cleaned, int]]:
        """What was recorded since the last call, and when the last sample of each block was."""
        fresh: list[Audio] = []
        for start, audio in self.recording.read():
            if self._first is None:
                self._first = start
            if noticed := self._zeros.push(audio):
                self._noticed.append(noticed)
            fresh.append(audio)
        if fresh:
            self._waiting = np.concatenate([self._waiting, self._resampler.push(np.concatenate(fresh))])
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
        self.recording.wait_for(missing)  # a frame later is a wait, and one block sooner is work

    def is_deaf(self, start_ns: int, end_ns: int) -> bool:
        """Whether what was recorded between these times is to be ignored: it may be the loudspeaker."""
        return self.canceller.duplex.deaf_while_speaking and self._playing.sounds(
            start_ns - ECHO_MS * 1_000_000, end_ns
        )

    def _recorded_ns(self, sample: int) -> int:
        assert self._first is not None, "something was recorded"
        return self.recording.timeline.at_ns(self._first + sample * self.recording.rate / RATE)

    def noticed(self) -> Iterator[Noticed]:
        """Of zeros and of sound, since the last call."""
        while self._noticed:
            yield self._noticed.popleft()
