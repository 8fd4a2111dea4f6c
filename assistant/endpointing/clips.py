"""Recorded turns in three parts: to fit on, to choose on, to report on. They share no voice and no text."""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from assistant.audio import INDEX, Clip, ClipError, find_clips
from assistant.trace.tune.outcome import said

Part = Literal["fit", "choose", "report"]

VOICES: Mapping[Part, frozenset[str]] = {
    "report": frozenset(
        ("af_heart", "am_fenrir", "af_aoede", "am_echo", "am_adam", "af_jessica", "bf_alice"),
    ),
    "choose": frozenset(("bm_daniel", "af_nova", "am_eric")),
}
"""All others are for the fit. The texts had been read before the parts were made, and the report's voices
were heard in earlier work on other settings; af_heart is what the shipped voice was made after."""


def parts_of(folders: Sequence[Path]) -> dict[Part, list[Clip]]:
    """The clips of `folders`, whose indexes name the voices, by their part.

    Raises ClipError: no clips, or some without a voice, a text or an end of speech, or a text in two parts.
    """
    parts: dict[Part, list[Clip]] = {"fit": [], "choose": [], "report": []}
    for folder in folders:
        clips = find_clips(folder)
        entries = json.loads((folder / INDEX).read_text(encoding="utf-8"))
        for clip, entry in zip(clips, entries, strict=True):
            parts[_part(clip, entry.get("voice"))].append(clip)
    _check_texts(parts)
    return parts


def _part(clip: Clip, voice: str | None) -> Part:
    if voice is None or clip.reference is None or clip.sample_rate is None or clip.speech_end_sample is None:
        raise ClipError(f"{clip.path}: needs a voice, text, sample_rate and speech_end_sample in {INDEX}")
    return next((part for part, voices in VOICES.items() if voice in voices), "fit")


def _check_texts(parts: Mapping[Part, Sequence[Clip]]) -> None:
    found: defaultdict[str, set[Part]] = defaultdict(set)
    for part, clips in parts.items():
        for clip in clips:
            found[said(clip.reference, clip.name)].add(part)
    for text, where in found.items():
        if len(where) > 1:
            raise ClipError(f'"{text}" is said in the parts {" and ".join(sorted(where))}')
