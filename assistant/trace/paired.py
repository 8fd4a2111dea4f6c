"""What is compared of recordings: the times of each turn, paired by clip over all recordings of two sides."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from assistant.audio import FRAME_MS
from assistant.session.parts import PARTS
from assistant.trace.errors import TraceError
from assistant.trace.intervals import Array
from assistant.trace.runs import recorded_turns
from assistant.trace.told import TTFA, keyed
from assistant.trace.trace import Trace
from assistant.trace.turns import ReplayedTurn

DECISION, _SOUNDING = PARTS[0], PARTS[-1]
WORKING = tuple(name for name in PARTS if name not in (DECISION, _SOUNDING))
"""Parts that may run behind an earlier one; what is hidden of the last waits for the release of the reply."""
QUANTITIES = (TTFA, *PARTS, *(f"{name} (work)" for name in WORKING))
"""What is compared: the wait, what is exposed of each part, and all that a part took, hidden or not."""
MOST_LATE = 0.01
"""Share of the frames of a clip that may come a whole frame late; more, and other work held the machine."""


@dataclass(frozen=True)
class Measured:
    """A recording. Turns are keyed by the file of their clip, counted where that comes again."""

    name: str
    turns: Mapping[str, tuple[float, ...]]
    """Of each turn that was answered the QUANTITIES in ms."""
    clips: Mapping[str, object]
    """Text and labels of each clip, by its file."""
    words: Mapping[str, tuple[str, str]]
    """Of each turn what was understood and replied."""
    late: float
    """Share of the frames of clips that came FRAME_MS or more after their last sample was over."""
    settings: Mapping[str, object]
    """Configuration, models, cores and threads, by dotted name."""


def measured(trace: Trace) -> Measured:
    """What is compared of `trace`."""
    turns = dict(keyed([turn for session in trace.sessions for turn in recorded_turns(session)]))
    lines = [line for session in trace.sessions for line in session.clips]
    came = [frame for session in trace.sessions if session.clips for frame in session.frames]
    late = [came_ns - recorded_ns >= FRAME_MS * 1_000_000 for came_ns, recorded_ns, _ in came]
    return Measured(
        str(trace.folder),
        {key: tuple(_quantities(turn)) for key, turn in turns.items() if turn.parts},
        {line["file"]: (line["text"], line["rate"], line["speech_end_sample"]) for line in lines},
        {key: (turn.transcript, turn.reply) for key, turn in turns.items()},
        sum(late) / max(1, len(late)),
        dict(_settings(trace)),
    )


def _quantities(turn: ReplayedTurn) -> Iterator[float]:
    yield turn.ttfa_ms or 0.0
    yield from (part.ms for part in turn.parts)
    yield from (part.ms + part.hidden_ms for part in turn.parts if part.name in WORKING)


def _settings(trace: Trace) -> Iterator[tuple[str, object]]:
    yield "cores", trace.cores
    yield from _flat("threads", trace.threads)
    yield from _flat("models", {model["name"]: model["sha256"][:12] for model in trace.models})
    yield from _flat("", asdict(trace.config))


def _flat(prefix: str, table: Mapping[str, Any]) -> Iterator[tuple[str, object]]:
    for key, value in table.items():
        name = f"{prefix}.{key}".lstrip(".")
        if isinstance(value, dict):
            yield from _flat(name, value)
        else:
            yield name, value


@dataclass(frozen=True)
class Pairs:
    """The turns that both sides answered: `a` and `b` are ms, [recordings, turns, quantities].

    NaN is a turn that one recording of several did not answer.
    """

    turns: tuple[str, ...]
    a: Array
    b: Array


def paired(a: Sequence[Measured], b: Sequence[Measured]) -> Pairs:
    """Pair the turns of both sides; raises TraceError if they have no clip in common, or other ones."""
    _check_clips([*a, *b])
    here, there = ([key for each in side for key in each.turns] for side in (a, b))
    for side, keys in ((a, here), (b, there)):
        if not keys:
            raise TraceError(f"{side[0].name}: no turn was answered, so there is nothing to compare")
    turns = tuple(key for key in dict.fromkeys(here) if key in there)
    if not turns:
        raise TraceError(f"{b[0].name}: no turn in common with {a[0].name}: {there[0]}, not {here[0]}")
    return Pairs(turns, _stacked(a, turns), _stacked(b, turns))


def _check_clips(recordings: Sequence[Measured]) -> None:
    first: dict[str, tuple[str, object]] = {}
    for each in recordings:
        for file, clip in each.clips.items():
            name, known = first.setdefault(file, (each.name, clip))
            if clip != known:
                raise TraceError(f"{each.name}: {file} is another clip than in {name}")


def _stacked(side: Sequence[Measured], turns: Sequence[str]) -> Array:
    missing = (np.nan,) * len(QUANTITIES)
    return np.array([[each.turns.get(key, missing) for key in turns] for each in side], np.float64)


def notes(a: Sequence[Measured], b: Sequence[Measured], turns: Sequence[str]) -> Iterator[str]:
    """What a reader has to know of the two sides: other turns, words or settings; a line each."""
    for side, name in ((a, "A"), (b, "B")):
        left = {key for each in side for key in each.words} - set(turns)
        if left:
            yield f"not answered by both, so not compared: {_first(sorted(left))} of {name}"
    understood = {key: {each.words.get(key) for each in a} for key in turns}
    other = [key for key in turns if not understood[key] >= {each.words.get(key) for each in b}]
    if other:
        yield f"other words understood or replied in {len(other)} of {len(turns)} turns: {_first(other)}"
    names = sorted({name for each in (*a, *b) for name in each.settings})
    for name in names:
        before, after = ({json.dumps(each.settings.get(name)) for each in side} for side in (a, b))
        if before != after:
            yield f"{name} is not the same: {_short(before)} in A, {_short(after)} in B"


def _first(keys: Sequence[str]) -> str:
    return ", ".join(keys[:3]) + (", ..." if len(keys) > 3 else "")


def _short(values: set[str]) -> str:
    return f"{' or '.join(sorted(values)):.60}"
