"""The turns of a trace, each as lanes of what happened when: what all drawings of a trace are made from."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal

from asr.audio import RATE
from asr.vad import WINDOW
from assistant.runtime import Span
from assistant.session.events import ReplyDone
from assistant.session.parts import PARTS, Part, split
from assistant.session.sink import duration_ns
from assistant.session.turn import TurnConfig
from assistant.trace.describe import describe, describe_step, step_name
from assistant.trace.errors import TraceError
from assistant.trace.lanes import Item, Lane, mark
from assistant.trace.observed import Interval, Played, sounded
from assistant.trace.runs import recorded_runs
from assistant.trace.trace import Call, RecordedSession, Trace
from assistant.trace.turn_lane import turn_items
from assistant.trace.turns import ClipRun, ReplayedTurn, summarize, wait_from_ns

_MARGIN_NS = 300_000_000  # around a turn
_FOREVER_NS = 1 << 62
_OUTCOMES = ("decided", "goes on", "reopened", "barged in", "cancelled")

CALLS: Mapping[str, Mapping[str, Literal["main", "side"]]] = {
    "partials": {"asr.partial": "main"},
    "asr": {"asr.final": "main", "score": "side"},
    "llm": {
        "llm.reply": "main",
        "llm.read_ahead": "side",
        "llm.closes": "side",
        "llm.prompt": "side",
        "skill": "side",
        "skill.call": "side",
        "skill.act": "side",
    },
    "tts": {"tts.speak": "main"},
}


@dataclass(frozen=True)
class Waited:
    """A part of the wait: its exposed time begins at `start_ns`, its hidden time at `hidden_start_ns`."""

    part: Part
    start_ns: int
    hidden_start_ns: int


@dataclass(frozen=True)
class Words:
    """A partial transcript and when it was there."""

    at_ns: int
    stable: str
    unstable: str


@dataclass(frozen=True)
class Timeline:
    """One turn. All that is drawn lies from `start_ns` to `end_ns`; it is heard before `heard_ns`."""

    trace: str
    session: str
    turn: ReplayedTurn
    start_ns: int
    heard_ns: int
    end_ns: int
    lanes: tuple[Lane, ...]
    wait: tuple[Waited, ...]
    partials: tuple[Words, ...]


def timelines(trace: Trace) -> list[Timeline]:
    """All turns in the order of their sessions; raises TraceError if a line is not as the format has it."""
    try:
        return [timeline for session in trace.sessions for timeline in _of_session(trace, session)]
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise TraceError(f"{trace.folder}: cannot be drawn ({type(error).__name__}: {error})") from error


def _of_session(trace: Trace, session: RecordedSession) -> Iterator[Timeline]:
    calls = [call for call in trace.calls if call.session == session.name]
    spans = [span for span in trace.spans if span.session == session.name]
    lanes = _lanes(session, calls, spans, trace.config.turn)
    partials = [
        Words(step.ended_ns, step.gave["stable"], step.gave["unstable"])
        for call in calls
        if call.stage == "asr.partial"
        for step in call.steps
    ]
    runs = recorded_runs(session)
    for run, bounds in zip(runs, _bounds(session), strict=True):
        yield _timeline(trace.name, session.name, run, lanes, partials, bounds)


def _bounds(session: RecordedSession) -> list[Interval]:
    """Of each turn: with clips from clip to clip, without from the end of a reply to that of the next."""
    if session.clips:
        cuts = [*(line["at"] - 1 for line in session.clips), _FOREVER_NS]
    else:
        ends = [line["at"] for line in session.replies if not line["reopened"]]
        if session.replies and session.replies[-1]["reopened"]:
            ends.append(_FOREVER_NS)
        cuts = [session.at_ns - 1, *ends]
    return list(pairwise(cuts))


def _lanes(
    session: RecordedSession, calls: Sequence[Call], spans: Sequence[Span], config: TurnConfig
) -> list[Lane]:
    voiced = _voiced(session, calls, config)
    return [
        Lane("user", tuple(Item(start, end, "voice", "main") for start, end in voiced)),
        Lane("partials", tuple(_work(calls, CALLS["partials"]))),
        Lane("turn", tuple(turn_items(session, calls, spans, voiced))),
        *(Lane(name, tuple(_work(calls, CALLS[name]))) for name in ("asr", "llm", "tts")),
        Lane("playback", tuple(_playback(session))),
    ]


def _voiced(session: RecordedSession, calls: Sequence[Call], config: TurnConfig) -> list[Interval]:
    """When the user spoke: voice begins at `voice_on` and ends below `voice_off`, as the turn machine has it.

    Windows follow each other in the audio that came in. Where frames were dropped, they come too early here.
    """
    voiced: list[Interval] = []
    times = _audio_times(session)
    on = False
    for call in calls:
        if call.stage != "vad":
            continue
        start_ns, end_ns = next(times)
        was, on = on, float(call.steps[0].gave) >= (config.voice_off if on else config.voice_on)
        if on and was:
            voiced[-1] = (voiced[-1][0], end_ns)
        elif on:
            voiced.append((start_ns, end_ns))
    return voiced


def _audio_times(session: RecordedSession) -> Iterator[Interval]:
    """When each window for the voice detector was recorded."""
    end_sample, window_end = 0, WINDOW
    for _, recorded_ns, samples in session.frames:
        end_sample += samples
        while window_end <= end_sample:
            end_ns = recorded_ns - (end_sample - window_end) * 1_000_000_000 // RATE
            yield end_ns - WINDOW * 1_000_000_000 // RATE, end_ns
            window_end += WINDOW
    raise ValueError(f"session {session.name}: more windows than audio")


def _work(calls: Sequence[Call], stages: Mapping[str, Literal["main", "side"]]) -> Iterator[Item]:
    for call in calls:
        kind = stages.get(call.stage)
        if kind is None:
            continue
        if len(call.steps) == 1 and call.stage not in ("llm.reply", "tts.speak"):
            yield Item(call.began_ns, call.ended_ns, call.stage, kind, describe(call))
            continue
        yield Item(call.began_ns, call.ended_ns, call.stage, "call", describe(call))
        for step in call.steps:
            told = describe_step(call, step)
            yield Item(step.began_ns, step.ended_ns, step_name(call, step), kind, told)


def _playback(session: RecordedSession) -> Iterator[Item]:
    for start, end in sounded(session.sink):
        yield Item(start, end, "sounds", "main", {"lasts": f"{(end - start) / 1e9:.2f} s"})
    for silence in session.sink:
        if isinstance(silence, Played):
            continue
        if silence.what == "gain":
            yield mark(silence.at_ns, "gain", level=f"{silence.level:g}")
        elif silence.what != "stop" or _cuts(session, silence.at_ns):
            yield mark(silence.at_ns, silence.what)


def _cuts(session: RecordedSession, at_ns: int) -> bool:
    """Whether anything given before was still to sound."""
    return any(
        piece.at_ns <= at_ns < piece.sounds_ns + duration_ns(piece.samples, piece.rate)
        for piece in session.sink
        if isinstance(piece, Played)
    )


def _timeline(
    trace: str,
    session: str,
    run: ClipRun,
    lanes: Sequence[Lane],
    partials: Sequence[Words],
    bounds: Interval,
) -> Timeline:
    after_ns, until_ns = bounds
    inside = [
        replace(lane, items=tuple(i for i in lane.items if i.start_ns <= until_ns and i.end_ns > after_ns))
        for lane in lanes
    ]
    everything = [item for lane in inside for item in lane.items]
    user, turn = inside[0].items, inside[2].items
    begins = min((item.start_ns for item in user or everything), default=max(0, after_ns))
    start_ns = max(0, begins - _MARGIN_NS)
    ends_ns = max((item.end_ns for item in everything), default=begins)
    final = [record for record in run.records if not record.reopened]
    outcomes = [item.end_ns for item in turn if item.name in _OUTCOMES]
    heard = [record.boundaries.ends_ns[PARTS[-1]] for record in final if record.boundaries]
    return Timeline(
        trace,
        session,
        summarize(run),
        start_ns,
        min(max([*outcomes, *heard], default=ends_ns), ends_ns) + _MARGIN_NS,
        ends_ns + _MARGIN_NS,
        tuple(replace(lane, items=tuple(i for i in lane.items if i.end_ns >= start_ns)) for lane in inside),
        tuple(_waited(run, final[-1])) if final else (),
        tuple(words for words in partials if after_ns < words.at_ns <= until_ns),
    )


def _waited(run: ClipRun, record: ReplyDone) -> Iterator[Waited]:
    """The parts of the wait for a reply, one after the other as far as they were exposed."""
    if record.boundaries is None:
        return
    at_ns = previous_ns = wait_from_ns(run, record)
    for part in split(at_ns, record.boundaries):
        began_ns = record.boundaries.starts_ns.get(part.name, previous_ns)
        yield Waited(part, at_ns, began_ns)
        at_ns, previous_ns = at_ns + round(part.ms * 1e6), record.boundaries.ends_ns[part.name]
