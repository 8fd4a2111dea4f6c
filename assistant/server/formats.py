"""The audio formats of the wire, as streams: bytes in at 16 kHz for the recognizer, speech out as bytes."""

import base64
import binascii
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from assistant.audio import Resampler
from assistant.server.g711 import decode_alaw, decode_mulaw, encode_alaw, encode_mulaw
from assistant.server.pcm import bounded, decode_pcm16, encode_pcm16
from assistant.server.wire import WireError


@dataclass(frozen=True)
class AudioFormat:
    """Mono audio as the protocol names it, at `rate` Hz."""

    name: str
    rate: int
    sample_bytes: int
    encode: Callable[[NDArray[np.float32]], bytes]
    decode: Callable[[bytes], NDArray[np.float32]]

    def samples(self, size: int) -> int:
        """How many whole samples `size` bytes hold."""
        return size // self.sample_bytes

    def ms(self, size: int) -> int:
        """The duration of `size` bytes in whole milliseconds, rounded down."""
        return self.samples(size) * 1000 // self.rate

    def size(self, ms: int) -> int:
        """The bytes of `ms` milliseconds."""
        return ms * self.rate // 1000 * self.sample_bytes


PCM = AudioFormat("audio/pcm", 24000, 2, encode_pcm16, decode_pcm16)
PCMU = AudioFormat("audio/pcmu", 8000, 1, encode_mulaw, decode_mulaw)
PCMA = AudioFormat("audio/pcma", 8000, 1, encode_alaw, decode_alaw)
FORMATS = {audio_format.name: audio_format for audio_format in (PCM, PCMU, PCMA)}


class Incoming:
    """A stream of a client's audio, at 16 kHz: `audio/pcm` 10 ms behind, the 8 kHz formats 30 ms."""

    def __init__(self, audio_format: AudioFormat) -> None:
        self.audio_format = audio_format
        self._resampler = Resampler(audio_format.rate)

    def push(self, data: bytes) -> NDArray[np.float32]:
        """The audio [m] that the next bytes complete; raises ValueError for half a sample."""
        return self._resampler.push(self.audio_format.decode(data))

    def flush(self) -> NDArray[np.float32]:
        """The audio [m] still held back; what is pushed next begins a new stream."""
        held, self._resampler = self._resampler.flush(), Resampler(self.audio_format.rate)
        return held


class Outgoing:
    """A stream of speech at `rate` Hz, as the bytes of a format, in parts of whole samples.

    From 24 kHz, `audio/pcm` comes at once and the 8 kHz formats 25 ms behind.
    """

    def __init__(self, audio_format: AudioFormat, rate: int) -> None:
        self.audio_format, self._rate = audio_format, rate
        self._resampler = Resampler(rate, audio_format.rate)

    def push(self, audio: NDArray[np.float32]) -> bytes:
        """The bytes that the next samples [n] complete, clipped to [-1, 1]; NaN is silence."""
        # Before the filter, which would never forget a NaN.
        return self.audio_format.encode(self._resampler.push(bounded(audio)))

    def flush(self) -> bytes:
        """What is still held back; what is pushed next begins a new stream."""
        held, self._resampler = self._resampler.flush(), Resampler(self._rate, self.audio_format.rate)
        return self.audio_format.encode(held)


def decode_base64(text: str, audio_format: AudioFormat, event_id: str | None = None) -> bytes:
    """The audio of an event's field `audio`: at least one sample, and whole ones.

    Raises WireError `invalid_value` with the param `audio` and the client's `event_id`.
    """
    try:
        data = base64.b64decode(text, validate=True)
        if len(text) != (len(data) + 2) // 3 * 4:  # more padding than there can be, which Python overlooks
            raise binascii.Error
    except ValueError:  # binascii.Error is one, and text beyond ASCII another
        raise WireError("invalid_value", "'audio' is not base64", "audio", event_id) from None
    if not data:
        raise WireError("invalid_value", "'audio' is empty", "audio", event_id)
    if len(data) % audio_format.sample_bytes:
        message = f"'audio' has {len(data)} bytes, no whole number of {audio_format.name} samples"
        raise WireError("invalid_value", message, "audio", event_id)
    return data
