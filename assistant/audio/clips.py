"""Recorded clips: one audio file, or a folder whose `index.json` gives each clip its text and labels."""

import itertools
import json
from dataclasses import dataclass
from pathlib import Path, PurePath

import numpy as np
from numpy.typing import NDArray

from assistant.audio.container import AudioError
from assistant.audio.files import MAX_RATE, MIN_RATE, STDIN, read_audio
from assistant.text_file import read_text

INDEX = "index.json"


class ClipError(ValueError):
    """A path or an index that names no usable clips; the message is one line saying which entry and key."""


@dataclass(frozen=True)
class Clip:
    """One recording and what is known about it. All samples count at the file's own rate."""

    path: Path
    reference: str | None = None  # what is said
    speech_start_sample: int | None = None
    speech_end_sample: int | None = None  # the last voiced sample
    sample_rate: int | None = None  # Hz, as the index states it; read_clip checks it
    pauses: tuple[tuple[int, int], ...] = ()  # silences inside the speech, [start, end) samples
    pause_kinds: tuple[str, ...] = ()  # of each pause, where it is known
    over_reply_ms: int | None = None  # it begins when the reply before has sounded for so long

    @property
    def name(self) -> str:
        """The file's name without its folder."""
        return self.path.name


def find_clips(path: Path) -> list[Clip]:
    """The clips at `path`: a recording, `-`, or a folder with an `index.json`, in the index's order.

    The index is a list of objects with the key `file` and, optionally, `text`, `sample_rate`,
    `speech_start_sample`, `speech_end_sample`, `pauses` (a list of [start, end]), `pause_kinds` (a word
    for each) and `over_reply_ms`; other keys are ignored.
    No audio is read, so nobody knows yet whether a file is a recording.

    Raises:
        ClipError: nothing at `path`, a folder without an index, or an index that is malformed, names a
            missing file or one outside the folder, or whose labels are out of order.
    """
    try:
        if path.is_dir():
            return _read_index(path, path / INDEX)
        if path != STDIN and not path.exists():
            raise ClipError(f"{path}: no such file or folder")
    except OSError as error:
        raise ClipError(f"{path}: {error.strerror or error}") from error
    return [Clip(path)]


def read_clip(clip: Clip) -> tuple[NDArray[np.float32], int]:
    """Read a clip's audio, mono float32 [n], and its sample rate in Hz, and hold its labels against them.

    Raises:
        AudioError: as `read_audio`, or labels that do not fit the audio.
    """
    audio, rate = read_audio(clip.path)
    if clip.sample_rate not in (None, rate):
        raise AudioError(clip.path, f"has {rate} Hz where {INDEX} says {clip.sample_rate}")
    if clip.speech_end_sample is not None and clip.speech_end_sample > len(audio):
        raise AudioError(clip.path, f"ends at sample {len(audio)}, before its label {clip.speech_end_sample}")
    return audio, rate


def _read_index(folder: Path, index: Path) -> list[Clip]:
    try:
        entries = json.loads(read_text(index))
    except FileNotFoundError as error:
        raise ClipError(f"{folder}: the folder has no {INDEX}") from error
    except (ValueError, RecursionError) as error:
        raise ClipError(f"{index}: not JSON: {error}") from error
    if not isinstance(entries, list) or not entries:
        raise ClipError(f"{index}: expected a list of clips, found {_kind(entries)}")
    return [_clip(folder, f"{index}: entry {number}", entry) for number, entry in enumerate(entries)]


def _clip(folder: Path, where: str, entry: object) -> Clip:
    if not isinstance(entry, dict):
        raise ClipError(f"{where}: expected an object, found {_kind(entry)}")
    if "file" not in entry:
        raise ClipError(f'{where}: the key "file" is missing')
    clip = Clip(
        path=_file(folder, where, entry["file"]),
        reference=_text(where, entry.get("text")),
        speech_start_sample=_whole(where, entry, "speech_start_sample"),
        speech_end_sample=_whole(where, entry, "speech_end_sample"),
        sample_rate=_whole(where, entry, "sample_rate"),
        pauses=_pauses(where, entry.get("pauses", [])),
        pause_kinds=_kinds(where, entry.get("pause_kinds", [])),
        over_reply_ms=_whole(where, entry, "over_reply_ms"),
    )
    if clip.pause_kinds and len(clip.pause_kinds) != len(clip.pauses):
        raise ClipError(f'{where}: "pause_kinds" should have a word for each of {len(clip.pauses)} pauses')
    if clip.sample_rate is not None and not MIN_RATE <= clip.sample_rate <= MAX_RATE:
        raise ClipError(f'{where}: "sample_rate" is {clip.sample_rate}, outside {MIN_RATE}..{MAX_RATE} Hz')
    _check_order(where, clip)
    return clip


def _file(folder: Path, where: str, name: object) -> Path:
    if not isinstance(name, str):
        raise ClipError(f'{where}: "file" should be a string, found {_kind(name)}')
    pure = PurePath(name)
    if pure.is_absolute() or ".." in pure.parts:
        raise ClipError(f'{where}: "file" is {name!r}, which is outside the folder')
    if not (folder / pure).is_file():
        raise ClipError(f'{where}: "file" is {name!r}, which does not exist')
    return folder / pure


def _text(where: str, value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    raise ClipError(f'{where}: "text" should be a string, found {_kind(value)}')


def _whole(where: str, entry: dict[str, object], key: str) -> int | None:
    value = entry.get(key)
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool):  # to Python, true is an int
        raise ClipError(f'{where}: "{key}" should be a whole number, found {_kind(value)}')
    if value < 0:
        raise ClipError(f'{where}: "{key}" is {value}, below 0')
    return value


def _pauses(where: str, value: object) -> tuple[tuple[int, int], ...]:
    if isinstance(value, list) and all(
        isinstance(pair, list) and [type(edge) for edge in pair] == [int, int] for pair in value
    ):
        return tuple((start, end) for start, end in value)
    raise ClipError(f'{where}: "pauses" should be a list of [start, end] in samples')


def _kinds(where: str, value: object) -> tuple[str, ...]:
    if isinstance(value, list) and all(isinstance(kind, str) for kind in value):
        return tuple(value)
    raise ClipError(f'{where}: "pause_kinds" should be a list of strings')


def _check_order(where: str, clip: Clip) -> None:
    """Labels must rise: speech start, then each pause's start and end, then speech end."""
    pauses = itertools.chain.from_iterable(clip.pauses)
    edges = [clip.speech_start_sample, *pauses, clip.speech_end_sample]
    known = [edge for edge in edges if edge is not None]
    if any(later <= earlier for earlier, later in itertools.pairwise([-1, *known])):
        raise ClipError(f"{where}: speech start, pauses and speech end are out of order: {known}")


def _kind(value: object) -> str:
    """What a JSON value is, in JSON's words."""
    if value is None:
        return "null"
    if value == []:
        return "an empty list"
    names = {dict: "an object", list: "a list", str: "a string", bool: "true or false", int: "a number"}
    return names.get(type(value), "a fraction")
