"""The audio sent over one connection, and when each millisecond of it was recorded."""

import base64
from bisect import bisect_left
from collections import deque

from asr.audio import RATE
from assistant.client.state import Event
from assistant.microphone.devices.port import Audio
from assistant.server.formats import PCM, Outgoing

_KEPT = 6000  # pieces of 20 ms: no turn lasts longer than two minutes


class Uplink:
    """Takes audio at 16 kHz; servers count it in milliseconds since the connection's beginning."""

    def __init__(self) -> None:
        self._stream = Outgoing(PCM, RATE)
        self._samples = 0
        self._ends: deque[tuple[float, int]] = deque(maxlen=_KEPT)  # ms sent, and the last one's time

    @property
    def sent_ms(self) -> int:
        """How much there was."""
        return self._samples * 1000 // RATE

    def push(self, audio: Audio, end_ns: int) -> tuple[Event, ...]:
        """The events that bring `audio` [n], whose last sample was recorded at `end_ns`."""
        if not len(audio):
            return ()
        self._samples += len(audio)
        self._ends.append((self._samples * 1000 / RATE, end_ns))
        return _append(self._stream.push(audio))

    def flush(self) -> tuple[Event, ...]:
        """The events that bring what the resampler holds back."""
        return _append(self._stream.flush())

    def recorded_ns(self, ms: int) -> int | None:
        """When the audio at `ms` was recorded; None if that is not known, or not any more."""
        at = bisect_left(self._ends, (ms, 0))
        if at == len(self._ends) or (at == 0 and len(self._ends) == _KEPT):
            return None
        end_ms, end_ns = self._ends[at]
        return end_ns - round((end_ms - ms) * 1e6)


def _append(data: bytes) -> tuple[Event, ...]:
    audio = base64.b64encode(data).decode()
    return ({"type": "input_audio_buffer.append", "audio": audio},) if data else ()
