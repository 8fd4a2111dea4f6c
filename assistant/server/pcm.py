"""Float audio to 16-bit samples and back."""

import numpy as np
from numpy.typing import NDArray


def bounded(audio: NDArray[np.float32]) -> NDArray[np.float32]:
    """Audio [n] clipped to [-1, 1]; NaN is silence."""
    return np.clip(np.nan_to_num(audio, nan=0.0, posinf=1.0, neginf=-1.0), -1.0, 1.0)


def to_int16(audio: NDArray[np.float32]) -> NDArray[np.int16]:
    """The nearest 16-bit samples [n]; from 32767/32768 on, full scale."""
    scaled: NDArray[np.float32] = np.rint(bounded(audio) * np.float32(32768))
    return scaled.clip(-32768, 32767).astype(np.int16)


def from_int16(samples: NDArray[np.int16]) -> NDArray[np.float32]:
    """16-bit samples [n] as floats in [-1, 1)."""
    return samples.astype(np.float32) / np.float32(32768)


def encode_pcm16(audio: NDArray[np.float32]) -> bytes:
    """Audio [n] as 16-bit little-endian samples, 2n bytes."""
    return to_int16(audio).astype("<i2").tobytes()


def decode_pcm16(data: bytes) -> NDArray[np.float32]:
    """The inverse of `encode_pcm16`; raises ValueError for half a sample."""
    if len(data) % 2:
        raise ValueError(f"{len(data)} bytes are no whole number of 16-bit samples")
    return from_int16(np.frombuffer(data, "<i2"))
