"""Audio at any rate to frames at 16 kHz."""

import itertools
from collections.abc import Iterator

import numpy as np
import soxr
from numpy.typing import NDArray

from asr.audio import RATE

FRAME_MS = 20


class Resampler:
    """Changes the sample rate of a stream of mono float32 audio; equal rates pass it through.

    Uses soxr's variable-rate engine, a plain filter: from 24 to 16 kHz its output is 10 ms behind the input,
    that of the fixed-rate engine, a block transform, 36 ms (from 44.1 kHz: 14 and 40 ms), and the user waits.
    """

    def __init__(self, source_rate: int, target_rate: int = RATE) -> None:
        self._stream = (
            None
            if source_rate == target_rate
            else soxr.ResampleStream(source_rate, target_rate, 1, dtype="float32", vr=True)
        )

    def push(self, audio: NDArray[np.float32]) -> NDArray[np.float32]:
        """Take the next samples [n]; return what they complete, [m] with m >= 0, at the target rate."""
        return audio if self._stream is None else self._stream.resample_chunk(audio)

    def flush(self) -> NDArray[np.float32]:
        """End the stream: return the samples still held back. Push nothing after it."""
        nothing = np.zeros(0, np.float32)
        return nothing if self._stream is None else self._stream.resample_chunk(nothing, last=True)


def to_asr_rate(audio: NDArray[np.float32], rate: int) -> NDArray[np.float32]:
    """All of `audio` [n] at `rate` Hz, at 16 kHz."""
    resampler = Resampler(rate)
    return np.concatenate([resampler.push(audio), resampler.flush()])


def frames(
    audio: NDArray[np.float32], sample_rate: int, frame_ms: int = FRAME_MS
) -> Iterator[NDArray[np.float32]]:
    """Cut audio [n] into frames of `frame_ms`; the last may be shorter.

    Where a frame is no whole number of samples (11025 Hz), lengths alternate: frame k starts at k * frame_ms.
    """
    if sample_rate * frame_ms < 1000:
        raise ValueError(f"frames of {frame_ms} ms at {sample_rate} Hz hold no sample")
    for index in itertools.count():
        start, end = (edge * sample_rate * frame_ms // 1000 for edge in (index, index + 1))
        if start >= len(audio):
            return
        yield audio[start:end]
