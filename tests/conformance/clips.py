"""What the clients say: recordings of traces/ as raw samples, since a client's environment reads no FLAC."""

from pathlib import Path

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

TRACES = Path(__file__).parents[2] / "traces"
QUESTION = "000.flac"  # "What is the capital of France?"
RATE = 24000


def write_clips(folder: Path) -> None:
    """Write question.pcm, 16-bit at 24 kHz, and question.ulaw, G.711 mu-law at 8 kHz."""
    audio, rate = soundfile.read(TRACES / QUESTION, dtype="float32")
    (folder / "question.pcm").write_bytes(_int16(soxr.resample(audio, rate, RATE)).tobytes())
    (folder / "question.ulaw").write_bytes(mulaw(_int16(soxr.resample(audio, rate, 8000))))


def _int16(audio: NDArray[np.float32]) -> NDArray[np.int16]:
    return np.round(np.clip(audio, -1, 1) * 32767).astype(np.int16)


def mulaw(samples: NDArray[np.int16]) -> bytes:
    """Compress 16-bit samples as G.711 mu-law does, by the formula of its segments."""
    sign = np.where(samples < 0, 0x80, 0)
    magnitude = np.minimum(np.abs(samples.astype(np.int32)), 32635) + 132
    exponent = np.floor(np.log2(magnitude)).astype(np.int32) - 7
    mantissa = (magnitude >> (exponent + 3)) & 0x0F
    return (~(sign | (exponent << 4) | mantissa) & 0xFF).astype(np.uint8).tobytes()
