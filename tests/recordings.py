"""The recordings in traces/, as tests want them: at 16 kHz, with their labels."""

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

TRACES = Path(__file__).parents[1] / "traces"
RATE = 16000


@dataclass(frozen=True)
class Recording:
    """One turn; `start` and `end` are the first and last voiced sample at 16 kHz."""

    name: str
    text: str
    audio: NDArray[np.float32]  # [n] at 16 kHz
    start: int
    end: int


@cache
def recordings() -> dict[str, Recording]:
    """All of traces/ by file name without suffix."""
    entries = json.loads((TRACES / "index.json").read_text())
    return {Path(entry["file"]).stem: _read(entry) for entry in entries}


def _read(entry: dict[str, str]) -> Recording:
    audio, rate = soundfile.read(TRACES / entry["file"], dtype="float32")
    start, end = (int(entry[f"speech_{edge}_sample"]) * RATE // rate for edge in ("start", "end"))
    return Recording(entry["file"], entry["text"], soxr.resample(audio, rate, RATE), start, end)
