"""The turns of traces as one page for a browser, which needs nothing besides itself."""

from collections.abc import Iterator, Sequence
from html import escape
from importlib.resources import files

from assistant.session.parts import PARTS
from assistant.trace.lanes import Item, Lane
from assistant.trace.timeline import Timeline, Waited, Words
from assistant.trace.turns import ReplayedTurn

_ROW, _BAR = 26, 16  # heights of a lane and of what lies on it, in pixels
_MARKS = {"sounds complete": "sounds", "reads complete": "reads"}


def page(turns: Sequence[Timeline]) -> str:
    """The page. All that people or models said is escaped; its drawing scales in a script of its own."""
    template = files("assistant.trace").joinpath("page.html").read_text(encoding="utf-8")
    before, after = template.split("<!-- turns -->")
    drawn = "\n".join([*_contents(turns), *(_turn(n, turn) for n, turn in enumerate(turns))])
    whole = before + drawn + after
    return whole.encode("utf-8", "replace").decode("utf-8")  # JSON can name half a character


def _contents(turns: Sequence[Timeline]) -> Iterator[str]:
    if not turns:
        yield "<p>No turn was recorded.</p>"
        return
    longest = max((turn.turn.ttfa_ms or 0.0 for turn in turns), default=0.0) or 1.0
    yield "<table class='contents'>" + _head("turn", "time to first audio", "said")
    for number, timeline in enumerate(turns):
        turn = timeline.turn
        bar = f"<i style='--share:{max(0.0, turn.ttfa_ms or 0.0) / longest:.3f}'></i>"
        yield (
            f"<tr><td><a href='#turn-{number}'>{escape(turn.file)}</a></td>"
            f"<td class='bar'>{bar}<span>{_wait(turn)}</span></td><td>{escape(turn.transcript)}</td></tr>"
        )
    yield "</table>"


def _head(*names: str) -> str:
    return "<thead><tr>" + "".join(f"<th>{name}</th>" for name in names) + "</tr></thead>"


def _wait(turn: ReplayedTurn) -> str:
    return "nothing was heard" if turn.ttfa_ms is None else f"{turn.ttfa_ms:.0f} ms"


def _turn(number: int, timeline: Timeline) -> str:
    turn = timeline.turn
    notes = " to first audio" * (turn.ttfa_ms is not None)
    notes += "".join(f" ({note})" for note in turn.notes)
    unheard = "" if turn.heard == turn.reply else f"<dt>heard</dt><dd>{escape(turn.heard)}</dd>"
    reference = "" if turn.reference is None else f"<dt>label</dt><dd>{escape(turn.reference)}</dd>"
    return "\n".join(
        [
            f"<section class='turn' id='turn-{number}'>",
            f"<h2>{escape(turn.file)} <small>{escape(f'{timeline.trace}, {timeline.session}')}</small></h2>",
            f"<p class='ttfa'>{_wait(turn)}<small>{notes}</small></p>",
            f"<dl>{reference}<dt>transcript</dt><dd>{escape(turn.transcript)}</dd>",
            f"<dt>reply</dt><dd>{escape(turn.reply)}</dd>{unheard}</dl>",
            *_chart(timeline),
            *_parts(timeline.wait),
            *_partials(timeline.partials, timeline.start_ns),
            "</section>",
        ]
    )


def _chart(timeline: Timeline) -> Iterator[str]:
    """Names of lanes beside an SVG, whose horizontal places are per cent of the turn: it can stretch."""
    start_ns, span_ns = timeline.start_ns, timeline.end_ns - timeline.start_ns
    lanes = timeline.lanes
    heard = (timeline.heard_ns - start_ns) / 1e6
    waited = (timeline.wait[0].start_ns - start_ns) / 1e6 if timeline.wait else 0.0
    yield (
        f"<div class='chart' data-ms='{span_ns / 1e6:.3f}'"
        f" data-waited='{waited:.3f}' data-heard='{heard:.3f}'>"
        "<div class='buttons' hidden><button>wait</button>"
        "<button>to first audio</button><button>whole turn</button>"
        "<button aria-label='closer'>+</button><button aria-label='further'>&minus;</button>"
        "<button aria-label='earlier'>&lsaquo;</button><button aria-label='later'>&rsaquo;</button></div>"
    )
    names = "".join(f"<li>{name}</li>" for name in ("wait", "hidden", *(lane.name for lane in lanes)))
    height = _ROW * (len(lanes) + 2)
    yield f"<ul class='names'>{names}</ul><svg class='plot' height='{height + 20}'><svg class='view'>"
    yield from _wait_lane(timeline.wait, start_ns, span_ns)
    for row, lane in enumerate(lanes, 2):
        yield f"<g class='lane {lane.name}'>"
        yield from _lane(lane, row * _ROW, start_ns, span_ns)
        yield "</g>"
    yield f"</svg><g class='axis' transform='translate(0,{height})'></g></svg>"
    yield "<p class='told' aria-live='polite'></p></div>"


