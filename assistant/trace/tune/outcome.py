"""What came of one clip: how long its speaker waited, or in which pause they were cut into."""

from dataclasses import dataclass

from assistant.trace.turns import ClipRun, summarize

UNLABELLED, NO_PAUSE = "unlabelled", "no pause"
_LATE_MS = 200
"""A decision so long behind the end of a pause is still made in it: that the user goes on is known only after
64 ms of voice (`resume_ms`), a window of 32 and a frame of 20 ms, and the detector may be late."""


@dataclass(frozen=True)
class Outcome:
    """`text` was said; `wait_ms` is None if it was cut into, or never answered."""

    text: str
    wait_ms: float | None
    cut_in: bool
    kind: str | None = None
    """In what it was cut into: a kind of pause, or one of the names above."""
    reached: tuple[str, ...] = ()
    """The kinds of all pauses that began before the turn was taken, and NO_PAUSE."""

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
    text, kinds = said(clip.reference, clip.name), clip.pause_kinds or (UNLABELLED,) * len(clip.pauses)
    decided_ns = min((record.decided_ns for record in run.records), default=end_ns)
    at = (decided_ns - run.start_ns) * run.sample_rate / 1e9
    reached = tuple(kind for (start, _), kind in zip(clip.pauses, kinds, strict=True) if start <= at)
    if not turn.cut_in:
        return Outcome(text, turn.ttfa_ms, cut_in=False, reached=(*reached, NO_PAUSE))
    late = _LATE_MS * run.sample_rate / 1000
    inside = bool(reached) and at < clip.pauses[len(reached) - 1][1] + late
    kind = reached[-1] if inside else NO_PAUSE
    return Outcome(text, None, cut_in=True, kind=kind, reached=(*reached, NO_PAUSE))
