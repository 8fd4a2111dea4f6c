"""Where the recording is in a file, judged by content.

libsndfile decodes. What it would refuse, or read as nothing, is given another beginning here: a WAV whose
length was never filled in, BW64, tags or a byte order mark before the header.
"""

import io
import re
import struct
from pathlib import Path
from typing import BinaryIO

READ = "WAV, FLAC, Ogg, MP3, AIFF, AU or CAF"

_SEARCHED = 65536  # bytes in which the header is looked for
_RIFF = (b"RIFF", b"RIFX", b"RF64", b"BW64")
_HEADER = re.compile(
    rb"(?:RIFF|RIFX|RF64|BW64)....WAVE|fLaC[\0\x80]\0\0\x22|OggS\0\x02"
    rb"|FORM....AIF[FC]|\.snd\0\0|caff\0\x01|riff\x2e\x91\xcf\x11",
    re.DOTALL,
)
_MPEG_FRAME = re.compile(rb"\xff[\xe2-\xe5\xf2-\xf5\xfa-\xfd]")  # layer II or III
_OTHERS = (
    (re.compile(rb"....ftyp", re.DOTALL), "MP4 or M4A"),
    (re.compile(rb"\x1a\x45\xdf\xa3"), "WebM or Matroska"),
    (re.compile(rb"#!AMR"), "AMR"),
    (re.compile(rb"0&\xb2\x75"), "WMA"),
    (re.compile(rb"\xff[\xf0\xf1\xf8\xf9]"), "AAC"),
)
_CHUNKS = (b"data", b"fmt ", b"fact", b"LIST", b"PEAK", b"cue ", b"bext", b"JUNK", b"id3 ", b"ID3 ")
_UNKNOWN = 0x7FFF0000  # bytes: who promises so much could not know (0x7FFFF000 sox, 0xFFFFFFFF ffmpeg, ...)
_OGG_PAGE = 65307  # bytes of the largest page (RFC 3533, section 6)


class AudioError(ValueError):
    """A file that cannot be read or written as audio; the message is one line, `path: reason`."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = path
        self.reason = reason


class Spliced(io.RawIOBase):
    """A file with another beginning: `head`, and behind it the bytes [start, end) of `file`.

    It has no name: soundfile would take one that ends in .raw for samples without a header.
    """

    def __init__(self, file: BinaryIO, start: int, end: int, head: bytes = b"") -> None:
        self._file, self._start, self._head = file, start, head
        self._size = len(head) + max(0, end - start)
        self._at = 0

    def readable(self) -> bool:
        """Always."""
        return True

    def seekable(self) -> bool:
        """Always."""
        return True

    def tell(self) -> int:
        """The position, in bytes."""
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """As of any file."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        self._at = max(0, base + offset)
        return self._at

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """As of any file; a read that begins in the head ends with it."""
        wanted = max(0, min(len(buffer), self._size - self._at))
        if self._at < len(self._head):
            found = self._head[self._at : self._at + wanted]
        else:
            self._file.seek(self._start + self._at - len(self._head))
            found = self._file.read(wanted)
        buffer[: len(found)] = found
        self._at += len(found)
        return len(found)


def locate(path: Path, file: BinaryIO) -> Spliced:
    """The recording in `file`, in a form that libsndfile reads; `path` is for messages.

    Raises:
        AudioError: nothing in it, no recording, one in a format that is not read, or its end is missing.
    """
    size = file.seek(0, io.SEEK_END)
    if size == 0:
        raise AudioError(path, "is empty (0 bytes)")
    behind_tags = _tags_end(file)
    for start in (behind_tags, 0):
        window = _read(file, start, _SEARCHED)
        if found := _HEADER.search(window):
            return _checked(path, file, start + found.start(), size)
        if _MPEG_FRAME.match(window):
            return Spliced(file, start, size)
    for magic, name in _OTHERS:
        if magic.match(_read(file, behind_tags, 16)):
            raise AudioError(path, f"is {name}, which is not read: ffmpeg -i {path.name} recording.wav")
    raise AudioError(path, f"is not a {READ} file")


