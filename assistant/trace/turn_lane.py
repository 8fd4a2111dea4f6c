"""What a trace tells of the turn machine: pauses, what was prepared in them, scores, and how a turn ended."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence

from assistant.runtime import Span
from assistant.session.pipeline import UTTERANCES
from assistant.trace.items import Json
from assistant.trace.lanes import Item, mark
from assistant.trace.observed import Interval, Silence
from assistant.trace.trace import Call, RecordedSession


def turn_items(
    session: RecordedSession, calls: Sequence[Call], spans: Sequence[Span], voiced: Sequence[Interval]
) -> list[Item]:
    """Pauses as intervals, all else as marks, in order of time."""
    items = [
        *_pauses(session, spans, voiced),
        *_scores(calls),
        *(mark(span.end_ns, "reads complete", **_logged(span)) for span in spans if span.name == "words"),
        *_ends(session),
        *(mark(line["at"], line["what"]) for line in session.inputs),
    ]
    return sorted(items, key=lambda item: (item.start_ns, item.end_ns))


def _pauses(session: RecordedSession, spans: Sequence[Span], voiced: Sequence[Interval]) -> Iterator[Item]:
    """Each pause in which a reply was prepared, to the decision, to where the user goes on, or to where the
    reply before goes on that was held.
    """
    decided = {line["number"]: line["decided"] for line in session.replies}
    begins, ends = [start for start, _ in voiced], [end for _, end in voiced]
    for span in spans:
        if (span.name, span.track) != ("queue", UTTERANCES.name):
            continue
        yield mark(span.start_ns, "prepare", reply=str(span.reply))
        before = bisect_right(ends, span.start_ns)
        if not before:
            continue  # nobody spoke: the client said that the turn was over
        start_ns = ends[before - 1]
        on = bisect_left(begins, start_ns)
        goes_on_ns = begins[on] if on < len(begins) else None
        end_ns = decided.get(span.reply, _resumed_ns(session, span.start_ns))
        if goes_on_ns is not None and (end_ns is None or goes_on_ns < end_ns):
            end_ns = goes_on_ns
            yield mark(goes_on_ns, "goes on", reply=f"{span.reply} was prepared in vain")
        if end_ns is not None:
            yield Item(start_ns, end_ns, "pause", "side", {"lasts": f"{(end_ns - start_ns) / 1e6:.0f} ms"})


def _resumed_ns(session: RecordedSession, after_ns: int) -> int | None:
    resumed = (each.at_ns for each in _told(session, "resume") if each.at_ns >= after_ns)
    return next(resumed, None)


def _told(session: RecordedSession, what: str) -> list[Silence]:
    return [each for each in session.sink if isinstance(each, Silence) and each.what == what]


def _scores(calls: Sequence[Call]) -> Iterator[Item]:
    for call in calls:
        if call.stage == "score":
            for step in call.steps:
                yield mark(step.ended_ns, "sounds complete", p=f"{float(step.gave):.2f}")


def _logged(span: Span) -> dict[str, str]:
    return {"log_odds": f"{span.attributes['log_odds']:.1f}"}


def _ends(session: RecordedSession) -> Iterator[Item]:
    for line in session.replies:
        reply = str(line["number"])
        yield mark(line["decided"], "decided", reply=reply)
        if line["reopened"]:
            yield mark(line["at"], "reopened", reply=reply)
        elif line["interrupted"]:
            yield mark(_silenced_ns(session, line), _why(session, line), reply=reply)


def _silenced_ns(session: RecordedSession, reply: Json) -> int:
    """When the loudspeaker was told to stop, or before that to pause, or else when the reply was over."""
    stops, pauses, resumes = (
        [each.at_ns for each in _told(session, what) if reply["decided"] <= each.at_ns <= reply["at"]]
        for what in ("stop", "pause", "resume")
    )
    stopped_ns = max(stops, default=reply["at"])
    resumed_ns = max(resumes, default=0)
    return min((at for at in pauses if resumed_ns < at < stopped_ns), default=stopped_ns)


def _why(session: RecordedSession, reply: Json) -> str:
    cancelled = any(
        line["what"] == "ReplyCancelled" and reply["decided"] <= line["at"] <= reply["at"]
        for line in session.inputs
    )
    return "cancelled" if cancelled else "barged in"
