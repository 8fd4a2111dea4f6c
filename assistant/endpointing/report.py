"""Weights and figures as text."""

from collections.abc import Iterator

from assistant.endpointing.fit import NAMES, Fits
from assistant.endpointing.judge import CutInto, Judged
from assistant.trace.tune.judge import Interval


def constants(fits: Fits) -> Iterator[str]:
    """The weights, as they stand in `completeness.py`."""
    yield "_WEIGHTS = {"
    for name, weight in zip(NAMES, fits.words.weights, strict=True):
        yield f'    "{name}": {weight:g},'
    yield "}"
    of_words, of_sound, constant = fits.both.weights
    yield f"_SOUND = ({constant:g}, {of_words:g}, {of_sound:g})"


def figures(part: str, judged: Judged) -> Iterator[str]:
    """What they are worth on one part of the turns, with 95 % intervals."""
    yield f"\n{part}: {judged.turns} turns, {judged.ends} ends and {judged.pauses} pauses"
    yield f"  {'':<18}{'AUC':>8}{'':<18}{'log loss':>8}"
    for name, of in judged.telling.items():
        low, high = f"{of.auc.low:.3f}", f"{of.auc.high:.3f}"
        yield f"  {name:<18}{of.auc.value:>8.3f} ({low} to {high}){of.log_loss:>9.3f}"
    yield f"  {'patience':<10}{'p50 (ms)':<20}{'p95 (ms)':<22}{'cut into, with pauses':<27}without pauses"
    for row in judged.trade_off:
        waits = f"{_ms(row.p50_ms):<20}{_ms(row.p95_ms):<22}"
        yield f"  {row.patience:<10g}{waits}{_cut(row.with_pauses):<27}{_cut(row.without)}"
    yield "  cut into, of the pauses that were reached, by patience"
    for kind in sorted(set().union(*(row.by_kind for row in judged.trade_off))):
        counts = ["{} of {}".format(*row.by_kind.get(kind, (0, 0))) for row in judged.trade_off]
        yield f"  {kind:<16}" + "".join(f"{count:>12}" for count in counts)


def _ms(of: Interval | None) -> str:
    return "-" if of is None else f"{of.value:.0f} ({of.low:.0f} to {of.high:.0f})"


def _cut(of: CutInto | None) -> str:
    if of is None:
        return "-"
    return f"{of.cut} of {of.turns} ({of.share.low:.0%} to {of.share.high:.0%})"
