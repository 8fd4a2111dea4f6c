"""The clips of a trace, so that its conversations can be held once more."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from asr.audio import RATE
from assistant.audio import INDEX, find_clips
from assistant.trace.errors import TraceError
from assistant.trace.recording import LABELS
from assistant.trace.replay import Line
from assistant.trace.trace import RecordedSession, Trace


def lines_of(trace: Trace, folder: Path) -> list[Line]:
    """What `assistant replay` played when `trace` was recorded; the clips are written into `folder`.

    Raises TraceError: not all that came in was clips.
    """
    lines: dict[str, list[Any]] = {}
    for number, session in enumerate(trace.sessions):
        if not session.clips or session.inputs:
            raise TraceError(f"{trace.folder}: {session.name} was not fed with clips alone")
        own = folder / str(number)
        own.mkdir()
        _write(session, own)
        line, _, _ = session.name.partition(".")
        lines.setdefault(line, []).append(find_clips(own))
    return list(lines.values())


def _write(session: RecordedSession, folder: Path) -> None:
    entries: list[dict[str, Any]] = []
    starts = [_samples_until(session, clip["at"]) for clip in session.clips]
    for clip, start, end in zip(session.clips, starts, [*starts[1:], len(session.audio)], strict=True):
        name = f"{Path(clip['file']).stem}.flac"
        path = folder / (f"{len(entries)} {name}" if (folder / name).exists() else name)
        audio = np.trim_zeros(
            session.audio[start:end], "b"
        )  # the silence in which it was waited for the reply
        soundfile.write(path, audio, RATE, subtype="PCM_16", format="FLAC")
        entries.append({"file": path.name, "text": clip["text"], "sample_rate": RATE, **_labels(clip)})
    (folder / INDEX).write_text(json.dumps(entries), encoding="utf-8")


def _samples_until(session: RecordedSession, time_ns: int) -> int:
    return sum(samples for _, recorded_ns, samples in session.frames if recorded_ns <= time_ns)


def _labels(clip: Mapping[str, Any]) -> dict[str, Any]:
    """The labels of a clip, in samples at 16 kHz."""

    rate = int(clip["rate"])

    def at(sample: int) -> int:
        return sample * RATE // rate

    labels = {key: clip[key] for key in LABELS if clip.get(key) is not None}
    for key in ("speech_start_sample", "speech_end_sample"):
        if key in labels:
            labels[key] = at(labels[key])
    labels["pauses"] = [[at(start), at(end)] for start, end in labels.get("pauses", ())]
    return labels
