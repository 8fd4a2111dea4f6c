"""What came of each clip under a way to take turns, and of all clips, in numbers and as text; pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from asr.audio import RATE
from assistant.audio import Clip
from assistant.session.parts import PARTS
from assistant.trace import pauses
from assistant.trace.errors import TraceError
from assistant.trace.summary import Quantiles, quantiles
from assistant.trace.tune.judge import Interval, rate

_NAME, _CELL = 16, 20  # columns of text


@dataclass(frozen=True)
class Outcome:
    """`wait_ms` runs from the last voiced sample to the last decision; None if that came before, or never.

    `early` has a kind of pause for each decision before the last voiced sample.
    """

    clip: Clip
    wait_ms: float | None
    early: tuple[str, ...]


def decided(clip: Clip, sample_rate: int, ends: Sequence[int]) -> Outcome:
    """What came of a labelled clip at `sample_rate` if turns ended at `ends`, in samples at 16 kHz."""
    assert clip.speech_end_sample is not None, "a labelled clip"
    samples = [end * sample_rate / RATE for end in ends]
    early = [sample for sample in samples if sample < clip.speech_end_sample]
    last = samples[-1] if len(samples) > len(early) else None
    return Outcome(
        clip,
        None if last is None else (last - clip.speech_end_sample) * 1000 / sample_rate,
        tuple(pauses.kind_at(clip, sample, sample_rate) for sample in early),
    )


def of_replay(clips: Sequence[Clip], turns: Sequence[Mapping[str, Any]]) -> list[Outcome]:
    """What came of clips in a replay, whose `turns` are as in its report.

    Raises TraceError: turns of other clips, or as an earlier version told them.
    """
    try:
        found = {(turn["file"], turn["reference"]): _of_turn(turn) for turn in turns}
        return [Outcome(clip, *found[clip.name, clip.reference]) for clip in clips]
    except KeyError as error:
        raise TraceError(f"the replay has no {error}: other clips, or an earlier version") from error


def _of_turn(turn: Mapping[str, Any]) -> tuple[float | None, tuple[str, ...]]:
    decision = [part["ms"] for part in turn["parts"] if part["name"] == PARTS[0]]
    wait_ms = decision[0] if decision and decision[0] >= 0 else None
    return wait_ms, tuple(each["pause"] for each in turn["early"])


@dataclass(frozen=True)
class Figures:
    """Waits, turns with a false start, and their share with Wilson's interval of 95 %; None without turns."""

    turns: int
    wait_ms: Quantiles
    not_ended: int
    """Turns without a wait."""
    false_starts: int
    share: Interval | None


def figures(outcomes: Sequence[Outcome]) -> Figures:
    """What came of clips, in numbers."""
    waits = [each.wait_ms for each in outcomes if each.wait_ms is not None]
    early = sum(bool(each.early) for each in outcomes)
    share = rate(early, len(outcomes)) if outcomes else None
    return Figures(len(outcomes), quantiles(waits), len(outcomes) - len(waits), early, share)


def grouped(outcomes: Sequence[Outcome]) -> dict[str, Figures]:
    """Figures of all clips, and of those with and those without a pause."""
    with_pause = [each for each in outcomes if each.clip.pauses]
    without = [each for each in outcomes if not each.clip.pauses]
    return {
        "all": figures(outcomes),
        "with a pause": figures(with_pause),
        "without a pause": figures(without),
    }


def by_kind(outcomes: Sequence[Outcome]) -> dict[str, tuple[int, int]]:
    """Of each kind of pause the turns with a false start in one, and those that have one.

    NO_PAUSE is every place outside of pauses, which all turns have.
    """
    kinds = sorted({kind for each in outcomes for kind in pauses.kinds(each.clip)})
    found = {}
    for kind in (*kinds, pauses.NO_PAUSE):
        have = [each for each in outcomes if kind in (*pauses.kinds(each.clip), pauses.NO_PAUSE)]
        found[kind] = sum(kind in each.early for each in have), len(have)
    return found


def lines(rivals: Mapping[str, Sequence[Outcome]]) -> Iterator[str]:
    """Waits and false starts of each, in columns, then false starts by kind of pause."""
    columns = [grouped(outcomes) for outcomes in rivals.values()]
    yield _row("", rivals)
    yield "wait from the last voiced sample to the decision, p50 / p95 (ms)"
    for group in ("without a pause", "all"):
        yield _row(group, [_waits(of[group]) for of in columns])
    if any(of["all"].not_ended for of in columns):
        yield _row("not ended since", [str(of["all"].not_ended) for of in columns])
    yield "turns with a false start (95 %)"
    for group in ("with a pause", "without a pause", "all"):
        yield _row(group, [_share(of[group].false_starts, of[group].turns) for of in columns])
    yield "by the pause in which it was"
    kinds = [by_kind(outcomes) for outcomes in rivals.values()]
    for kind in kinds[0]:
        yield _row(kind, [_share(*of[kind]) for of in kinds])


def _row(name: str, cells: Iterator[str] | Sequence[str] | Mapping[str, object]) -> str:
    return f"  {name:<{_NAME}}" + "".join(f"{cell:>{_CELL}}" for cell in cells)


def _waits(of: Figures) -> str:
    p50, p95 = of.wait_ms["p50"], of.wait_ms["p95"]
    return "-" if p50 is None or p95 is None else f"{p50:.0f} / {p95:.0f}"


def _share(count: int, of: int) -> str:
    if not of:
        return "-"
    interval = rate(count, of)
    return f"{count} of {of} ({100 * interval.low:.0f}-{100 * interval.high:.0f} %)"
