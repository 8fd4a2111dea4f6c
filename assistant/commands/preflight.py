"""What a command can refuse before it loads a model: clips it cannot read, files it cannot write."""

import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

from assistant.audio import INDEX, AudioError, Clip, ClipError, find_clips, read_clip


def readable_clips(paths: Iterable[Path]) -> list[Clip]:
    """All clips at `paths`, each decoded once in advance; raises ClipError and AudioError."""
    clips = [clip for path in paths for clip in find_clips(path)]
    for clip in clips:
        read_clip(clip)
    return clips


def labelled_clips(folder: Path) -> list[Clip]:
    """All clips of `folder`, each with what is said in it; raises ClipError and AudioError."""
    clips = readable_clips([folder])
    for clip in clips:
        if clip.reference is None:
            raise ClipError(f'{clip.path}: nothing to compare with: no "text" for it in an {INDEX}')
    return clips


def check_sound_file(path: Path) -> None:
    """Raise AudioError if no sound can be written at `path`. Writes nothing."""
    if path.suffix.lower() not in (".wav", ".flac"):
        raise AudioError(path, "cannot be written: name it .wav or .flac")
    if reason := _obstacle(path):
        raise AudioError(path, f"cannot be written ({reason})")


def check_file(path: Path | None, error: Callable[[str], Exception]) -> None:
    """Raise `error` with one line if a file is wanted that cannot be written. Writes nothing."""
    if path and (reason := _obstacle(path)):
        raise error(f"{path}: cannot be written ({reason})")


def _obstacle(path: Path) -> str | None:
    try:
        if path.is_dir():
            return "is a folder"
        if path.exists() and not path.is_file():
            return "is not a regular file"  # it would be replaced, and what reads from it not notice
        with tempfile.TemporaryFile(dir=path.parent):
            return None
    except OSError as error:
        return error.strerror or str(error)
