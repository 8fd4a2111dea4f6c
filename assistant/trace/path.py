"""The critical path of a wait: from the first audible sample back to the last voiced one.

At each point the walk goes on with what was over last of all that was waited for, until it comes to something
that only time can bring: silence, or a client.
"""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from asr.audio import RATE
from assistant.runtime import StepRun
from assistant.session import turn
from assistant.session.events import ReplyDone
from assistant.trace.turn_log import Moment, TurnLog, number_of

Waits = Literal["work", "thread", "cores", "time"]
"""What a piece of the path is: a step, a step's wait for a thread or for cores, or time that has to pass."""


@dataclass(frozen=True)
class Piece:
    """A piece of the path. `what` is a kind of step, or what the time brings."""

    what: str
    waits: Waits
    start_ns: int
    end_ns: int
    step: StepRun | None = None
    behind: str = ""
    """Of a wait for a thread, the kind of step that was over when it ended."""


class Steps:
    """All steps of a simulation, in the order in which they ended, to look up what was over when."""

    def __init__(self, steps: Iterable[StepRun]) -> None:
        self._by_worker: dict[tuple[str, str], list[StepRun]] = defaultdict(list)
        self._over: dict[tuple[str, int], StepRun] = {}
        self._before: dict[StepRun, StepRun | None] = {}
        last: dict[tuple[str, int], StepRun] = {}  # of each job
        for step in steps:
            self._by_worker[step.session, step.worker].append(step)
            self._before[step] = last.get((step.worker, step.job))
            last[step.worker, step.job] = step
            self._over.setdefault((step.worker, step.ended_ns), step)

    def of(self, session: str) -> list[StepRun]:
        """The steps of a session."""
        return [step for (name, _), steps in self._by_worker.items() if name == session for step in steps]

    def last(
        self, session: str, worker: str, until_ns: int, number: int | None, kind: str = ""
    ) -> StepRun | None:
        """The last step of a worker that was over by `until_ns`, of this kind, for this turn or reply."""
        steps = self._by_worker[session, worker]
        end = bisect_right(steps, until_ns, key=lambda step: step.ended_ns)
        fits = (step for step in reversed(steps[:end]) if step.kind.startswith(kind))
        return next((step for step in fits if number_of(step) == number), None)

    def before(self, step: StepRun) -> StepRun | None:
        """The step before it of its job."""
        return self._before[step]

    def behind(self, step: StepRun) -> str:
        """The kind of step for which it had to wait."""
        over = self._over.get((step.worker, step.began_ns))
        return over.kind if over else ""


class _Walk:
    """A path in the making, backward from `end_ns` to `floor_ns`."""

    def __init__(self, steps: Steps, session: str, floor_ns: int, end_ns: int) -> None:
        self._steps, self._session = steps, session
        self._floor_ns, self.at_ns = floor_ns, end_ns
        self.pieces: list[Piece] = []

    def back_to(
        self, ns: int, what: str, waits: Waits, step: StepRun | None = None, behind: str = ""
    ) -> None:
        """The time from `ns` on was `what`."""
        start_ns = max(self._floor_ns, ns)
        if start_ns < self.at_ns:
            self.pieces.append(Piece(what, waits, start_ns, self.at_ns, step, behind))
            self.at_ns = start_ns

    def job(self, worker: str, number: int | None, kind: str = "") -> StepRun | None:
        """Back through the steps of the job that was over last, to when it was asked for; its first step."""
        step = self._steps.last(self._session, worker, self.at_ns, number, kind)
        first = None
        while step is not None:
            self._step(step)
            first, step = step, self._steps.before(step)
        return first

    def _step(self, step: StepRun) -> None:
        self.back_to(step.ended_ns, "event loop", "time")
        self.back_to(step.began_ns + step.alone_ns, step.kind, "cores", step)
        self.back_to(step.began_ns, step.kind, "work", step)
        self.back_to(step.ready_ns, step.kind, "thread", step, self._steps.behind(step))


@dataclass(frozen=True)
class _Turn:
    """What is known of a turn whose path is looked for."""

    log: TurnLog
    record: ReplyDone
    voice_end_sample: int

    def recorded_ns(self, sample: int) -> int:
        """When a sample was recorded."""
        return self.record.voice_end_ns + (sample - self.voice_end_sample) * 1_000_000_000 // RATE


def critical_path(
    steps: Steps, session: str, log: TurnLog, record: ReplyDone, voice_end_ns: int
) -> tuple[Piece, ...]:
    """The pieces from `voice_end_ns` to the first audible sample, which they fill without a gap.

    Empty if nothing was heard. Of a reply that was heard before that, one piece that runs backwards.
    """
    if record.boundaries is None:
        return ()
    ends_ns = record.boundaries.ends_ns
    heard_ns, number = ends_ns["playback.start"], record.number
    if heard_ns <= voice_end_ns:
        return (Piece("cut in", "time", voice_end_ns, heard_ns),)
    walk = _Walk(steps, session, voice_end_ns, heard_ns)
    _, voice_end_sample = log.speculated.get(number, (None, 0))
    found = _Turn(log, record, voice_end_sample)
    chunk_ns, released_ns = ends_ns["tts.first_chunk"], ends_ns["endpoint.wait"]
    walk.back_to(max(chunk_ns, released_ns), "playback", "time")
    if record.plan is not None:
        walk.job("loop", number, "skill.act")
    if released_ns >= min(chunk_ns, walk.at_ns):
        _released(walk, found)
    else:
        walk.job("tts", number)
        _generated(walk, found)
    walk.back_to(voice_end_ns, "voice", "time")
    return tuple(reversed(walk.pieces))


def _released(walk: _Walk, found: _Turn) -> None:
    """Back from the release of the reply. How a turn sounds is asked when its words are known."""
    moment, waited_for = found.log.released[found.record.number]
    walk.back_to(moment.ns, "event loop", "time")
    if waited_for == turn.AudioScored.__name__:
        walk.job("asr", found.record.number, "score")
        _transcribed(walk, found)
    elif waited_for in (turn.TextScored.__name__, turn.Read.__name__):
        _transcribed(walk, found)
    else:
        _heard(walk, found, moment, waited_for)


def _generated(walk: _Walk, found: _Turn) -> None:
    """Back from something that the language model gave."""
    walk.job("llm", found.record.number)
    walk.job("loop", found.record.number, "llm.prompt")
    _transcribed(walk, found)


def _transcribed(walk: _Walk, found: _Turn) -> None:
    """Back from what the language model read, if it did, and the transcript, or from a requested release."""
    number = found.record.number
    if number not in found.log.speculated:
        return _released(walk, found)
    walk.job("llm", number, "llm.closes")
    walk.job("asr", number, "asr.final")
    return _heard(walk, found, found.log.speculated[number][0], "prepare")


def _heard(walk: _Walk, found: _Turn, moment: Moment, waited_for: str) -> None:
    """Back from a window of silence, to the user's voice."""
    walk.back_to(moment.ns, "event loop", "time")
    if moment.end_sample is not None:
        walk.job("vad", None)
        walk.back_to(found.recorded_ns(moment.end_sample), "frame", "time")
        walk.back_to(found.record.voice_end_ns, f"silence: {waited_for}", "time")
    elif waited_for == "client":
        walk.back_to(found.record.voice_end_ns, waited_for, "time")
