"""The turns of a session: what came of each clip that was played to it, or, without clips, of each reply."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from asr.audio import RATE
from assistant.audio import Clip
from assistant.session.events import AudioDelta, Failed, Listener, ReplyDone, SessionEvent
from assistant.session.parts import Part, split


@dataclass
class ClipRun:
    """One clip while and after it is replayed."""

    clip: Clip
    start_ns: int = 0
    sample_rate: int = RATE
    records: list[ReplyDone] = field(default_factory=list)

    @property
    def voice_end_ns(self) -> int | None:
        """When the last voiced sample was recorded, if the clip is labelled."""
        if self.clip.speech_end_sample is None:
            return None
        return self.start_ns + self.clip.speech_end_sample * 1_000_000_000 // self.sample_rate


@dataclass(frozen=True)
class ReplayedTurn:
    """What came of one clip; `ttfa_ms` is None where nothing was said or no reply was heard."""

    file: str
    reference: str | None
    transcript: str
    reply: str
    ttfa_ms: float | None
    parts: tuple[Part, ...]
    cut_in: bool
    interrupted: bool
    heard: str
    underruns: int


class Turns(Listener):
    """Keeps what a session tells of its replies: each belongs to the clip in which its turn was decided."""

    def __init__(self, session: str, now_ns: Callable[[], int] = lambda: 0) -> None:
        """`now_ns` is asked when a reply begins to sound."""
        super().__init__()
        self._session, self._now_ns = session, now_ns
        self.runs: list[ClipRun] = []
        self._clips = False
        self._sounding: tuple[int, int] | None = None  # which reply, and since when
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

    def _take(self, record: ReplyDone) -> None:
        if not self._clips and (not self.runs or not self.runs[-1].records[-1].reopened):
            self.runs.append(ClipRun(Clip(Path(f"{self._session} turn {len(self.runs) + 1}"))))
        begun = [run for run in self.runs if run.start_ns <= record.decided_ns]
        if begun:
            begun[-1].records.append(record)

    def all(self) -> list[ReplayedTurn]:
        """The turns up to now."""
        return [summarize(run) for run in self.runs]


def summarize(run: ClipRun) -> ReplayedTurn:
    """Fold the records of a clip: turns that were reopened are part of the one after."""
    final = [record for record in run.records if not record.reopened]
    last = final[-1] if final else None
    parts = _parts(run, last) if last else ()
    end_ns = run.voice_end_ns
    return ReplayedTurn(
        file=run.clip.name,
        reference=run.clip.reference,
        transcript=" ".join(record.transcript for record in final),
        reply=last.reply if last else "",
        ttfa_ms=sum(part.ms for part in parts) if parts else None,
        parts=parts,
        cut_in=end_ns is not None and any(record.decided_ns < end_ns for record in run.records),
        interrupted=any(record.interrupted for record in final),
        heard=last.heard if last else "",
        underruns=sum(record.underruns for record in final),
    )


def _parts(run: ClipRun, record: ReplyDone) -> tuple[Part, ...]:
    return tuple(split(wait_from_ns(run, record), record.boundaries)) if record.boundaries else ()


def wait_from_ns(run: ClipRun, record: ReplyDone) -> int:
    """Where the wait for a reply to a clip begins: at the end of the voice, as labelled or as detected."""
    return record.voice_end_ns if run.voice_end_ns is None else run.voice_end_ns
