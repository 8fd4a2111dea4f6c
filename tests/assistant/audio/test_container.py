"""Recordings as recorders and programs leave them: each reads as the same samples that soundfile wrote."""

import io
import os
import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from assistant.audio import AudioError, find_clips, read_audio, read_clip
from assistant.audio.container import Spliced

RATE = 16000
PCM = np.random.default_rng(3).integers(-9000, 9000, 12000, dtype=np.int16)
SAMPLES = (PCM / 32768).astype(np.float32)
ID3 = b"ID3\x04\0\0" + bytes([0, 0, 1, 2]) + bytes(130)  # 1 * 128 + 2 bytes


def encoded(
    container: str = "WAV", subtype: str = "PCM_16", audio: NDArray[np.int16] | NDArray[np.float32] = PCM
) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, audio, RATE, format=container, subtype=subtype)
    return file.getvalue()


def wav(*chunks: bytes, order: str = "<", magic: bytes = b"RIFF") -> bytes:
    """By hand, after the specification: chunks behind a header that says how long they are."""
    body = b"WAVE" + b"".join(chunks)
    return magic + struct.pack(f"{order}I", len(body)) + body


def chunk(name: bytes, content: bytes, length: int | None = None, order: str = "<") -> bytes:
    return name + struct.pack(f"{order}I", len(content) if length is None else length) + content


def form(order: str = "<") -> bytes:
    """16 bits, one channel, 16 kHz."""
    return chunk(b"fmt ", struct.pack(f"{order}HHIIHH", 1, 1, RATE, 2 * RATE, 2, 16), order=order)


DATA = PCM.astype("<i2").tobytes()


def samples(tmp_path: Path, content: bytes, name: str = "a.wav") -> NDArray[np.float32]:
    (tmp_path / name).write_bytes(content)
    audio, rate = read_audio(tmp_path / name)
    assert rate == RATE
    return audio


def refusal(tmp_path: Path, content: bytes) -> str:
    with pytest.raises(AudioError) as caught:
        samples(tmp_path, content)
    assert "\n" not in str(caught.value)
    return caught.value.reason


@pytest.mark.parametrize(
    "length",
    [
        0,
        0x7FFFFFFF,
        0x7FFFFFDB,
        0x7FFFF000,
        1 << 31,
        0xFFFFFFFF,
        0xFFFFFFDB,
        len(DATA) + 44,
        len(DATA) + 8,
    ],
)
@pytest.mark.parametrize("riff", [0, 0xFFFFFFFF, 36])
def test_a_length_that_the_recorder_did_not_know(length: int, riff: int, tmp_path: Path) -> None:
    content = bytearray(wav(form(), chunk(b"data", DATA, length)))
    content[4:8] = struct.pack("<I", riff)
    np.testing.assert_array_equal(samples(tmp_path, bytes(content)), SAMPLES)


@pytest.mark.parametrize("channels", [1, 2])
def test_a_flac_whose_length_was_never_filled_in(channels: int, tmp_path: Path) -> None:
    content = bytearray(encoded("FLAC", audio=np.stack([PCM] * channels, axis=1)))
    assert content[4] & 0x7F == 0, "the stream's own block comes first"
    at = 8 + 13  # 36 bits behind rates, channels and sizes (RFC 9639, 8.2)
    assert int.from_bytes(content[at : at + 5], "big") & 0xFFFFFFFFF == len(PCM)
    content[at] &= 0xF0
    content[at + 1 : at + 5] = bytes(4)
    np.testing.assert_array_equal(samples(tmp_path, bytes(content)), SAMPLES)
    (tmp_path / "long.wav").write_bytes(content)
    with pytest.raises(AudioError, match=r"is longer than the limit of 0\.5 s"):
        read_audio(tmp_path / "long.wav", max_seconds=0.5)


def test_no_samples_and_chunks_behind_them_are_no_unknown_length(tmp_path: Path) -> None:
    content = wav(form(), chunk(b"data", b""), chunk(b"LIST", b"INFO"))
    assert refusal(tmp_path, content) == "holds no audio (0 samples)"


