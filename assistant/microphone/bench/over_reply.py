"""What became of a reply that somebody spoke over: when it fell silent, and whether all of it was heard."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from rich.table import Table

Audio = NDArray[np.float32]
Kind = Literal["backchannel", "stop", "takeover"]

AUDIBLE = 10 ** (-50 / 20)  # of full scale
WITHIN_MS = (350, 700)
_TOLERANCE = 1e-6


@dataclass(frozen=True)
class Outcome:
    """A clip over a reply, `moment_s` after that began to sound."""

    file: str
    kind: Kind
    text: str
    moment_s: float
    understood: str
    """The transcripts of what was said, if the reply was held long enough for one."""
    ducked: bool
    held: bool
    went_on: bool
    stopped: bool
    """Whether the reply was over before its end."""
    silent_ms: float | None
    """From the first voiced sample to the last audible one of the reply, where that was stopped."""
    held_ms: float | None
    """How long the reply was silent before it went on."""
    intact: bool | None
    """Of a reply that was not stopped: whether each sample of it sounded once, in order."""
    full_share: float | None
    """How much of such a reply sounded at its own loudness."""


def last_audible_ns(recorded: Sequence[tuple[int, Audio]], rate: int) -> int | None:
    """When the last audible sample of pieces that began at some time is over; None if none is."""
    for start_ns, audio in reversed(recorded):
        loud = np.flatnonzero(np.abs(audio) >= AUDIBLE)
        if loud.size:
            return start_ns + (int(loud[-1]) + 1) * 1_000_000_000 // rate
    return None


def longest_gap_ms(recorded: Sequence[tuple[int, Audio]], rate: int) -> float:
    """The longest time between two pieces."""
    longest_ns, end_ns = 0, recorded[0][0] if recorded else 0
    for start_ns, audio in recorded:
        longest_ns = max(longest_ns, start_ns - end_ns)
        end_ns = start_ns + len(audio) * 1_000_000_000 // rate
    return longest_ns / 1e6


def is_intact(recorded: Audio, given: Audio, quietest: float) -> bool:
    """Whether `recorded` is `given` sample by sample, no louder, and no quieter than `quietest` times it.

    A sample that is lost or doubled moves all behind it: speech does not pass then.
    """
    if len(recorded) != len(given):
        return False
    same_sign = recorded * given >= 0
    no_louder = np.abs(recorded) <= np.abs(given) + _TOLERANCE
    no_quieter = np.abs(recorded) >= quietest * np.abs(given) - _TOLERANCE
    return bool((same_sign & no_louder & no_quieter).all())


def summary(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """What is asked for: backchannels that stop a reply, and how soon all else silences it."""
    backs = [each for each in outcomes if each.kind == "backchannel"]
    kept = [each for each in backs if not each.stopped]
    return {
        "backchannels": len(backs),
        "backchannels_stopped": sum(each.stopped for each in backs),
        "backchannels_ducked": sum(each.ducked for each in backs),
        "backchannels_held": sum(each.held for each in backs),
        "held_ms": _quantiles([each.held_ms for each in kept if each.held_ms is not None]),
        "intact": sum(each.intact is True for each in kept),
        "kept": len(kept),
        **{
            kind: _silences([each for each in outcomes if each.kind == kind]) for kind in ("stop", "takeover")
        },
        "both": _silences([each for each in outcomes if each.kind != "backchannel"]),
    }


def _silences(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """A reply that was not stopped counts as one that never fell silent."""
    silent = np.array([np.inf if each.silent_ms is None else each.silent_ms for each in outcomes])
    within = {f"within_{ms}": float((silent <= ms).mean()) if len(silent) else None for ms in WITHIN_MS}
    never = sum(each.silent_ms is None for each in outcomes)
    return {"clips": len(outcomes), "never": never, **within, **_quantiles(silent[np.isfinite(silent)])}


def _quantiles(values: Any) -> dict[str, float | None]:  # noqa: ANN401  # a list or an array
    if not len(values):
        return {"p50": None, "p95": None, "max": None}
    p50, p95, most = np.percentile(values, [50, 95, 100]).tolist()
    return {"p50": p50, "p95": p95, "max": most}


def table(outcomes: Sequence[Outcome]) -> Table:
    """A row for each kind and moment."""
    made = Table(title="Spoken over replies")
    made.add_column("kind", no_wrap=True)
    headings = ("s into it", "clips", "ducked", "held", "stopped", "intact", "silent p50", "max")
    for heading in (*headings, *(f"<= {ms} ms" for ms in WITHIN_MS)):
        made.add_column(heading, justify="right")
    for kind in ("backchannel", "stop", "takeover"):
        own = [each for each in outcomes if each.kind == kind]
        for moment in sorted({each.moment_s for each in own}):
            of = [each for each in own if each.moment_s == moment]
            made.add_row(kind, f"{moment:g}", *_cells(of))
        if own:
            made.add_row(kind, "all", *_cells(own), end_section=True, style="bold")
    return made


def _cells(of: Sequence[Outcome]) -> list[str]:
    silent, kept = _silences(of), [each for each in of if not each.stopped]
    return [
        str(len(of)),
        str(sum(each.ducked for each in of)),
        str(sum(each.held for each in of)),
        str(sum(each.stopped for each in of)),
        f"{sum(each.intact is True for each in kept)} of {len(kept)}" if kept else "-",
        *("-" if silent[key] is None else f"{silent[key]:.0f}" for key in ("p50", "max")),
        *(
            "-" if of[0].kind == "backchannel" else f"{100 * silent[f'within_{ms}']:.0f} %"
            for ms in WITHIN_MS
        ),
    ]
