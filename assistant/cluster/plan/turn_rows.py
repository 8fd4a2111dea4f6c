"""A recorded trace of one session at a time, read as what each turn cost."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from statistics import fmean

from assistant.audio import Clip
from assistant.cluster.plan.costs import TurnCost
from assistant.trace.costs import part
from assistant.trace.observed import sounded
from assistant.trace.trace import Call, RecordedSession, Step, Trace
from assistant.trace.turns import ReplayedTurn

_AT_ONCE_NS = 50_000_000
"""A turn that is over so soon behind a final transcript, or behind the reading of it, was ended by it: skills
take some 20 ms.
"""


def turn_rows(
    trace: Trace, clips: Sequence[Clip], turns: Sequence[ReplayedTurn], cpu: Mapping[str, float]
) -> Iterator[TurnCost]:
    """The turns of a trace with a clip a session, without those in which nothing was heard.

    `cpu` is the processor time per second of the steps of "asr" and "tts", which run in one thread, and of
    "llm" over the cores that it keeps busy: what else a step took, it waited for a core, or for Python.
    `clips` have the labels; they and `turns` are in the order of the sessions.
    """
    calls: dict[str, list[Call]] = {session.name: [] for session in trace.sessions}
    for call in trace.calls:
        calls[call.session].append(call)
    for session, clip, turn in zip(trace.sessions, clips, turns, strict=True):
        if turn.ttfa_ms is not None and session.replies:
            row = _row(session, clip, turn, calls[session.name], cpu)
            if row is not None:
                yield row


def busy_s(trace: Trace, stage: str) -> float:
    """Seconds that the steps of the stages that begin so took."""
    spent = (_ns(step) for call in trace.calls if call.stage.startswith(stage) for step in call.steps)
    return sum(spent) / 1e9


def _row(
    session: RecordedSession,
    clip: Clip,
    turn: ReplayedTurn,
    calls: Sequence[Call],
    cpu: Mapping[str, float],
) -> TurnCost | None:
    told = session.replies[-1]
    of = {stage: [call for call in calls if call.stage == stage] for stage in _STAGES}
    finals, replies = of["asr.final"], of["llm.reply"]
    before = [call for call in finals if call.ended_ns <= told["decided"]] or finals
    sounds = sounded(session.sink)
    first_sample, last_sample, rate = clip.speech_start_sample, clip.speech_end_sample, clip.sample_rate
    if not (before and sounds and rate) or first_sample is None or last_sample is None:
        return None
    final, end_ns = before[-1], session.clips[0]["at"] + last_sample * 1_000_000_000 // rate
    read = [call for call in of["llm.closes"] if final.ended_ns <= call.asked_ns <= told["decided"]]
    ahead_ms = _all_ms(of["llm.read_ahead"]) + _all_ms(of["llm.closes"]) - _all_ms(read)
    known_ns = max(call.ended_ns for call in [final, *read])
    by_words = 0 <= told["decided"] - known_ns < _AT_ONCE_NS
    heard = [call for call in of["tts.speak"] if call.steps and call.asked_ns >= final.asked_ns]
    chunks = [step for call in heard for step in call.steps]
    written = replies[-1].steps if replies else ()
    spoken_ns = heard[0].asked_ns if heard else 0
    return TurnCost(
        lead_s=first_sample / rate,
        speech_s=(last_sample - first_sample) / rate,
        partials=len(of["asr.partial"]),
        partial_ms=_mean_ms(of["asr.partial"]) * cpu["asr"],
        finals=len(finals),
        final_ms=_mean_ms(finals) * cpu["asr"],
        scores=len(of["score"]),
        score_ms=_mean_ms(of["score"]) * cpu["asr"],
        read_ahead_ms=ahead_ms * cpu["llm"],
        prepared=max(1, len(replies)),
        prompt_ms=fmean([_prompt_ms(call) for call in replies] or [0.0]) * cpu["llm"]
        + _mean_ms(of["llm.prompt"]),
        first_tokens=_tokens(step for step in written if step.ended_ns <= spoken_ns),
        tokens=_tokens(written),
        first_chunk_ms=_ns(chunks[0]) / 1e6 * cpu["tts"] if chunks else 0.0,
        chunks=len(chunks),
        chunk_ms=fmean([_ns(step) / 1e6 for step in chunks[1:]] or [0.0]) * cpu["tts"],
        reply_s=sum(end - start for start, end in sounds) / 1e9,
        begin_ms=(final.asked_ns - end_ns) / 1e6,
        decide_ms=(int(told["decided"]) - (known_ns if by_words else end_ns)) / 1e6,
        by_words=by_words,
        start_ms={each.name: each.ms for each in turn.parts}["playback.start"],
        rest_ms=0.0,
        tail_s=max(0, (session.over_ns or 0) - sounds[-1][1]) / 1e9,
        ttfa_ms=turn.ttfa_ms or 0.0,
        closes_ms=_all_ms(read) * cpu["llm"],
    )


_STAGES = (
    "asr.partial",
    "asr.final",
    "score",
    "llm.read_ahead",
    "llm.closes",
    "llm.prompt",
    "llm.reply",
    "tts.speak",
)


def _ns(step: Step) -> int:
    return step.ended_ns - step.began_ns


def _all_ms(calls: Iterable[Call]) -> float:
    return sum(_ns(step) for call in calls for step in call.steps) / 1e6


def _mean_ms(calls: Sequence[Call]) -> float:
    return _all_ms(calls) / max(1, len(calls))


def _prompt_ms(reply: Call) -> float:
    """Reading what is left of a prompt."""
    kinds = (part(reply, index) for index in range(len(reply.steps)))
    return sum(_ns(s) for s, kind in zip(reply.steps, kinds, strict=True) if kind in _READS) / 1e6


_READS = ("llm.start", "llm.prefill")


def _tokens(steps: Iterable[Step]) -> int:
    return sum(step.gave[0] in ("token", "called") for step in steps)
