"""The edge where foreign audio becomes ours: WAV, FLAC or OGG in, mono float32 inside, WAV or FLAC out."""

import io
import os
import stat
import struct
from pathlib import Path
from typing import BinaryIO

import numpy as np
import soundfile
from numpy.typing import NDArray

MIN_RATE, MAX_RATE = 4000, 192_000  # Hz
SUFFIXES = (".wav", ".flac", ".ogg")

_BLOCK = 65536  # samples of each channel decoded at a time, so that a lying header cannot ask for memory
_OGG_PAGE = 65307  # bytes of the largest page (RFC 3533, section 6)
# Sizes that a tool writes when it pipes a WAV and cannot come back to fill in the length (ffmpeg, sox).
_UNKNOWN_WAV_SIZES = (0xFFFFFFFF, 0x7FFFF000)


class AudioError(ValueError):
    """A file that cannot be read or written as audio; the message is one line, `path: reason`."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = path
        self.reason = reason


def read_audio(path: Path, *, max_seconds: float = 1800) -> tuple[NDArray[np.float32], int]:
    """Read a WAV, FLAC or OGG file of any sample format as mono.

    Channels are averaged; samples beyond full scale are clamped to -1..1.

    Returns:
        the samples, float32 [n] with n >= 1, and the file's own sample rate in Hz.

    Raises:
        AudioError: no such file, no permission, not audio, empty, truncated, longer than `max_seconds`,
            a sample rate outside 4000..192000 Hz, or a sample that is not a number.
    """
    try:
        # Asked before opening: opening a named pipe would wait for a writer.
        if not stat.S_ISREG(path.stat().st_mode):
            raise AudioError(path, "is a folder" if path.is_dir() else "is not a regular file")
        with path.open("rb", buffering=0) as file:
            _check_whole(path, file)
            file.seek(0)
            # By descriptor, since soundfile would take a name ending in .raw for samples without a header.
            with soundfile.SoundFile(file.fileno(), "r", closefd=False) as sound:
                return _decode(path, sound, max_seconds), int(sound.samplerate)
    except OSError as error:
        raise AudioError(path, error.strerror or str(error)) from error
    except soundfile.SoundFileError as error:
        raise AudioError(path, f"damaged, truncated or not audio ({_libsndfile_reason(error)})") from error


def _check_whole(path: Path, file: BinaryIO) -> None:
    """Refuse what libsndfile would read without complaint although its end is missing."""
    size = os.fstat(file.fileno()).st_size
    if size == 0:
        raise AudioError(path, "is empty (0 bytes)")
    head = file.read(12)
    if head[:4] == b"RIFF" and head[8:] == b"WAVE":
        missing = _missing_wav_bytes(file, size)
        if missing > 0:
            raise AudioError(path, f"is truncated: its header promises {missing} bytes more than it has")
    elif head[:4] == b"OggS":
        if not _ends_with_last_page(file, size):
            raise AudioError(path, "is truncated: the page that ends the stream is missing")
    elif head[:4] != b"fLaC":
        raise AudioError(path, "is not a WAV, FLAC or OGG file")


def _missing_wav_bytes(file: BinaryIO, size: int) -> int:
    position = 12
    while position + 8 <= size:
        file.seek(position)
        name, length = struct.unpack("<4sI", file.read(8))
        if name == b"data":
            return 0 if length in _UNKNOWN_WAV_SIZES else position + 8 + int(length) - size
        position += 8 + length + length % 2
    return 0  # no data chunk: libsndfile says so


def _ends_with_last_page(file: BinaryIO, size: int) -> bool:
    file.seek(max(0, size - _OGG_PAGE))
    tail = file.read()
    page = tail[max(0, tail.rfind(b"OggS")) :]
    if len(page) < 27:
        return False
    last_of_stream, segments = page[5] & 4, page[26]
    return bool(last_of_stream) and len(page) >= 27 + segments + sum(page[27 : 27 + segments])


def _decode(path: Path, sound: soundfile.SoundFile, max_seconds: float) -> NDArray[np.float32]:
    rate, promised = int(sound.samplerate), int(sound.frames)
    if not MIN_RATE <= rate <= MAX_RATE:
        raise AudioError(path, f"has a sample rate of {rate} Hz, outside {MIN_RATE}..{MAX_RATE}")
    if promised > max_seconds * rate:
        raise AudioError(path, f"is {promised / rate:.0f} s long, more than the limit of {max_seconds:g} s")
    blocks: list[NDArray[np.float32]] = []
    done = 0
    while len(block := sound.read(_BLOCK, dtype="float32", always_2d=True)):  # [n, channels]
        finite = np.isfinite(block).all(axis=1)
        if not finite.all():
            bad = int(np.argmin(finite))
            value = block[bad][~np.isfinite(block[bad])][0]
            raise AudioError(path, f"sample {done + bad} ({(done + bad) / rate:.3f} s) is {value}")
        blocks.append(block.clip(-1, 1).mean(axis=1))
        done += len(block)
    if done < promised:
        raise AudioError(path, f"is truncated: {done} of {promised} samples could be decoded")
    if done == 0:
        raise AudioError(path, "holds no audio (0 samples)")
    return np.concatenate(blocks)


def _libsndfile_reason(error: soundfile.SoundFileError) -> str:
    return str(getattr(error, "error_string", error)).rstrip(".")


def write_wav(path: Path, audio: NDArray[np.float32], sample_rate: int) -> None:
    """Write mono audio [n] as 16-bit PCM, WAV or FLAC by suffix, clamped to full scale.

    The file appears whole or not at all: it is written under a temporary name beside `path` and renamed.

    Raises:
        AudioError: another suffix, a sample that is not a number, a sample rate that the format refuses, or a
            folder or disk that cannot be written.
    """
    container = {".wav": "WAV", ".flac": "FLAC"}.get(path.suffix.lower())
    if container is None:
        raise AudioError(path, "cannot be written: name it .wav or .flac")
    finite = np.isfinite(audio)
    if not finite.all():
        raise AudioError(path, f"cannot be written: sample {int(np.argmin(finite))} is not a number")
    # Scaled here: libsndfile multiplies by 32767 but divides by 32768 when reading.
    pcm = np.rint(audio * 32768.0).clip(-32768, 32767).astype(np.int16)
    encoded = io.BytesIO()
    try:
        soundfile.write(encoded, pcm, sample_rate, subtype="PCM_16", format=container)
        _replace(path, encoded.getvalue())
    except soundfile.SoundFileError as error:
        raise AudioError(path, f"cannot be written ({_libsndfile_reason(error)})") from error
    except OSError as error:
        raise AudioError(path, f"cannot be written ({error.strerror or error})") from error


def _replace(path: Path, content: bytes) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        temporary.write_bytes(content)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)  # nothing is left of it after the rename
