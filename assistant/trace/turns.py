"""The turns of a session: what came of each clip that was played to it, or, without clips, of each reply."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from asr.audio import RATE
from assistant.audio import Clip
from assistant.runtime import StepRun
from assistant.session.events import AudioDelta, Failed, Listener, ReplyDone, SessionEvent
from assistant.session.parts import Part, split
from assistant.trace import pauses
from assistant.trace.turn_log import number_of


@dataclass
class ClipRun:
    """One clip while and after it is replayed."""

    clip: Clip
    start_ns: int = 0
    sample_rate: int = RATE
    records: list[ReplyDone] = field(default_factory=list)
    prepared: int = 0

    @property
    def voice_end_ns(self) -> int | None:
        """When the last voiced sample was recorded, if the clip is labelled."""
        if self.clip.speech_end_sample is None:
            return None
        return self.start_ns + self.clip.speech_end_sample * 1_000_000_000 // self.sample_rate

    def sample_at(self, ns: int) -> float:
        """The sample of the clip that is played at a time."""
        return (ns - self.start_ns) * self.sample_rate / 1e9


@dataclass(frozen=True)
class FalseStart:
    """A reply that was released though the user had not finished."""

    ms: float
    """When it was released, from the last voiced sample: negative before it."""
    pause: str
    """The kind of the labelled pause in which it was released, or "no pause"."""
    heard: bool
    """Whether anything audible of it sounded, however soon it was stopped."""


@dataclass(frozen=True)
class ReplayedTurn:
    """What came of one clip; `ttfa_ms` is None where nothing was said or no reply was heard.

    A false start is a reply that was released before the last voiced sample of a labelled clip: it was taken
    back (reopened) or interrupted as the user went on, or answers only what was said first. Where that sample
    is not known, it is a reply that was taken back.
    """

    file: str
    reference: str | None
    transcript: str
    reply: str
    ttfa_ms: float | None
    parts: tuple[Part, ...]
    interrupted: bool
    heard: str
    underruns: int
    ready_ms: float | None = None
    """When the first chunk of speech of the last reply was synthesized, from the last voiced sample: negative
    before it, None where no reply was heard."""
    early: tuple[FalseStart, ...] = ()
    """Every false start, in order."""
    pause_kinds: tuple[str, ...] = ()
    """Of each labelled pause in the clip."""
    prepared: int = 0
    """Replies that were begun for the turn, on speculation or not, up to the last that was released."""
    discarded: int = 0
    """Those of them that were never released, or were taken back."""
    intent: str = ""
    """What a skill understood that answered; empty where the language model did."""

    @property
    def false_starts(self) -> int:
        """How many there were."""
        return len(self.early)

    @property
    def heard_false_starts(self) -> int:
        """How many of them were heard."""
        return sum(each.heard for each in self.early)

    @property
    def notes(self) -> tuple[str, ...]:
        """What did not go as it should, in words."""
        start = "heard false start" if self.heard_false_starts else "false start"
        return (start,) * bool(self.early) + ("interrupted",) * self.interrupted


class Turns(Listener):
    """Keeps what a session tells of its replies: each belongs to the clip in which its turn was decided."""

    def __init__(self, session: str, now_ns: Callable[[], int] = lambda: 0) -> None:
        """`now_ns` is asked when a reply begins to sound."""
        super().__init__()
        self.runs: list[ClipRun] = []
        """What was played, or, without clips, each turn."""
        self._session, self._now_ns = session, now_ns
        self._clips = False
        self._sounding: tuple[int, int] | None = None  # which reply, and since when
        self._numbers = 0  # of turns and replies whose end is known
        self.failures = 0

    def clip(self, clip: Clip, start_ns: int, rate: int) -> None:
        """A clip begins at `start_ns`; its labels count samples at `rate`."""
        self.runs.append(ClipRun(clip, start_ns, rate))
        self._clips = True

    def push(self, event: SessionEvent) -> None:
        """See Listener."""
        match event:
            case Failed():
                self.failures += 1
            case AudioDelta(number) if self._sounding is None or self._sounding[0] != number:
                self._sounding = number, self._now_ns()
            case ReplyDone():
                self._sounding = None
                self._take(event)

    def sounds_for(self, ms: int | None) -> bool:
        """Whether a reply has sounded for `ms`; never for None."""
        if ms is None or self._sounding is None:
            return False
        return self._now_ns() - self._sounding[1] >= ms * 1_000_000

    def known(self, now_ns: int, *, ended: bool, heard: bool) -> bool:
        """Whether what comes now says what came of the last clip: it `ended` too soon, or is answered."""
        end_ns = self.runs[-1].voice_end_ns if self._clips else None
        return end_ns is not None and (ended if now_ns < end_ns else heard)

    def _take(self, record: ReplyDone) -> None:
        if not self._clips and (not self.runs or not self.runs[-1].records[-1].reopened):
            self.runs.append(ClipRun(Clip(Path(f"{self._session} turn {len(self.runs) + 1}"))))
        begun = [run for run in self.runs if run.start_ns <= record.decided_ns]
        if begun:
            begun[-1].records.append(record)
            begun[-1].prepared += record.number + 1 - self._numbers  # each that is begun has the next number
        self._numbers = record.number + 1

    def all(self) -> list[ReplayedTurn]:
        """The turns up to now."""
        return [summarize(run) for run in self.runs]

    def answered(self) -> list[tuple[ReplyDone, int] | None]:
        """Of each turn its reply, and when the voice ended; None if there was none."""
        return [_answered(run) for run in self.runs]

    def of(self, step: StepRun) -> int:
        """Which turn a step was for: its number's or, if it has none, the next to be decided.

        What no turn came of is counted to the clip that was played, or to the last turn.
        """
        number, last = number_of(step), len(self.runs) - 1
        for index, run in enumerate(self.runs):
            if any(_is_for(record, step, number) for record in run.records[-1:]):
                last = index
                break
        begun = [index for index in range(last + 1) if self.runs[index].start_ns <= step.began_ns]
        return begun[-1] if begun else 0


def _is_for(record: ReplyDone, step: StepRun, number: int | None) -> bool:
    return step.began_ns <= record.decided_ns if number is None else number <= record.number


def _answered(run: ClipRun) -> tuple[ReplyDone, int] | None:
    final = [record for record in run.records if not record.reopened]
    if not final:
        return None
    return final[-1], final[-1].voice_end_ns if run.voice_end_ns is None else run.voice_end_ns


def summarize(run: ClipRun) -> ReplayedTurn:
    """Fold the records of a clip: turns that were reopened are part of the one after."""
    final = [record for record in run.records if not record.reopened]
    last = final[-1] if final else None
    parts = _parts(run, last) if last else ()
    return ReplayedTurn(
        file=run.clip.name,
        reference=run.clip.reference,
        transcript=" ".join(record.transcript for record in final),
        reply=last.reply if last else "",
        ttfa_ms=sum(part.ms for part in parts) if parts else None,
        parts=parts,
        interrupted=any(record.interrupted for record in final),
        heard=last.heard if last else "",
        underruns=sum(record.underruns for record in final),
        ready_ms=_ready_ms(run, last) if last else None,
        early=tuple(_false_start(run, record) for record in run.records if _is_early(run, record)),
        pause_kinds=pauses.kinds(run.clip),
        prepared=run.prepared,
        discarded=run.prepared - len(final),
        intent=last.plan.intent if last and last.plan else "",
    )


def _is_early(run: ClipRun, record: ReplyDone) -> bool:
    return record.reopened if run.voice_end_ns is None else record.decided_ns < run.voice_end_ns


def _false_start(run: ClipRun, record: ReplyDone) -> FalseStart:
    ms = (record.decided_ns - wait_from_ns(run, record)) / 1e6
    pause = pauses.kind_at(run.clip, run.sample_at(record.decided_ns), run.sample_rate)
    return FalseStart(ms, pause, heard=record.sounded)


def _ready_ms(run: ClipRun, record: ReplyDone) -> float | None:
    if record.boundaries is None:
        return None
    return (record.boundaries.ends_ns["tts.first_chunk"] - wait_from_ns(run, record)) / 1e6


def _parts(run: ClipRun, record: ReplyDone) -> tuple[Part, ...]:
    return tuple(split(wait_from_ns(run, record), record.boundaries)) if record.boundaries else ()


def wait_from_ns(run: ClipRun, record: ReplyDone) -> int:
    """Where the wait for a reply to a clip begins: at the end of the voice, as labelled or as detected."""
    return record.voice_end_ns if run.voice_end_ns is None else run.voice_end_ns
