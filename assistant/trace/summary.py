"""The JSON report of a replay, and its one-screen summary."""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from asr.eval.score import total, word_errors
from assistant.runtime.machine import machine
from assistant.session.parts import PARTS
from assistant.trace.pauses import NO_PAUSE
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
        "turns": [turn_json(turn) for turn in replay.turns],
        "summary": summary(replay),
    }


def turn_json(turn: ReplayedTurn) -> dict[str, Any]:
    """A turn with the numbers of its false starts."""
    numbers = {"false_starts": turn.false_starts, "heard_false_starts": turn.heard_false_starts}
    return {**asdict(turn), **numbers}


def summary(replay: Replay) -> dict[str, Any]:
    """Quantiles of time to first audio and of each part, errors and turn taking over all turns."""
    turns = replay.turns
    answered = [turn for turn in turns if turn.ttfa_ms is not None]
    labelled = [turn for turn in turns if turn.reference is not None]
    errors = total(word_errors(turn.reference or "", turn.transcript) for turn in labelled)
    return {
        **turn_taking(turns),
        "replies": len(answered),
        **{name: quantiles(_parts_ms(answered, name)) for name in PARTS},
        "wer": errors.wer if labelled else None,
        "event_loop_lag_ms": {**quantiles(replay.lags_ms), "max": max(replay.lags_ms, default=None)},
        "underruns": sum(turn.underruns for turn in turns),
        "dropped_frames": replay.dropped_frames,
        "failures": replay.failures,
        "sessions": replay.sessions,
        "cpu_cores": replay.cpu,
    }


def turn_taking(turns: Sequence[ReplayedTurn]) -> dict[str, Any]:
    """What is told of all turns and, again, of those without a labelled pause; the false starts by pause."""
    return {
        **_waits(turns),
        "without_pause": _waits([turn for turn in turns if not turn.pause_kinds]),
        "by_skills": _waits([turn for turn in turns if turn.intent]),
        "by_pause": _by_pause(turns),
        "speculation": _speculation(turns),
    }


def _waits(turns: Sequence[ReplayedTurn]) -> dict[str, Any]:
    return {
        "turns": len(turns),
        "ttfa_ms": quantiles([turn.ttfa_ms for turn in turns if turn.ttfa_ms is not None]),
        "ready_ms": quantiles([turn.ready_ms for turn in turns if turn.ready_ms is not None]),
        "turns_with_false_start": sum(turn.false_starts > 0 for turn in turns),
        "turns_with_heard_false_start": sum(turn.heard_false_starts > 0 for turn in turns),
    }


def _by_pause(turns: Sequence[ReplayedTurn]) -> dict[str, dict[str, int]]:
    """Of each kind of pause the turns that have one, and those with a false start in one.

    NO_PAUSE is every place outside of pauses, which all turns have.
    """
    kinds = sorted({kind for turn in turns for kind in turn.pause_kinds})
    return {
        kind: {
            "turns": sum(kind in (*turn.pause_kinds, NO_PAUSE) for turn in turns),
            "turns_with_false_start": sum(_starts_in(turn, kind) for turn in turns),
            "turns_with_heard_false_start": sum(_starts_in(turn, kind, heard=True) for turn in turns),
        }
        for kind in (*kinds, NO_PAUSE)
    }


def _starts_in(turn: ReplayedTurn, kind: str, *, heard: bool = False) -> bool:
    return any(each.pause == kind and each.heard >= heard for each in turn.early)


def _speculation(turns: Sequence[ReplayedTurn]) -> dict[str, float | None]:
    prepared = sum(turn.prepared for turn in turns)
    discarded = sum(turn.discarded for turn in turns)
    share = discarded / prepared if prepared else None
    return {"prepared": prepared, "discarded": discarded, "discarded_share": share}


def turn_taking_lines(numbers: Mapping[str, Any]) -> Iterator[str]:
    """What `turn_taking` gives, in a few lines; none where nothing was answered."""
    ready, speculation = numbers["ready_ms"], numbers["speculation"]
    if ready["p50"] is not None:
        yield f"reply ready: p50 {ready['p50']:.0f} ms, p95 {ready['p95']:.0f} ms"
    skilled = numbers["by_skills"]
    if skilled["ttfa_ms"]["p50"] is not None:
        waits = "p50 {p50:.0f} ms, p95 {p95:.0f} ms".format(**skilled["ttfa_ms"])
        yield f"answered by skills: {skilled['turns']} turns, time to first audio {waits}"
    early, heard = numbers["turns_with_false_start"], numbers["turns_with_heard_false_start"]
    where = [
        f"{kind} {of['turns_with_heard_false_start']} of {of['turns']}"
        for kind, of in numbers["by_pause"].items()
        if of["turns_with_heard_false_start"]
    ]
    yield f"false starts in {early} turns, heard in {heard}" + f": {', '.join(where)}" * bool(where)
    if speculation["prepared"]:
        yield (
            f"{speculation['prepared']} replies prepared, {speculation['discarded']} of them discarded"
            f" ({speculation['discarded_share']:.0%})"
        )


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
