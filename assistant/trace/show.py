"""A recorded conversation as lanes of text: who was busy when."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile
from textwrap import wrap

from assistant.trace.lanes import Item, Lane
from assistant.trace.timeline import Timeline, Words

WIDTH = 100
NARROWEST = 40
_NAME = 10
_INDENT = " " * (2 + _NAME)


@dataclass(frozen=True)
class Glyphs:
    """What lanes are drawn with: work that fills its place or does not, work beside it, and nothing."""

    full: str
    less: str
    side: str
    idle: str


BLOCKS = Glyphs("█", "▌", "░", "·")
PLAIN = Glyphs("#", "+", "=", ".")

MARKS = {
    "sounds complete": "S",
    "reads complete": "R",
    "prepare": "P",
    "decided": "D",
    "goes on": "G",
    "reopened": "O",
    "barged in": "B",
    "cancelled": "C",
}
"""The letter of each kind of moment; where two fall into one place, the later of this list is drawn."""
_OTHER = "*"


def legend(glyphs: Glyphs, width: int = WIDTH) -> Iterator[str]:
    """What the characters of the lanes mean."""
    letters = ", ".join(f"{letter} {name}" for name, letter in MARKS.items())
    yield from wrap(
        f"{glyphs.full} busy, {glyphs.less} for less than half of the time, {glyphs.side} beside it: a pause "
        f"(turn), score (asr), reading ahead (llm). Turn: {letters}, {_OTHER} anything else.",
        width,
    )


def show(timeline: Timeline, width: int = WIDTH, glyphs: Glyphs = BLOCKS) -> Iterator[str]:
    """A turn: lanes from before the user's voice to just after the reply is heard, words and parts.

    `width` is at least `NARROWEST`.
    """
    turn, start_ns = timeline.turn, timeline.start_ns
    width = max(width, NARROWEST)
    cells = width - len(_INDENT)
    waited = "nothing was heard" if turn.ttfa_ms is None else f"{turn.ttfa_ms:.0f} ms"
    yield from wrap(_printable(f"{timeline.session}  {turn.file}  {waited}  {turn.transcript!r}"), width)
    for lane in timeline.lanes:
        drawn = draw(lane, start_ns, timeline.heard_ns, cells, glyphs)
        yield f"  {lane.name:<{_NAME}}{drawn}"
    yield f"{_INDENT}0{f'{(timeline.heard_ns - start_ns) / 1e9:.2f} s':>{cells - 1}}"
    yield from _listed("turn", _moments(timeline), width)
    yield from _listed("partials", _new_words(timeline.partials, start_ns), width)
    parts = [f"{waited.part.name} {waited.part.ms:.0f}" for waited in timeline.wait if waited.part.ms >= 0.5]
    yield from _listed("waited ms", parts, width)
    yield ""


def draw(lane: Lane, start_ns: int, end_ns: int, width: int, glyphs: Glyphs = BLOCKS) -> str:
    """A character for each part of the time: full where half of it or more is busy; marks as letters."""
    cell_ns = (end_ns - start_ns) / width
    text = ""
    for index in range(width):
        left = start_ns + index * cell_ns
        busy = [_overlap(lane.items, kind, left, left + cell_ns) for kind in ("main", "side")]
        full = busy[0] >= cell_ns / 2
        text += glyphs.full if full else glyphs.less if busy[0] else glyphs.side if busy[1] else glyphs.idle
    drawn = list(text)
    marks = [item for item in lane.items if item.kind == "mark"]
    for item in sorted(marks, key=lambda item: list(MARKS).index(item.name) if item.name in MARKS else -1):
        place = int((item.start_ns - start_ns) // cell_ns)
        if 0 <= place < width:
            drawn[place] = MARKS.get(item.name, _OTHER)
    return "".join(drawn)


def _overlap(items: Sequence[Item], kind: str, left: float, right: float) -> float:
    return sum(
        max(0.0, min(item.end_ns, right) - max(item.start_ns, left)) for item in items if item.kind == kind
    )


def _listed(name: str, entries: Sequence[str], width: int) -> Iterator[str]:
    """`entries` as lines that begin with a name."""
    if entries:
        text = _printable(", ".join(entries))
        yield from wrap(
            text,
            width,
            initial_indent=f"  {name:<{_NAME}}",
            subsequent_indent=_INDENT,
            break_on_hyphens=False,
        )


def _moments(timeline: Timeline) -> list[str]:
    """What lies on the turn machine's lane, and when; marks of playback too."""
    items = [item for lane in timeline.lanes if lane.name in ("turn", "playback") for item in lane.items]
    told = []
    for item in sorted(items, key=lambda item: item.start_ns):
        if item.kind != "main":
            score = "".join(f" {item.told[key]}" for key in ("p", "log_odds") if key in item.told)
            told.append(f"{(item.start_ns - timeline.start_ns) / 1e9:.2f} {item.name}{score}")
    return told


def _new_words(partials: Sequence[Words], start_ns: int) -> list[str]:
    """When which words came: of each partial what follows the words that it has in common with the last."""
    told, before = [], list[str]()
    for partial in partials:
        words = f"{partial.stable} {partial.unstable}".split()
        same = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(before, words, strict=False)))
        if words[same:]:
            told.append(f"{(partial.at_ns - start_ns) / 1e9:.2f} {' '.join(words[same:])}")
        before = words
    return told


def _printable(text: str) -> str:
    """`text` without what would steer a terminal."""
    return "".join(c if c.isprintable() else "?" for c in text)