def _checked(path: Path, file: BinaryIO, start: int, size: int) -> Spliced:
    magic = _read(file, start, 4)
    if magic in _RIFF:
        return _wav(path, file, start, size)
    if magic == b"OggS" and not _ends_with_a_page(file, size):
        raise AudioError(path, "is truncated: it ends within a page")
    return Spliced(file, start, size)


def _read(file: BinaryIO, at: int, count: int) -> bytes:
    file.seek(at)
    return file.read(count)


def _tags_end(file: BinaryIO) -> int:
    """Where the ID3v2 tags at the file's beginning end (their lengths have 7 bits a byte); 0 without any."""
    at = 0
    while (head := _read(file, at, 10))[:3] == b"ID3" and len(head) == 10:
        length = 0
        for byte in head[6:]:
            length = length << 7 | byte & 0x7F
        at += 10 + length + (10 if head[5] & 0x10 else 0)  # a footer repeats the header
    return at


def _wav(path: Path, file: BinaryIO, start: int, size: int) -> Spliced:
    magic = _read(file, start, 4)
    order = ">" if magic == b"RIFX" else "<"
    at, form, long_length, as_is = start + 12, b"", 0, magic != b"BW64"
    while True:
        head = _read(file, at, 8)
        if len(head) < 8:
            return Spliced(file, start, size)  # no data chunk: libsndfile says so
        name, length = struct.unpack(f"{order}4sI", head)
        at += 8
        if name == b"data":
            break
        if name == b"fmt ":
            form = _read(file, at, min(length, 1024))
        if name == b"ds64" and len(sizes := _read(file, at + 8, 8)) == 8:
            (long_length,) = struct.unpack("<Q", sizes)
        at += length
        if length % 2 and _read(file, at, 4) in _CHUNKS:
            as_is = False  # the byte that makes the length even is missing
        else:
            at += length % 2
    promised = long_length if length == 0xFFFFFFFF and long_length else length
    held = _held(path, promised, size - at, at - start, _read(file, at, 4))
    if not form or (as_is and held == promised):
        return Spliced(file, start, size)
    return Spliced(file, at, at + held, _wav_header(order, form, held))


def _held(path: Path, promised: int, there: int, header: int, first: bytes) -> int:
    """The bytes of samples in a data chunk that promises so many, where so many are there behind its head.

    None promised, or a great many, is what recorders write that stream. Some count the header.
    """
    unknown = promised == 0 and there > 0 and first not in _CHUNKS
    if unknown or there < promised <= there + header or promised >= max(_UNKNOWN, there + 1):
        return there
    if promised > there:
        missing = promised - there
        raise AudioError(path, f"is truncated: its header promises {missing} bytes more than it has")
    return promised


def _wav_header(order: str, form: bytes, length: int) -> bytes:
    """The beginning of a WAV file up to its samples, `length` bytes of them."""
    magic = b"RIFX" if order == ">" else b"RIFF"
    form += b"\0" * (len(form) % 2)
    sizes = [min(n, 0xFFFFFFFF) for n in (4 + 8 + len(form) + 8 + length, len(form), length)]
    riff, fmt, data = (struct.pack(f"{order}I", n) for n in sizes)
    return magic + riff + b"WAVEfmt " + fmt + form + b"data" + data


def _ends_with_a_page(file: BinaryIO, size: int) -> bool:
    """Whether the last Ogg page is whole. A recorder that is cut off cannot mark it as the last."""
    tail = _read(file, max(0, size - _OGG_PAGE), _OGG_PAGE)
    page = tail[max(0, tail.rfind(b"OggS")) :]
    return len(page) >= 27 and len(page) >= 27 + page[26] + sum(page[27 : 27 + page[26]])
