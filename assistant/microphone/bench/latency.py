"""How long a user waits in a live room, beside `assistant replay` on the same clips."""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile
from rich.console import Console

from assistant.audio import INDEX, Clip, read_clip
from assistant.microphone.bench.live_figures import turns
from assistant.microphone.bench.live_room import Said, converse
from assistant.microphone.bench.rooms import Room

ROOM = Room(0, 60, 0.3, seed=51)
_AFTER_QUIET_S = 1.5
_STARTED_S = 6.0


def waits(tools: Path, folder: Path, clips: Sequence[Clip]) -> tuple[list[float | None], list[float | None]]:
    """Milliseconds to the first audible sample of each clip's reply: in the room, and in a replay."""
    said = [Said(clip, f"quiet+{_AFTER_QUIET_S}") for clip in clips]
    said[0] = Said(clips[0], str(_STARTED_S))
    recorded = converse(tools, folder / "room", ROOM, said)
    answered = [turn.answered_ms for turn in turns(recorded, [])]
    return answered, replayed(folder, clips)


def replayed(folder: Path, clips: Sequence[Clip]) -> list[float | None]:
    """Time to first audio of each clip, by `assistant replay`."""
    copies, out = folder / "clips", folder / "replay.json"
    copies.mkdir(parents=True, exist_ok=True)
    index = []
    for number, clip in enumerate(clips):
        audio, rate = read_clip(clip)
        soundfile.write(copies / f"{number:03}.flac", audio, rate)
        labels = {
            "speech_start_sample": clip.speech_start_sample,
            "speech_end_sample": clip.speech_end_sample,
        }
        index.append({"file": f"{number:03}.flac", "text": clip.reference, "sample_rate": rate, **labels})
    (copies / INDEX).write_text(json.dumps(index), encoding="utf-8")
    command = [sys.executable, "-c", "from assistant.cli import main; main()", "replay", str(copies)]
    subprocess.run([*command, "--json", str(out)], stdout=subprocess.DEVNULL, check=True)
    return [turn["ttfa_ms"] for turn in json.loads(out.read_text(encoding="utf-8"))["turns"]]


def show(room: Sequence[float | None], replay: Sequence[float | None], console: Console) -> None:
    """Medians, and what the devices add, turn by turn."""
    both = np.array([(here, there) for here, there in zip(room, replay, strict=True) if here and there])
    added = np.diff(both[:, ::-1], axis=1)[:, 0]
    drawn = np.random.default_rng(0).choice(added, (10_000, len(added)))
    low, high = np.percentile(np.median(drawn, axis=1), (2.5, 97.5))
    for name, column in (("in the room", 0), ("in a replay", 1)):
        p50, p95 = np.percentile(both[:, column], (50, 95))
        console.print(f"{name}: p50 {p50:.0f} ms, p95 {p95:.0f} ms, {len(both)} turns")
    console.print(f"the room adds, turn by turn: median {np.median(added):.0f} ms ({low:.0f} to {high:.0f})")
