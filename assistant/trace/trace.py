"""Reading a trace: all of it is checked before any of it is used."""

import gzip
import json
import math
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray

from assistant.config import Config, ConfigError, config_of
from assistant.runtime import Span
from assistant.trace.errors import TraceError
from assistant.trace.observed import Played, Silence, played_of, silence_of, span_of
from assistant.trace.recording import FORMAT, META
from assistant.trace.writer import EVENTS

Json = Any

_READ = (1, FORMAT)  # formats: one of before can be drawn, compared and recorded again, but not simulated
_MOST_BYTES = 512 * 1024 * 1024  # of one file, packed or not
_PCM = np.float32(1 / 32768)


@dataclass(frozen=True, eq=False)
class Step:
    """A step of a call: times in nanoseconds since the recording began, its work, and what it gave."""

    began_ns: int
    ended_ns: int
    work: float
    gave: Json


@dataclass(frozen=True)
class Call:
    """A call of a model. One that streams has many steps; it is not `whole` if it was cancelled."""

    session: str
    stage: str
    input: str
    steps: tuple[Step, ...]
    whole: bool = True
    worker: str = ""
    """The thread that it ran in."""
    asked_ns: int = 0
    began_ns: int = 0
    ended_ns: int = 0
    given: Json = field(default=None, compare=False)
    """What it was given, where that is small."""


@dataclass
class RecordedSession:
    """What came into one session and, as lines of the trace, what came of it."""

    name: str
    at_ns: int
    frames: list[tuple[int, int, int]] = field(default_factory=list)
    """Of each: when it came, when its last sample was recorded, and how many samples it has."""
    audio: NDArray[np.float32] = field(default_factory=lambda: np.zeros(0, np.float32))
    detected: NDArray[np.float32] | None = None
    """What the voice detector heard, where that is other audio."""
    clips: list[Mapping[str, Json]] = field(default_factory=list)
    inputs: list[Mapping[str, Json]] = field(default_factory=list)
    replies: list[Mapping[str, Json]] = field(default_factory=list)
    sink: list[Played | Silence] = field(default_factory=list)
    """What its sink was given and told, in order."""
    over_ns: int | None = None


@dataclass(frozen=True)
class Trace:
    """A recording."""

    folder: Path
    config: Config
    cores: int
    threads: Mapping[str, int]
    models: tuple[Mapping[str, str], ...]
    calls: tuple[Call, ...]
    sessions: tuple[RecordedSession, ...]
    voice: Mapping[int, NDArray[np.float32]]
    """What was spoken, by its sample rate."""
    spans: tuple[Span, ...] = ()
    format: int = FORMAT

    @property
    def name(self) -> str:
        """The folder's name, also where it was called "." or ".."."""
        return self.folder.resolve().name if self.folder.name in ("", "..") else self.folder.name


def read_trace(folder: Path) -> Trace:
    """Read the trace in `folder`.

    Raises TraceError: not there, cut off, of another format, with a value of another kind, without an audio
    file or with another one than was recorded, with times that run backwards, or too large.
    """
    meta = _read_meta(folder)
    lines = list(_read_lines(folder / EVENTS))
    if not lines or lines[-1].get("is") != "end":
        raise TraceError(f"{folder / EVENTS}: is cut off after {len(lines)} lines")
    try:
        audio = {name: _read_audio(folder / name, *promised) for name, promised in lines[-1]["audio"].items()}
        return _Reader(folder, meta, audio).read(lines)
    except ConfigError as error:
        raise TraceError(str(error)) from error
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        if isinstance(error, TraceError):
            raise
        raise TraceError(f"{folder}: is no trace of this format ({type(error).__name__}: {error})") from error


