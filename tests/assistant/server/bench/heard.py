"""Made-up logs of a client: events at times in ms behind the start of the clip."""

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from assistant.audio import Clip
from assistant.server.bench.clips import SpokenClip
from assistant.server.bench.log import Log
from assistant.server.bench.measure import HeardTurn

START_NS = 5_000_000_000


def spoken(voice_end_s: float | None = 1.0, file: str = "a.flac", seconds: float = 0.0) -> SpokenClip:
    return SpokenClip(Clip(Path(file), "What is it?"), bytes(int(seconds * 24000) * 2), voice_end_s)


def log(*events: tuple[float, Mapping[str, Any]]) -> Log:
    found = Log([], START_NS)
    for ms, event in events:
        found.take(START_NS + int(ms * 1e6), event)
    return found


def created(reply: str = "r") -> dict[str, Any]:
    return {"type": "response.created", "response": {"id": reply}}


def done(reply: str = "r", status: str = "completed", **metadata: str) -> dict[str, Any]:
    response = {"id": reply, "status": status, "metadata": metadata or None}
    return {"type": "response.done", "response": response}


def audio(samples: Sequence[int], reply: str = "r") -> dict[str, Any]:
    """Samples as 16-bit integers."""
    data = base64.b64encode(np.array(samples, "<i2").tobytes()).decode()
    return {"type": "response.output_audio.delta", "response_id": reply, "delta": data}


def ms(count: float, level: int = 9000) -> list[int]:
    """So many ms of one level."""
    return [level] * int(count * 24)


def text(words: str, reply: str = "r") -> dict[str, Any]:
    return {"type": "response.output_audio_transcript.delta", "response_id": reply, "delta": words}


def turn(ttfa_ms: float | None = None, **given: Any) -> HeardTurn:  # noqa: ANN401  # fields of a turn
    fields: dict[str, Any] = {
        "file": "a.flac",
        "reference": None,
        "transcript": "",
        "reply": "Yes.",
        "ttfa_ms": ttfa_ms,
        "gaps_ms": (),
        "cut_into": False,
        "errors": (),
        "broken": "",
        "metadata": {},
    }
    return HeardTurn(**{**fields, **given})
