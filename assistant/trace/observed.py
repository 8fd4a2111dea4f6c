"""What a trace tells besides the calls of models: spans, what was played, and when that fell silent."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from assistant.runtime import Span
from assistant.session.sink import duration_ns

Line = Mapping[str, Any]
Interval = tuple[int, int]
"""From when to when, in nanoseconds."""


@dataclass(frozen=True)
class Played:
    """Audio that the sink was given `at_ns`, and said that it `sounds_ns`: so many samples at `rate` Hz."""

    at_ns: int
    sounds_ns: int
    samples: int
    rate: int


@dataclass(frozen=True)
class Silence:
    """The sink was told to pause, resume, stop, or change its gain, after `position` samples had sounded."""

    at_ns: int
    what: str
    position: int
    level: float | None = None


def span_of(line: Line) -> Span:
    """A span; raises KeyError and TypeError."""
    name, track, session = (_typed(line, key, str) for key in ("name", "on", "session"))
    began, ended = (_typed(line, key, int) for key in ("began", "ended"))
    reply = _typed(line, "reply", int) if "reply" in line else None
    attributes = _typed(line, "attributes", dict) if "attributes" in line else {}
    return Span(name, track, began, ended, session, reply, attributes)


def played_of(line: Line) -> Played:
    """Audio that was played; raises KeyError, TypeError and ValueError."""
    _, samples = line["audio"]
    at, sounds, rate = (_typed(line, key, int) for key in ("at", "sounds", "rate"))
    if rate < 1 or samples < 0:
        raise ValueError(f"{samples} samples at {rate} Hz")
    return Played(at, sounds, samples, rate)


def silence_of(line: Line) -> Silence:
    """What the sink was told; raises KeyError and TypeError."""
    at, position = (_typed(line, key, int) for key in ("at", "position"))
    return Silence(at, _typed(line, "what", str), position, line.get("level"))


def _typed(line: Line, key: str, kind: type) -> Any:  # noqa: ANN401  # of that type
    value = line[key]
    if not isinstance(value, kind):
        raise TypeError(f"{key} is {value!r:.40}")
    return value


def latency_ns(told: Sequence[Played | Silence]) -> int | None:
    """How soon the sink sounded what it was given while nothing else did: the smallest of what it said."""
    return min((event.sounds_ns - event.at_ns for event in told if isinstance(event, Played)), default=None)


def sounded(told: Sequence[Played | Silence]) -> list[Interval]:
    """When a loudspeaker sounded that was `told` this, in order; pieces without a gap are one interval.

    A stop comes after `position` samples of all that was written and not dropped. What a pause held back goes
    on at `resume`, after the latency that the sink had elsewhere: behind `position` samples then, for a
    device goes on for a moment after it was told to pause.
    """
    latency = latency_ns(told) or 0
    sounding: list[Played] = []
    paused: Silence | None = None
    for event in told:
        if isinstance(event, Played):
            sounding.append(event)
        elif event.what == "pause":
            paused = paused or event
        elif event.what == "resume" and paused:
            sounding, held = _cut(sounding, event.position)
            sounding += _resumed(held, event.at_ns + latency)
            paused = None
        elif event.what == "stop":
            sounding, _ = _cut(sounding, event.position)
            paused = None
    if paused:
        sounding, _ = _cut(sounding, paused.position)
    return _joined([(p.sounds_ns, p.sounds_ns + duration_ns(p.samples, p.rate)) for p in sounding])


def _cut(pieces: Sequence[Played], position: int) -> tuple[list[Played], list[Played]]:
    """The first `position` samples, and what is behind them."""
    before, behind = [], []
    for piece in sorted(pieces, key=lambda piece: piece.sounds_ns):
        first = min(piece.samples, max(0, position))
        position -= piece.samples
        if first:
            before.append(Played(piece.at_ns, piece.sounds_ns, first, piece.rate))
        if first < piece.samples:
            start_ns = piece.sounds_ns + duration_ns(first, piece.rate)
            behind.append(Played(piece.at_ns, start_ns, piece.samples - first, piece.rate))
    return before, behind


def _resumed(held: Sequence[Played], start_ns: int) -> list[Played]:
    resumed = []
    for piece in held:
        resumed.append(Played(piece.at_ns, start_ns, piece.samples, piece.rate))
        start_ns += duration_ns(piece.samples, piece.rate)
    return resumed


def _joined(intervals: Sequence[Interval], gap_ns: int = 1_000_000) -> list[Interval]:
    """Intervals in order of time, those less than `gap_ns` apart in one."""
    joined: list[Interval] = []
    for start, end in sorted(intervals):
        if joined and start - joined[-1][1] < gap_ns:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        elif end > start:
            joined.append((start, end))
    return joined