def _read_meta(folder: Path) -> Mapping[str, Json]:
    path = folder / META
    try:
        _check_size(path)
        meta = _json(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise TraceError(f"{path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise TraceError(f"{path}: is not JSON ({error})") from error
    version = meta.get("format") if isinstance(meta, dict) else None
    if version not in _READ:
        reads = " and ".join(map(str, _READ))
        raise TraceError(f"{path}: is of format {version!r:.40}; this version reads {reads}")
    assert isinstance(meta, dict), "it has a format"
    return meta


def _json(text: str) -> Json:
    """JSON without the numbers that are none; raises ValueError."""
    return json.loads(text, parse_float=_finite, parse_constant=_finite)


def _finite(text: str) -> float:
    if not math.isfinite(number := float(text)):
        raise ValueError(f"{text:.40} is no number")
    return number


def _check_size(path: Path) -> None:
    if (size := path.stat().st_size) > _MOST_BYTES:
        raise TraceError(
            f"{path}: has {size // 10**6} MB, more than the {_MOST_BYTES // 10**6} that are read"
        )


def _read_lines(path: Path) -> Iterator[Mapping[str, Json]]:
    number, size = 0, 0
    try:
        _check_size(path)
        with gzip.open(path, "rt", encoding="utf-8") as file:
            while text := file.readline(_MOST_BYTES - size + 1):
                number, size = number + 1, size + len(text)
                if size > _MOST_BYTES:
                    raise TraceError(f"{path}: has more than {_MOST_BYTES // 10**6} MB when unpacked")
                line = _json(text)
                if not isinstance(line, dict):
                    raise TraceError(f"{path}: line {number} is no object")
                yield line
    except EOFError as error:
        raise TraceError(f"{path}: is cut off after {number} lines") from error
    except (gzip.BadGzipFile, zlib.error) as error:
        raise TraceError(f"{path}: is damaged after line {number} ({error})") from error
    except OSError as error:
        raise TraceError(f"{path}: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        if isinstance(error, TraceError):
            raise
        raise TraceError(f"{path}: line {number} is not JSON ({error})") from error


def _read_audio(path: Path, samples: int, digest: str) -> tuple[NDArray[np.float32], int]:
    """The audio in a file, [n], and its rate."""
    try:
        _check_size(path)
        pcm, rate = soundfile.read(path, dtype="int16")
    except OSError as error:
        raise TraceError(f"{path}: {error.strerror or error}") from error
    except soundfile.SoundFileError as error:
        raise TraceError(f"{path}: damaged or not audio ({error})") from error
    found = blake2b(pcm.tobytes(), digest_size=16).hexdigest()
    if pcm.shape != (samples,) or found != digest:
        raise TraceError(f"{path}: is not the audio that was recorded: its digest differs")
    return pcm * _PCM, int(rate)


class _Reader:
    """Puts the lines of a trace together."""

    def __init__(
        self,
        folder: Path,
        meta: Mapping[str, Json],
        audio: Mapping[str, tuple[NDArray[np.float32], int]],
    ) -> None:
        self._folder, self._meta, self._audio = folder, meta, audio
        self._sessions: dict[str, RecordedSession] = {}
        self._calls: list[Call] = []
        self._spans: list[Span] = []

    def read(self, lines: list[Mapping[str, Json]]) -> Trace:
        for number, line in enumerate(lines, 1):
            self._take(number, line)
        for session in self._sessions.values():
            self._add_audio(session)
        return Trace(
            self._folder,
            config_of(self._meta["config"], self._folder / META),
            int(self._meta["cores"]),
            self._meta["threads"],
            tuple(self._meta["models"]),
            tuple(self._calls),
            tuple(self._sessions.values()),
            {rate: audio for name, (audio, rate) in self._audio.items() if name.startswith("voice-")},
            tuple(self._spans),
            self._meta["format"],
        )

    def _take(self, number: int, line: Mapping[str, Json]) -> None:
        match line["is"]:
            case "session":
                self._sessions[line["session"]] = RecordedSession(line["session"], line["at"])
            case "frames":
                frames = self._sessions[line["session"]].frames
                new = zip(line["came"], line["recorded"], line["samples"], strict=True)
                for came, recorded, samples in new:
                    self._check(number, frames[-1][0] if frames else 0, came)
                    frames.append((came, recorded, samples))
            case "over":
                session = self._sessions[line["session"]]
                self._check(number, session.at_ns, line["at"])
                session.over_ns = line["at"]
            case "call":
                self._calls.append(self._call(number, line))
            case "clip":
                self._sessions[line["session"]].clips.append(line)
            case "input":
                self._sessions[line["session"]].inputs.append(line)
            case "reply":
                self._sessions[line["session"]].replies.append(line)
            case "span":
                self._spans.append(span := span_of(line))
                self._check(number, span.start_ns, span.end_ns)
            case "played":
                self._sessions[line["session"]].sink.append(played := played_of(line))
                self._check(number, played.at_ns)
                self._check(number, played.sounds_ns)  # a socket may have taken it before `write` came back
            case "silence":
                self._sessions[line["session"]].sink.append(silence := silence_of(line))
                self._check(number, silence.at_ns)

    def _call(self, number: int, line: Mapping[str, Json]) -> Call:
        self._check(number, line["asked"], line["began"], line["ended"])
        if line["session"] not in self._sessions:
            raise TraceError(f"{self._folder / EVENTS}: line {number}: no session {line['session']!r:.40}")
        single = [[line["began"], line["ended"], line["work"], line.get("gave")]] if "work" in line else []
        steps = tuple(Step(*step) for step in line.get("steps", single))
        for step in steps:
            self._check(number, line["began"], step.began_ns, step.ended_ns, line["ended"])
            if line["stage"] == "asr.final" and self._meta["format"] == FORMAT and "ending" not in step.gave:
                raise TraceError(f"{self._folder / EVENTS}: line {number}: a final transcript without ending")
        return Call(
            line["session"],
            line["stage"],
            line["input"],
            steps,
            line.get("whole", True),
            line["worker"],
            line["asked"],
            line["began"],
            line["ended"],
            line.get("given"),
        )

    def _check(self, number: int, *times_ns: int) -> None:
        if any(later < earlier for earlier, later in zip((0, *times_ns), times_ns, strict=False)):
            raise TraceError(f"{self._folder / EVENTS}: line {number}: times run backwards: {list(times_ns)}")

    def _add_audio(self, session: RecordedSession) -> None:
        """What the frames of `session` hold."""
        name = session.name
        wanted = sum(samples for _, _, samples in session.frames)
        for file, needed in ((f"in-{name}.flac", bool(wanted)), (f"detect-{name}.flac", False)):
            audio = self._audio[file][0] if file in self._audio else None
            if audio is None and not needed:
                continue
            if audio is None or len(audio) != wanted:
                raise TraceError(f"{self._folder / file}: does not hold the {wanted} samples of its frames")
            if file.startswith("in-"):
                session.audio = audio
            else:
                session.detected = audio
