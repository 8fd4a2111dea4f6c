"""The JSON report of a replay, and its one-screen summary."""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from asr.eval.score import total, word_errors
from assistant.runtime.machine import machine
from assistant.session.parts import PARTS
from assistant.trace.replay import Replay
from assistant.trace.turns import ReplayedTurn

Quantiles = dict[str, float | None]


class ReportError(OSError):
    """A file of results that cannot be written; the message names it."""


def report(replay: Replay, models: Sequence[Mapping[str, str]]) -> dict[str, Any]:
    """Everything that `replay --json` writes."""
    return {
        "machine": machine(),
        "models": list(models),
        "turns": [asdict(turn) for turn in replay.turns],
        "summary": summary(replay),
    }


def summary(replay: Replay) -> dict[str, Any]:
    """Quantiles of time to first audio and of each part, errors and turn taking over all turns."""
    turns = replay.turns
    answered = [turn for turn in turns if turn.ttfa_ms is not None]
    labelled = [turn for turn in turns if turn.reference is not None]
    errors = total(word_errors(turn.reference or "", turn.transcript) for turn in labelled)
    return {
        "turns": len(turns),
        "replies": len(answered),
        "ttfa_ms": quantiles([turn.ttfa_ms for turn in answered if turn.ttfa_ms is not None]),
        **{name: quantiles(_parts_ms(answered, name)) for name in PARTS},
        "wer": errors.wer if labelled else None,
        "cut_in_rate": sum(turn.cut_in for turn in turns) / len(turns) if turns else None,
        "event_loop_lag_ms": {**quantiles(replay.lags_ms), "max": max(replay.lags_ms, default=None)},
        "underruns": sum(turn.underruns for turn in turns),
        "dropped_frames": replay.dropped_frames,
        "failures": replay.failures,
        "sessions": replay.sessions,
        "cpu_cores": replay.cpu,
    }


def quantiles(values: Sequence[float]) -> Quantiles:
    """Median and 95th percentile, None of nothing."""
    if not values:
        return {"p50": None, "p95": None}
    return {"p50": float(np.percentile(values, 50)), "p95": float(np.percentile(values, 95))}


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write the report whole or not at all; raises ReportError."""
    write_text(path, json.dumps(content, indent=1) + "\n")


def write_text(path: Path, text: str) -> None:
    """Write a text file whole or not at all; raises ReportError."""
    temporary = path.parent / f".{path.name}.{os.getpid()}.part"  # others may write there, too
    try:
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(path)
    except OSError as error:
        if temporary.is_file():
            temporary.unlink()
        raise ReportError(f"{path}: cannot be written ({error.strerror})") from error


def _parts_ms(turns: Sequence[ReplayedTurn], name: str) -> list[float]:
    """Of those turns whose parts are known."""
    return [part.ms for turn in turns for part in turn.parts if part.name == name]
