"""16-bit samples: rounded, clipped, little-endian."""

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assistant.server.pcm import decode_pcm16, encode_pcm16

SAMPLES = {
    0.4: 0,
    0.6: 1,
    -0.6: -1,
    1000.7: 1001,
    32766.6: 32767,
    32767.9: 32767,
    32768: 32767,
    -32768: -32768,
}
BEYOND = {1e9: 32767, -32769: -32768, -1e9: -32768, np.inf: 32767, -np.inf: -32768, np.nan: 0}


def test_audio_becomes_the_nearest_samples_and_never_wraps_around() -> None:
    expected = SAMPLES | BEYOND
    data = encode_pcm16(np.array(list(expected), np.float32) / np.float32(32768))
    assert struct.unpack(f"<{len(expected)}h", data) == tuple(expected.values())


@given(st.binary(max_size=200))
def test_bytes_are_samples_and_come_back(data: bytes) -> None:
    if len(data) % 2:
        with pytest.raises(ValueError, match=f"{len(data)} bytes"):
            decode_pcm16(data)
    else:
        audio = decode_pcm16(data)
        assert audio.dtype == np.float32
        assert audio.tolist() == [sample / 32768 for (sample,) in struct.iter_unpack("<h", data)]
        assert encode_pcm16(audio) == data
