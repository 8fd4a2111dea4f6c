"""The clips that clients speak."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from assistant.audio import INDEX, Clip, find_clips, read_clip
from assistant.server.formats import PCM, Outgoing


@dataclass(frozen=True)
class SpokenClip:
    """A clip as a client sends it: 16-bit samples at 24 kHz; `voice_end_s` is its label, in s."""

    clip: Clip
    audio: bytes
    voice_end_s: float | None


def speakable(paths: Sequence[Path], every: int = 1) -> list[SpokenClip]:
    """Every so-many-th of the clips under `paths`; raises ClipError and AudioError."""
    clips = [clip for path in paths for clip in find_clips(path)]
    return [speak(clip) for clip in clips[::every]]


def speak(clip: Clip) -> SpokenClip:
    """Read a clip; raises AudioError."""
    audio, rate = read_clip(clip)
    stream = Outgoing(PCM, rate)
    data = stream.push(audio) + stream.flush()
    end = clip.speech_end_sample
    return SpokenClip(clip, data, None if end is None else end / rate)


def write_folder(clips: Sequence[Clip], folder: Path) -> Path:
    """Make `folder` one of these clips with their labels, by links; returns it."""
    folder.mkdir()
    entries = []
    for number, clip in enumerate(clips):
        name = f"{number:03}-{clip.name}"
        (folder / name).symlink_to(clip.path.resolve())
        labels = {
            "text": clip.reference,
            "sample_rate": clip.sample_rate,
            "speech_start_sample": clip.speech_start_sample,
            "speech_end_sample": clip.speech_end_sample,
            "pauses": [list(pause) for pause in clip.pauses],
        }
        entries.append({"file": name, **{key: value for key, value in labels.items() if value is not None}})
    (folder / INDEX).write_text(json.dumps(entries), encoding="utf-8")
    return folder
