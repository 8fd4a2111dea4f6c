"""What users say in the bench: recorded clips, in two parts that share no voice and no sentence."""

import json
from collections.abc import Collection, Sequence
from pathlib import Path

from assistant.audio import INDEX, Clip, ClipError, find_clips
from assistant.microphone.bench.far_end import Part

CHOOSING_VOICES = {"af_heart", "af_bella", "am_echo", "am_eric", "bf_alice", "bm_daniel"}
"""The voices of the clips on which parameters are chosen; all others are for the report."""
_INTERRUPTING = (None, "stop", "takeover")  # a backchannel is no barge-in
_WORDS = 4


def interrupting(folders: Sequence[Path], part: Part) -> list[Clip]:
    """The labelled clips of `part` that someone would interrupt with, of each folder in turn.

    Raises ClipError where there is none, or a folder's index does not name the voices.
    """
    return _clips(folders, part, _INTERRUPTING)


def asking(folders: Sequence[Path], part: Part) -> list[Clip]:
    """The labelled clips of `part` of a few words and without a pause inside; errors as above.

    Each is to be answered: the room waits for it. Single words, and turns with pauses, are sometimes not.
    """
    clips = _clips(folders, part, (None,))
    found = [clip for clip in clips if not clip.pauses and len((clip.reference or "").split()) >= _WORDS]
    if not found:
        raise ClipError("no clip has a few words and no pause")
    return found


def _clips(folders: Sequence[Path], part: Part, kinds: Collection[str | None]) -> list[Clip]:
    found: list[Clip] = []
    for folder in folders:
        entries = json.loads((folder / INDEX).read_text(encoding="utf-8"))
        for clip, entry in zip(find_clips(folder), entries, strict=True):
            if "voice" not in entry:
                raise ClipError(f"{folder / INDEX}: the bench needs the voice of each clip")
            chosen = (entry["voice"] in CHOOSING_VOICES) == (part == "choose")
            if chosen and entry.get("kind") in kinds and clip.speech_start_sample is not None:
                found.append(clip)
    if not found:
        raise ClipError("no clip has a voice of this part")
    return found
