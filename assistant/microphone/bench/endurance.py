"""Minutes of conversation in which devices, sound server and machine fail: it goes on, and holds no more."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from assistant.audio import Clip
from assistant.microphone.bench.faults import Fault, busy, crash, cut, unplug
from assistant.microphone.bench.live_figures import Turn, turns
from assistant.microphone.bench.live_room import Recorded, Said, air, lines, server, talking
from assistant.microphone.bench.rooms import Room

ROOM = Room(0, 60, 0.3, seed=52)
_EVERY_S = 12.0  # a clip, whatever happens
_STARTED_S = 8.0
_AFTER_S = 12.0  # behind the last clip
_MINUTE_S = 60.0


@dataclass(frozen=True)
class Part:
    """A stretch with one recording: a fault in its middle, and another behind its end."""

    within: Fault | None = None
    behind: Fault | None = None


PARTS = (Part(unplug, cut), Part(None, crash), Part(busy, cut), Part())


@dataclass(frozen=True)
class Found:
    """What came of one part."""

    turns: tuple[Turn, ...]
    failing_s: tuple[float, float] | None
    """When its fault was, in seconds of the room."""

    def disturbed(self, turn: Turn) -> bool:
        """Whether the turn was said, or answered, while something failed."""
        if self.failing_s is None:
            return False
        start_s, end_s = self.failing_s
        return turn.start_s < end_s and start_s < turn.end_s + _EVERY_S


def endure(tools: Path, folder: Path, clips: Sequence[Clip], minutes: float) -> list[Found]:
    """Talk through all parts; the program's log and what it printed are left in `folder`.

    Raises OSError where the program or the room ends.
    """
    found = []
    with server(tools) as environment, talking(environment, folder):
        for number, part in enumerate(PARTS):
            said = script_of(clips, 60 * minutes / len(PARTS))
            found.append(_play(tools, folder / f"part-{number}", environment, said, part.within))
            if part.behind:
                part.behind(tools, environment)
    return found


def script_of(clips: Sequence[Clip], seconds: float) -> list[Said]:
    """A clip every twelve seconds."""
    count = max(1, int((seconds - _STARTED_S - _AFTER_S) / _EVERY_S) + 1)
    return [Said(clips[at % len(clips)], str(_STARTED_S + at * _EVERY_S)) for at in range(count)]


def _play(
    tools: Path, folder: Path, environment: Mapping[str, str], said: Sequence[Said], fault: Fault | None
) -> Found:
    middle_s = float(said[len(said) // 2].when)
    failing_s = None
    began_s = time.monotonic()
    with air(tools, environment, folder, ROOM, said, after_s=_AFTER_S) as room:
        if fault is not None:
            time.sleep(middle_s)
            fault(tools, environment)
            failing_s = middle_s, time.monotonic() - began_s
        room.wait()
    return Found(tuple(turns(Recorded(folder, tuple(said)), [])), failing_s)


def show(found: Sequence[Found], folder: Path, console: Console) -> bool:
    """Print what happened; whether all went on and nothing is held that was not in the first minute."""
    for number, part in enumerate(found):
        calm = [turn for turn in part.turns if not part.disturbed(turn)]
        answered = [turn for turn in calm if turn.answered_ms is not None]
        loss = len(part.turns) - len(calm)
        console.print(f"part {number}: {len(answered)} of {len(calm)} turns answered, {loss} in a fault")
    usage = [line for line in lines(folder / "log.jsonl") if line["event"] == "usage"]
    start_ns = usage[0]["monotonic_ns"]
    first = [line for line in usage if line["monotonic_ns"] - start_ns < _MINUTE_S * 1e9]
    last = [line for line in usage if usage[-1]["monotonic_ns"] - line["monotonic_ns"] < _MINUTE_S * 1e9]
    held = True
    for name in ("tasks", "threads", "descriptors", "memory_mb"):
        before, after = (min(line[name] for line in part) for part in (first, last))  # when idle
        held = held and (after <= before or name == "memory_mb")
        console.print(f"{name}: {before:.0f} in the first minute, {after:.0f} in the last")
    every = [turn for part in found for turn in part.turns if not part.disturbed(turn)]
    return held and all(turn.answered_ms is not None for turn in every)
