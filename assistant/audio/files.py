"""The edge where foreign audio becomes ours: any recording in, mono float32 inside, WAV or FLAC out."""

import functools
import io
import os
import stat
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing
from pathlib import Path
from typing import BinaryIO

import numpy as np
import soundfile
from numpy.typing import NDArray

from assistant.audio.container import AudioError, Spliced, locate
from assistant.audio.mono import ChannelStats, mixing_weights, to_speech

MIN_RATE, MAX_RATE = 4000, 192_000  # Hz
STDIN = Path("-")

_BLOCK = 65536  # samples of each channel decoded at a time, so that a lying header cannot ask for memory
_UNKNOWN_SAMPLES = 2**62  # libsndfile's word for a FLAC whose length was never filled in is 2**63 - 1
_LARGEST_SAMPLE = 2.0**31  # of floats that are integers in disguise
_STDIN_BYTES = 1 << 30


def read_audio(path: Path, *, max_seconds: float = 1800) -> tuple[NDArray[np.float32], int]:
    """Read a recording of any sample format as mono; what it is, its content says. `-` is standard input.

    Channels are averaged (`mixing_weights`), a constant offset is taken out, and a recording with samples
    beyond full scale is scaled.

    Returns:
        the samples, float32 [n] with n >= 1, and the file's own sample rate in Hz.

    Raises:
        AudioError: no such file, no permission, not audio, empty, truncated, longer than `max_seconds`,
            a sample rate outside 4000..192000 Hz, or a sample that is not a number.
    """
    try:
        with _opened(path) as file:
            return _decode(path, locate(path, file), max_seconds)
    except OSError as error:
        raise AudioError(path, error.strerror or str(error)) from error
    except soundfile.SoundFileError as error:
        raise AudioError(path, f"damaged, truncated or not audio ({_libsndfile_reason(error)})") from error


def _opened(path: Path) -> AbstractContextManager[BinaryIO]:
    if path == STDIN:
        return closing(io.BytesIO(_standard_input()))
    # Asked before opening: opening a named pipe would wait for a writer.
    if not stat.S_ISREG(path.stat().st_mode):
        raise AudioError(path, "is a folder" if path.is_dir() else "is not a regular file")
    return path.open("rb", buffering=0)


@functools.cache
def _standard_input() -> bytes:
    """All of it: it is read once, and commands look at a recording twice."""
    if os.isatty(0):
        raise AudioError(STDIN, "standard input is a terminal: a recording has to be piped into it")
    with open(0, "rb", closefd=False) as file:
        content = file.read(_STDIN_BYTES + 1)
    if len(content) > _STDIN_BYTES:
        raise AudioError(STDIN, f"more than {_STDIN_BYTES} bytes come from standard input")
    return content


class _Stream(soundfile.SoundFile):  # type: ignore[misc]  # of a package without types
    """Samples as they come: in a FLAC whose length was never filled in nothing can be sought."""

    def seekable(self) -> bool:
        """Never, so that no read is followed by a seek."""
        return False


def _decode(path: Path, source: Spliced, max_seconds: float) -> tuple[NDArray[np.float32], int]:
    with _Stream(source, "r") as sound:
        rate, stats = int(sound.samplerate), ChannelStats(sound.channels)
        if not MIN_RATE <= rate <= MAX_RATE:
            raise AudioError(path, f"has a sample rate of {rate} Hz, outside {MIN_RATE}..{MAX_RATE}")
        if sound.channels == 1:
            mono = [block[:, 0] for block in _blocks(path, sound, max_seconds)]
            return to_speech(np.concatenate(mono), rate), rate
        for block in _blocks(path, sound, max_seconds):
            stats.add(block)
    weights = mixing_weights(stats)
    source.seek(0)
    with _Stream(source, "r") as sound:  # decoded twice, as all channels of a long recording need much memory
        mono = [block @ weights for block in _blocks(path, sound, max_seconds)]
    return to_speech(np.concatenate(mono), rate), rate


def _blocks(path: Path, sound: _Stream, max_seconds: float) -> Iterator[NDArray[np.float32]]:
    """The samples, [n, channels] at a time with n >= 1; raises AudioError where they cannot be used."""
    rate, promised, done = int(sound.samplerate), int(sound.frames), 0
    known = promised < _UNKNOWN_SAMPLES
    if known and promised > max_seconds * rate:
        raise AudioError(path, f"is {promised / rate:.0f} s long, more than the limit of {max_seconds:g} s")
    while len(block := sound.read(_BLOCK, dtype="float32", always_2d=True)):
        usable = (np.abs(block) <= _LARGEST_SAMPLE).all(axis=1)
        if not usable.all():
            bad = int(np.argmin(usable))
            value = block[bad][~(np.abs(block[bad]) <= _LARGEST_SAMPLE)][0]
            raise AudioError(path, f"sample {done + bad} ({(done + bad) / rate:.3f} s) is {value}")
        yield block
        done += len(block)
        if done > max_seconds * rate:
            raise AudioError(path, f"is longer than the limit of {max_seconds:g} s")
    if known and done < promised:
        raise AudioError(path, f"is truncated: {done} of {promised} samples could be decoded")
    if done == 0:
        raise AudioError(path, "holds no audio (0 samples)")


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
