"""Raw PCM as a client states it, to mono audio at the recognizer's rate."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from assistant.audio import Resampler
from assistant.server.wire import WireError

_RATES = range(8_000, 192_001)
_CHANNELS = range(1, 9)
_WIDTHS = range(1, 5)


@dataclass(frozen=True)
class PcmFormat:
    """Little-endian samples of `width` bytes, signed but for those of one byte, as in WAV."""

    rate: int
    width: int
    channels: int

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> "PcmFormat":
        """What an audio event states; raises WireError."""
        allowed = {"rate": _RATES, "width": _WIDTHS, "channels": _CHANNELS}
        for name, values in allowed.items():
            if type(data.get(name)) is not int or data[name] not in values:
                message = f"'{name}' must be {values[0]} to {values[-1]}"
                raise WireError("invalid_value", message, name)
        return cls(data["rate"], data["width"], data["channels"])

    def decode(self, payload: bytes) -> NDArray[np.float32]:
        """The mean of all channels, [n] in [-1, 1); raises WireError for half a sample."""
        if len(payload) % (self.width * self.channels):
            raise WireError(
                "invalid_value", f"{len(payload)} bytes are no whole number of samples", "payload"
            )
        samples: NDArray[np.float32]
        if self.width == 1:
            samples = np.frombuffer(payload, np.uint8).astype(np.float32) / np.float32(128) - np.float32(1)
        else:
            raw = np.frombuffer(payload, np.uint8).reshape(-1, self.width)
            wide = np.zeros((len(raw), 4), np.uint8)
            wide[:, 4 - self.width :] = raw
            samples = wide.view("<i4")[:, 0].astype(np.float32) / np.float32(2**31)
        mixed: NDArray[np.float32] = samples.reshape(-1, self.channels).mean(axis=1, dtype=np.float32)
        return mixed


class Decoder:
    """A stream of one format to mono audio at 16 kHz."""

    def __init__(self, stated: PcmFormat) -> None:
        self._format, self._resampler = stated, Resampler(stated.rate)

    def push(self, stated: PcmFormat, payload: bytes) -> NDArray[np.float32]:
        """What a chunk completes, [n]; raises WireError if its format is not the stream's."""
        if stated != self._format:
            raise WireError("invalid_value", f"a chunk of {stated} in a stream of {self._format}")
        return self._resampler.push(self._format.decode(payload))

    def flush(self) -> NDArray[np.float32]:
        """The end of the stream: what was held back."""
        return self._resampler.flush()
