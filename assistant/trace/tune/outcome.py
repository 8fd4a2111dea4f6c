"""What came of one clip: how long its speaker waited, or in which pause they were cut into."""

from dataclasses import dataclass

from assistant.trace.pauses import NO_PAUSE, kind_at, kinds, reached
from assistant.trace.turns import ClipRun, summarize


@dataclass(frozen=True)
class Outcome:
    """`text` was said; `wait_ms` is None if it was cut into, or never answered."""

    text: str
    wait_ms: float | None
    cut_in: bool
    kind: str | None = None
    """In what it was cut into: a kind of pause, or NO_PAUSE."""
    reached: tuple[str, ...] = ()
    """The kinds of all pauses that began before the turn was taken, and NO_PAUSE."""
    pauses: tuple[str, ...] = ()
    """The kinds of all pauses inside the turn."""

    def cost_ms(self, cut_ms: float) -> float:
        """The wait; a turn that was cut into or not answered costs `cut_ms`."""
        return cut_ms if self.wait_ms is None else self.wait_ms


def said(reference: str | None, file: str) -> str:
    """What names a sentence: its words, or else the file."""
    words = "".join(c if c.isalnum() else " " for c in (reference or "").casefold()).split()
    return " ".join(words) or file


def outcome_of(run: ClipRun) -> Outcome | None:
    """What came of a clip; None if nobody knows when its speaker was done."""
    end_ns, turn, clip = run.voice_end_ns, summarize(run), run.clip
    if end_ns is None:
        return None
    text = said(clip.reference, clip.name)
    decided_ns = min((record.decided_ns for record in run.records), default=end_ns)
    at = run.sample_at(decided_ns)
    begun, pauses = (*reached(clip, at), NO_PAUSE), kinds(clip)
    if not turn.false_starts:
        return Outcome(text, turn.ttfa_ms, cut_in=False, reached=begun, pauses=pauses)
    kind = kind_at(clip, at, run.sample_rate)
    return Outcome(text, None, cut_in=True, kind=kind, reached=begun, pauses=pauses)
