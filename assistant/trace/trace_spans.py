"""A recorded trace as spans for Perfetto: its own spans, the calls of models, turns and their parts."""

from collections.abc import Iterator, Sequence

from assistant.runtime import Span
from assistant.trace.describe import describe, describe_step, step_name
from assistant.trace.timeline import Timeline
from assistant.trace.trace import Call, Trace

_LANES = ("user", "turn", "playback")


def trace_spans(trace: Trace, turns: Sequence[Timeline]) -> list[Span]:
    """All of `trace`, whose `turns` these are.

    A call is on the track of its worker, with its steps inside; what was recorded as a span is on that of its
    node or edge; a turn, and each exposed part of its wait, on tracks of those names.
    """
    calls = [span for call in trace.calls for span in _call(call)]
    return [*(span for turn in turns for span in _turn(turn)), *_on_lanes(turns), *calls, *trace.spans]


def _turn(timeline: Timeline) -> Iterator[Span]:
    turn, session = timeline.turn, timeline.session
    told = {"transcript": turn.transcript, "reply": turn.reply, "heard": turn.heard}
    if turn.ttfa_ms is not None:
        told["ttfa"] = f"{turn.ttfa_ms:.1f} ms"
    items = [item for lane in timeline.lanes for item in lane.items]
    if not items:
        return
    start_ns, end_ns = min(item.start_ns for item in items), max(item.end_ns for item in items)
    yield Span(turn.file, "turns", start_ns, end_ns, session, attributes=told)
    for waited in timeline.wait:
        end_ns = waited.start_ns + round(waited.part.ms * 1e6)
        if end_ns > waited.start_ns:
            hidden = {"hidden_ms": waited.part.hidden_ms}
            yield Span(waited.part.name, "parts", waited.start_ns, end_ns, session, attributes=hidden)


def _on_lanes(turns: Sequence[Timeline]) -> Iterator[Span]:
    """What is on lanes that no worker and no node has; a voice over a reply is on those of two turns."""
    lanes = [(turn.session, lane) for turn in turns for lane in turn.lanes if lane.name in _LANES]
    items = {
        (session, lane.name, item.start_ns, item.name): item for session, lane in lanes for item in lane.items
    }
    for (session, lane_name, _, _), item in items.items():
        yield Span(item.name, f"{lane_name} lane", item.start_ns, item.end_ns, session, attributes=item.told)


def _call(call: Call) -> Iterator[Span]:
    track = f"{call.worker} worker"
    yield Span(call.stage, track, call.began_ns, call.ended_ns, call.session, attributes=describe(call))
    if len(call.steps) > 1:
        for step in call.steps:
            told = describe_step(call, step)
            yield Span(
                step_name(call, step), track, step.began_ns, step.ended_ns, call.session, attributes=told
            )
