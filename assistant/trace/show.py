"""A recorded conversation as lanes of text: who was busy when."""

from collections.abc import Iterator, Sequence

from assistant.session.parts import PARTS
from assistant.trace.runs import recorded_turns
from assistant.trace.trace import Call, RecordedSession, Trace
from assistant.trace.turns import ReplayedTurn

WIDTH = 100
_NAME = 12
_VOICED = 0.5
_BEFORE_NS, _AFTER_NS = 300_000_000, 300_000_000  # around a turn

Interval = tuple[int, int]

LANES = {
    "partials": ("asr.partial",),
    "transcript": ("asr.final",),
    "score": ("score",),
    "read ahead": ("llm.read_ahead",),
    "llm": ("llm.reply",),
    "tts": ("tts.speak",),
}


def show(trace: Trace, width: int = WIDTH) -> Iterator[str]:
    """Every turn: lanes from before the user's voice to after the reply is heard, and the parts."""
    for session in trace.sessions:
        calls = [call for call in trace.calls if call.session == session.name]
        for reply, turn in zip(_replies(session), recorded_turns(session), strict=False):
            yield from _turn(session, calls, reply, turn, width)


def _replies(session: RecordedSession) -> list[Interval]:
    """From when to when each turn goes: from the last reply to when this one is heard."""
    found, last_ns = [], session.at_ns
    for line in session.replies:
        if line["reopened"]:
            continue
        end_ns = line["ends"]["playback.start"] if line["ends"] else line["decided"]
        found.append((last_ns, end_ns))
        last_ns = line["at"]
    return found


def _turn(
    session: RecordedSession, calls: Sequence[Call], bounds: Interval, turn: ReplayedTurn, width: int
) -> Iterator[str]:
    voiced = [each for each in _user(calls) if bounds[0] <= each[0] < bounds[1]]
    start_ns = max(0, (voiced[0][0] if voiced else bounds[0]) - _BEFORE_NS)
    end_ns = bounds[1] + _AFTER_NS
    waited = "nothing was heard" if turn.ttfa_ms is None else f"{turn.ttfa_ms:.0f} ms"
    yield f"{session.name}  {turn.file}  {waited}  {turn.transcript!r}"
    rows = {"user": voiced} | {name: _busy(calls, stages) for name, stages in LANES.items()}
    rows["playback"] = [(bounds[1], end_ns)] if turn.ttfa_ms is not None else []
    for name, intervals in rows.items():
        yield f"  {name:<{_NAME}}{lane(intervals, start_ns, end_ns, width)}"
    seconds = f"{(end_ns - start_ns) / 1e9:.2f} s"
    yield f"  {'':<{_NAME}}0{seconds:>{width - 1}}"
    parts = [f"{part.name} {part.ms:.0f}" for part in turn.parts if part.name in PARTS and part.ms >= 0.5]
    yield f"  {', '.join(parts)}\n"


def _user(calls: Sequence[Call]) -> list[Interval]:
    """When the detector took the user to speak; a window is 32 ms long and ends where it is detected."""
    return [
        (step.began_ns - 32_000_000, step.began_ns)
        for call in calls
        if call.stage == "vad"
        for step in call.steps
        if float(step.gave) >= _VOICED
    ]


def _busy(calls: Sequence[Call], stages: Sequence[str]) -> list[Interval]:
    return [(step.began_ns, step.ended_ns) for call in calls if call.stage in stages for step in call.steps]


def lane(intervals: Sequence[Interval], start_ns: int, end_ns: int, width: int) -> str:
    """A character for each part of the time: full where half of it or more is busy, half where less."""
    cell_ns = (end_ns - start_ns) / width
    text = ""
    for index in range(width):
        left = start_ns + index * cell_ns
        busy_ns = sum(max(0.0, min(end, left + cell_ns) - max(begin, left)) for begin, end in intervals)
        text += "█" if busy_ns >= cell_ns / 2 else "▌" if busy_ns else "·"
    return text
