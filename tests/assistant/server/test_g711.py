"""G.711 against the tables of the recommendation, and against Python's audioop where there is one."""

import warnings
from collections.abc import Callable
from types import ModuleType

import numpy as np
import pytest
from numpy.typing import NDArray

from assistant.server.g711 import decode_alaw, decode_mulaw, encode_alaw, encode_mulaw

Encode = Callable[[NDArray[np.float32]], bytes]
Decode = Callable[[bytes], NDArray[np.float32]]

# Tables 2a and 1a of G.711 (11/88): decoder output and character signal at the ends of the segments, with the
# even bits of A-law inverted as its note asks. Outputs are of 14 bits and 13 bits.
MULAW = {
    8031: 0x80,
    4191: 0x8F,
    2079: 0x9F,
    1023: 0xAF,
    495: 0xBF,
    231: 0xCF,
    99: 0xDF,
    33: 0xEF,
    2: 0xFE,
    0: 0xFF,
}
ALAW = {4032: 0xAA, 2112: 0xA5, 1056: 0xB5, 528: 0x85, 264: 0x95, 132: 0xE5, 66: 0xF5, 1: 0xD5}
ALL = np.arange(-32768, 32768, dtype=np.int16)

each_law = pytest.mark.parametrize(
    ("encode", "decode", "table", "full_scale"),
    [(encode_mulaw, decode_mulaw, MULAW, 8192), (encode_alaw, decode_alaw, ALAW, 4096)],
    ids=["mulaw", "alaw"],
)


def floats(samples: NDArray[np.int16]) -> NDArray[np.float32]:
    return samples.astype(np.float32) / 32768


@pytest.fixture(scope="module")
def audioop() -> ModuleType:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return pytest.importorskip("audioop", reason="Python 3.13 has none")


@each_law
def test_codes_are_those_of_the_recommendation(
    encode: Encode, decode: Decode, table: dict[int, int], full_scale: int
) -> None:
    values = np.array(list(table), np.float32) / full_scale
    codes = bytes(table.values())
    assert encode(values) == codes
    np.testing.assert_array_equal(decode(codes), values)
    negative = bytes(code ^ 0x80 for code in codes)
    np.testing.assert_array_equal(decode(negative), -values)
    assert encode(-values[values > 0]) == negative[: np.count_nonzero(values)]


@pytest.mark.parametrize(("law", "encode"), [("lin2ulaw", encode_mulaw), ("lin2alaw", encode_alaw)])
def test_every_sample_has_the_code_of_audioop(law: str, encode: Encode, audioop: ModuleType) -> None:
    assert encode(floats(ALL)) == getattr(audioop, law)(ALL.tobytes(), 2)


@pytest.mark.parametrize(("law", "decode"), [("ulaw2lin", decode_mulaw), ("alaw2lin", decode_alaw)])
def test_every_code_is_the_sample_of_audioop(law: str, decode: Decode, audioop: ModuleType) -> None:
    codes = bytes(range(256))
    expected = np.frombuffer(getattr(audioop, law)(codes, 2), np.int16)
    np.testing.assert_array_equal(decode(codes), floats(expected))
    assert decode(codes).dtype == np.float32


@each_law
def test_decoding_and_encoding_again_changes_nothing(
    encode: Encode, decode: Decode, table: object, full_scale: int
) -> None:
    codes = bytes(range(256))
    again = encode(decode(codes))
    if encode is encode_mulaw:  # it has two zeros
        codes = codes.replace(b"\x7f", b"\xff")
    assert again == codes


@each_law
def test_a_louder_sample_is_never_decoded_softer(
    encode: Encode, decode: Decode, table: object, full_scale: int
) -> None:
    heard = decode(encode(floats(ALL)))
    assert (np.diff(heard) >= 0).all()


@each_law
@pytest.mark.parametrize("level_dbm0", [0, -10, -20, -30])
def test_distortion_is_within_what_g712_allows(
    encode: Encode, decode: Decode, table: object, full_scale: int, level_dbm0: float
) -> None:
    """A tone of 0 dBm0 is 3.1 dB below full scale; from there to -30 dBm0 the mask is 33 dB."""
    amplitude = 10 ** ((level_dbm0 - 3.1) / 20)
    tone = (amplitude * np.sin(2 * np.pi * 1020 * np.arange(8000) / 8000)).astype(np.float32)
    noise = decode(encode(tone)) - tone
    assert 10 * np.log10(np.mean(tone**2) / np.mean(noise**2)) > 33


@each_law
def test_what_is_no_sample_is_full_scale_or_silence(
    encode: Encode, decode: Decode, table: dict[int, int], full_scale: int
) -> None:
    loudest, silence = max(table), min(table)
    beyond = np.array([1, 1.5, 3e38, np.inf], np.float32)
    assert encode(beyond) == bytes([table[loudest]] * 4)
    assert encode(-beyond) == bytes([table[loudest] ^ 0x80] * 4)
    assert encode(np.array([np.nan, 0], np.float32)) == bytes([table[silence]] * 2)
    assert encode(np.zeros(0, np.float32)) == b"" and len(decode(b"")) == 0