@pytest.mark.parametrize("magic", [b"RF64", b"BW64"])
@pytest.mark.parametrize("known", [True, False])
def test_headers_of_64_bits(magic: bytes, known: bool, tmp_path: Path) -> None:
    long = struct.pack("<QQQI", 0, len(DATA) if known else 0, len(PCM), 0)
    parts = (chunk(b"ds64", long), form(), chunk(b"data", DATA, 0xFFFFFFFF))
    more = chunk(b"axml", b"<ebu>") if known else b""
    content = bytearray(wav(*parts, more, magic=magic))
    content[4:8] = b"\xff\xff\xff\xff"
    np.testing.assert_array_equal(samples(tmp_path, bytes(content)), SAMPLES)


def test_a_truncated_header_of_64_bits_says_what_is_missing(tmp_path: Path) -> None:
    long = chunk(b"ds64", struct.pack("<QQQI", 0, len(DATA), len(PCM), 0))
    content = wav(long, form(), chunk(b"data", DATA[:-1000], 0xFFFFFFFF), magic=b"RF64")
    assert refusal(tmp_path, content).startswith("is truncated: its header promises 1000 bytes")


def test_a_big_endian_wav(tmp_path: Path) -> None:
    data = PCM.astype(">i2").tobytes()
    for length in (len(data), 0):
        content = wav(form(">"), chunk(b"data", data, length, ">"), order=">", magic=b"RIFX")
        np.testing.assert_array_equal(samples(tmp_path, content), SAMPLES)


@pytest.mark.parametrize("pad", [b"", b"\0", b" "])
def test_chunks_of_odd_length_with_and_without_padding(pad: bytes, tmp_path: Path) -> None:
    odd = chunk(b"LIST", b"INFOx") + pad
    for content in (wav(odd, form(), chunk(b"data", DATA)), wav(form(), odd, chunk(b"data", DATA), odd)):
        np.testing.assert_array_equal(samples(tmp_path, content), SAMPLES)


@pytest.mark.parametrize("before", [ID3, ID3 + ID3, b"\xef\xbb\xbf", b"\0" * 512, b"\r\n", ID3 + b"\0" * 100])
@pytest.mark.parametrize("container", ["WAV", "FLAC", "RF64", "AIFF"])
def test_tags_and_marks_before_the_header(before: bytes, container: str, tmp_path: Path) -> None:
    content = before + encoded(container)
    np.testing.assert_array_equal(samples(tmp_path, content), SAMPLES)


def test_a_tag_whose_length_is_wrong(tmp_path: Path) -> None:
    wrong = b"ID3\x03\0\0" + struct.pack(">I", 5000) + bytes(5000)  # written with eight bits a byte
    np.testing.assert_array_equal(samples(tmp_path, wrong + encoded()), SAMPLES)