def _lane(lane: Lane, top: int, start_ns: int, span_ns: int) -> Iterator[str]:
    for item in lane.items:
        title = escape(_title(item, start_ns))
        left = (item.start_ns - start_ns) / span_ns * 100
        if item.kind == "mark":
            name = escape(_MARKS.get(item.name, item.name))
            value = escape(item.told.get("p", ""))
            yield (
                f"<svg class='mark' x='{left:.4f}%' y='{top}'><title>{title}</title><path d='M0 2V24'/>"
                f"<text x='2' y='11'>{name} {value}</text></svg>"
            )
            continue
        width = (item.end_ns - item.start_ns) / span_ns * 100
        yield _rect(item.kind, left, width, *_upright(lane.name, item.kind, top), title)


def _upright(lane: str, kind: str, top: int) -> tuple[int, int]:
    """Where a bar begins, and its height: a call is higher than its steps, a pause below its marks."""
    if lane == "turn":
        return top + 15, 7
    inset = (_ROW - _BAR) // 2 - 3 * (kind == "call")
    return top + inset, _ROW - 2 * inset


def _rect(kind: str, left: float, width: float, y: int, height: int, title: str) -> str:
    """A bar; `left` and `width` in per cent, `title` escaped."""
    return (
        f"<rect class='{kind}' x='{left:.4f}%' y='{y}' width='{width:.4f}%' height='{height}'>"
        f"<title>{title}</title></rect>"
    )


def _title(item: Item, start_ns: int) -> str:
    told = [f"{name}: {text}" for name, text in item.told.items()]
    return "\n".join([f"{item.name} at {(item.start_ns - start_ns) / 1e9:.3f} s", *told])


def _wait_lane(wait: Sequence[Waited], start_ns: int, span_ns: int) -> Iterator[str]:
    for waited in wait:
        part = waited.part
        number, title = PARTS.index(part.name) + 1, escape(_part_title(waited))
        for kind, at_ns, ms, top in (
            (f"part p{number}", waited.start_ns, part.ms, 0),
            ("side", waited.hidden_start_ns, part.hidden_ms, _ROW),
        ):
            if ms > 0:
                left, width = (at_ns - start_ns) / span_ns * 100, ms * 1e6 / span_ns * 100
                yield _rect(kind, left, width, *_upright("wait", kind, top), title)


def _part_title(waited: Waited) -> str:
    part = waited.part
    return f"{part.name}: {part.ms:.1f} ms of the wait, {part.hidden_ms:.1f} ms hidden behind parts before it"


def _parts(wait: Sequence[Waited]) -> Iterator[str]:
    """The wait as a stacked bar, and the same in figures."""
    if not wait:
        return
    whole = sum(max(0.0, waited.part.ms) for waited in wait) or 1.0
    yield "<div class='stack'>"
    for number, waited in enumerate(wait, 1):
        if waited.part.ms > 0:
            share = waited.part.ms / whole * 100
            title = escape(_part_title(waited))
            yield f"<b class='p{number}' style='width:{share:.3f}%' title='{title}'><span>{number}</span></b>"
    yield "</div><table class='parts'>" + _head("part", "exposed ms", "hidden ms")
    for number, waited in enumerate(wait, 1):
        part = waited.part
        yield (
            f"<tr><td><b class='p{number}'>{number}</b> {escape(part.name)}</td>"
            f"<td>{part.ms:.1f}</td><td>{part.hidden_ms:.1f}</td></tr>"
        )
    exposed = sum(waited.part.ms for waited in wait)
    hidden = sum(waited.part.hidden_ms for waited in wait)
    sums = f"<td>{exposed:.1f}</td><td>{hidden:.1f}</td>"
    yield f"<tfoot><tr><td>time to first audio</td>{sums}</tr></tfoot></table>"


def _partials(partials: Sequence[Words], start_ns: int) -> Iterator[str]:
    if not partials:
        return
    yield f"<details class='partials'><summary>{len(partials)} partial transcripts</summary><ol>"
    for words in partials:
        at = f"{(words.at_ns - start_ns) / 1e9:.2f} s"
        yield f"<li><time>{at}</time> {escape(words.stable)} <em>{escape(words.unstable)}</em></li>"
    yield "</ol></details>"
