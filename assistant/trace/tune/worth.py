"""What settings are worth on turns, by the kind of pause in them: waits against turns cut into."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from assistant.trace.tune.judge import Interval, quantile, rate
from assistant.trace.tune.outcome import Outcome
from assistant.trace.tune.plot import plot

ALL, WITH_PAUSES, WITHOUT = "all", "with pauses", "without pauses"
_MARKS = "0123456789abcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True)
class Worth:
    """`cut` of `turns` are cut into; the waits are of those answered, None without any."""

    turns: int
    cut: int
    share: Interval
    mean_ms: float | None
    p50_ms: Interval | None
    p95_ms: Interval | None


def by_pauses(outcomes: Sequence[Outcome], seed: int) -> dict[str, Worth]:
    """What `outcomes` come to: of all turns, of those with and without pauses, and by the kind of these.

    A turn with pauses of two kinds counts with both.
    """
    groups = {
        ALL: outcomes,
        WITH_PAUSES: [each for each in outcomes if each.pauses],
        WITHOUT: [each for each in outcomes if not each.pauses],
    }
    for kind in sorted({kind for each in outcomes for kind in each.pauses}):
        groups[kind] = [each for each in outcomes if kind in each.pauses]
    return {name: worth(of, seed) for name, of in groups.items() if of}


def worth(outcomes: Sequence[Outcome], seed: int) -> Worth:
    """What turns, at least one, come to, with 95 % intervals."""
    cut = sum(each.cut_in for each in outcomes)
    waits = [each.wait_ms for each in outcomes if each.wait_ms is not None]
    return Worth(
        len(outcomes),
        cut,
        rate(cut, len(outcomes)),
        float(np.mean(waits)) if waits else None,
        quantile(outcomes, 50, seed),
        quantile(outcomes, 95, seed),
    )


def lines(found: Mapping[str, Mapping[str, Worth]]) -> Iterator[str]:
    """The curve, and a table for each group of turns with a row for each of the settings of `found`."""
    yield from _curve(found)
    wide = max(map(len, found)) + 2
    for group in next(iter(found.values())):
        yield f"\n  {group:<{wide}}{'p50 (ms)':<20}{'p95 (ms)':<22}cut into"
        for settings, groups in found.items():
            of = groups[group]
            cut = f"{of.cut} of {of.turns} ({of.share.low:.0%} to {of.share.high:.0%})"
            yield f"  {settings:<{wide}}{_ms(of.p50_ms):<20}{_ms(of.p95_ms):<22}{cut}"


def _curve(found: Mapping[str, Mapping[str, Worth]]) -> Iterator[str]:
    """Up is the share of the turns with pauses, if there are any, across the wait of all turns."""
    shown = []
    for mark, (settings, groups) in zip(_MARKS, found.items(), strict=False):
        of, wait_ms = groups.get(WITH_PAUSES, groups[ALL]), groups[ALL].mean_ms
        if wait_ms is not None:
            yield f"  {mark}: {settings}"
            shown.append((mark, wait_ms, of.share.value))
    if shown:
        yield from plot(shown, "of those with pauses inside, if there are any")


def _ms(of: Interval | None) -> str:
    return "-" if of is None else f"{of.value:.0f} ({of.low:.0f} to {of.high:.0f})"