CODINGS = {
    "WAV": ("PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "PCM_U8", "ULAW", "ALAW", "IMA_ADPCM", "GSM610"),
    "WAVEX": ("PCM_16", "PCM_24", "FLOAT", "ALAW"),
    "RF64": ("PCM_16", "PCM_24", "FLOAT"),
    "W64": ("PCM_16",),
    "FLAC": ("PCM_16", "PCM_24"),
    "OGG": ("VORBIS", "OPUS"),
    "MP3": ("MPEG_LAYER_III",),
    "AIFF": ("PCM_16", "FLOAT"),
    "AU": ("PCM_16", "ULAW"),
    "CAF": ("PCM_16",),
}


@pytest.mark.parametrize(
    ("container", "subtype"), [(c, s) for c, subtypes in CODINGS.items() for s in subtypes]
)
@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.ogg", "a.mp3", "a.raw", "voice note"])
def test_what_a_file_is_its_content_says(container: str, subtype: str, name: str, tmp_path: Path) -> None:
    tone = (0.3 * np.sin(np.arange(12000) / 9)).astype(np.float32)
    content = encoded(container, subtype, tone)
    expected, rate = soundfile.read(io.BytesIO(content), len(tone), dtype="float32")
    (tmp_path / name).write_bytes(content)
    (clip,) = find_clips(tmp_path / name)
    audio, read_rate = read_clip(clip)
    assert read_rate == rate
    np.testing.assert_allclose(audio[: len(tone)], expected, rtol=0, atol=1e-7)  # mpg123 rounds as it likes
    assert abs(np.corrcoef(expected, tone[: len(expected)])[0, 1]) > 0.9, "no silence"


def test_a_clip_of_an_index_is_judged_by_its_content(tmp_path: Path) -> None:
    (tmp_path / "note.opus").write_bytes(encoded("FLAC"))
    (tmp_path / "index.json").write_text('[{"file": "note.opus"}]')
    (clip,) = find_clips(tmp_path)
    np.testing.assert_array_equal(read_clip(clip)[0], SAMPLES)


@pytest.mark.parametrize(
    ("beginning", "name"),
    [
        (b"\0\0\0\x20ftypM4A ", "MP4 or M4A"),
        (b"\x1a\x45\xdf\xa3\x9f\x42\x86\x81", "WebM or Matroska"),
        (b"#!AMR\n", "AMR"),
        (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "WMA"),
        (b"\xff\xf1\x50\x80", "AAC"),
    ],
)
def test_a_format_that_is_not_read_is_named_with_the_way_out(
    beginning: bytes, name: str, tmp_path: Path
) -> None:
    reason = refusal(tmp_path, beginning + bytes(1000))
    assert reason == f"is {name}, which is not read: ffmpeg -i a.wav recording.wav"


def test_an_ogg_stream_that_was_never_ended_is_read_and_one_cut_within_a_page_is_not(tmp_path: Path) -> None:
    long = np.tile(PCM, 20)
    content = encoded("OGG", "VORBIS", long)
    last = content.rfind(b"OggS")
    assert content[last + 5] & 4, "the page that ends the stream"
    kept = samples(tmp_path, content[:last])
    whole, _ = soundfile.read(io.BytesIO(content), dtype="float32")
    assert len(whole) * 0.8 < len(kept) < len(whole)
    assert refusal(tmp_path, content[: last - 1]) == "is truncated: it ends within a page"


def test_a_cut_mp3_is_refused(tmp_path: Path) -> None:
    content = encoded("MP3", "MPEG_LAYER_III")
    assert "is truncated" in refusal(tmp_path, content[: len(content) // 2])


@pytest.mark.parametrize(("rate", "subtype"), [(8000, "ALAW"), (8000, "ULAW"), (192_000, "PCM_24")])
def test_the_lowest_and_highest_rates_of_telephones_and_studios(
    rate: int, subtype: str, tmp_path: Path
) -> None:
    tone = np.sin(2 * np.pi * 440 * np.arange(rate // 4) / rate).astype(np.float32) / 2
    soundfile.write(tmp_path / "a.wav", tone, rate, subtype=subtype)
    audio, read_rate = read_audio(tmp_path / "a.wav")
    assert read_rate == rate
    np.testing.assert_allclose(audio, tone, atol=0.02)


def test_random_changes_to_headers_end_in_samples_or_one_line(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    whole = wav(chunk(b"LIST", b"INFOx"), form(), chunk(b"data", DATA))
    for _ in range(300):
        content = bytearray(whole)
        for at in rng.integers(0, 70, 3):
            content[at] = rng.choice([0, 1, 2, 0x7F, 0x80, 0xFF])
        (tmp_path / "a.wav").write_bytes(content)
        try:
            audio, rate = read_audio(tmp_path / "a.wav")
        except AudioError as error:
            assert "\n" not in str(error)
        else:
            assert len(audio) > 0
            assert 4000 <= rate <= 192_000
            assert np.abs(audio).max() <= 1


def test_a_file_with_another_beginning_reads_as_a_file() -> None:
    """Against BytesIO, at random."""
    rng = np.random.default_rng(6)
    content = rng.bytes(100)
    spliced = Spliced(io.BytesIO(content), 10, 90, b"a new head")
    model = io.BytesIO(b"a new head" + content[10:90])
    for _ in range(500):
        whence, offset = int(rng.integers(3)), int(rng.integers(-20, 120))
        offset = abs(offset) if whence == os.SEEK_SET else offset
        if whence == os.SEEK_END or model.tell() + offset >= 0:
            assert spliced.seek(offset, whence) == model.seek(offset, whence)
        wanted = int(rng.integers(0, 40))
        read = b""
        while len(read) < wanted and (part := spliced.read(wanted - len(read))):
            read += part
        assert read == model.read(wanted)
        assert spliced.tell() == model.tell()
