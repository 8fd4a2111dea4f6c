"""ITU-T G.711: the mu-law and A-law codes of telephone audio, one byte a sample.

The 128 codes of each sign are 8 segments of 16 steps, and a segment's steps are twice as wide as those of the
segment before. (A-law's first two are equal.) Samples are first rounded down to 14 bits (mu-law) or 13 bits
(A-law), as in Sun's g711.c, from which much telephony software descends.
"""

import numpy as np
from numpy.typing import NDArray

from assistant.server.pcm import from_int16, to_int16

_SEGMENT, _STEP = np.divmod(np.arange(128), 16)
_BIAS = 33  # of mu-law, which makes its first segment like the others

# The smallest magnitude with each code, and the one that it stands for; in 14 bits, and for A-law in 13.
_MULAW_FROM = ((16 + _STEP) << (_SEGMENT + 1)) - _BIAS
_MULAW_VALUE = ((2 * _STEP + 33) << _SEGMENT) - _BIAS
_ALAW_FROM = np.where(_SEGMENT == 0, 2 * _STEP, (16 + _STEP) << _SEGMENT)
_ALAW_VALUE = np.where(_SEGMENT == 0, 2 * _STEP + 1, (2 * _STEP + 33) << np.maximum(_SEGMENT - 1, 0))

# On the wire, silence has many ones: mu-law flips all bits of the magnitude, A-law every other.
_MULAW_FLIPPED = np.arange(128) ^ 0x7F
_ALAW_FLIPPED = np.arange(128) ^ 0x55
_SIGN = 0x80  # set for positive samples


def encode_mulaw(audio: NDArray[np.float32]) -> bytes:
    """Audio [n] in [-1, 1) as mu-law, n bytes; what is beyond is clipped, and NaN is silence."""
    samples = to_int16(audio) >> 2
    magnitude = np.abs(samples)
    codes = _MULAW_FLIPPED[np.searchsorted(_MULAW_FROM, magnitude, side="right") - 1]
    return _with_sign(codes, samples)


def encode_alaw(audio: NDArray[np.float32]) -> bytes:
    """Audio [n] in [-1, 1) as A-law, n bytes; what is beyond is clipped, and NaN is silence."""
    samples = to_int16(audio) >> 3
    magnitude = np.where(samples < 0, ~samples, samples)  # there are two codes next to zero, and none for it
    codes = _ALAW_FLIPPED[np.searchsorted(_ALAW_FROM, magnitude, side="right") - 1]
    return _with_sign(codes, samples)


def decode_mulaw(data: bytes) -> NDArray[np.float32]:
    """The audio [n] that n bytes of mu-law stand for."""
    return _MULAW_TABLE[np.frombuffer(data, np.uint8)]


def decode_alaw(data: bytes) -> NDArray[np.float32]:
    """The audio [n] that n bytes of A-law stand for."""
    return _ALAW_TABLE[np.frombuffer(data, np.uint8)]


def _with_sign(codes: NDArray[np.int64], samples: NDArray[np.int16]) -> bytes:
    return np.where(samples < 0, codes, codes | _SIGN).astype(np.uint8).tobytes()


def _table(flipped: NDArray[np.int64], values: NDArray[np.int64]) -> NDArray[np.float32]:
    """The audio [256] of every byte, from the 16-bit magnitudes [128] of the codes."""
    samples = np.concatenate([-values[flipped], values[flipped]])  # flipping is its own inverse
    return from_int16(samples.astype(np.int16))


_MULAW_TABLE = _table(_MULAW_FLIPPED, _MULAW_VALUE << 2)
_ALAW_TABLE = _table(_ALAW_FLIPPED, _ALAW_VALUE << 3)
