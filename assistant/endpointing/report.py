"""Weights and figures as text."""

from collections.abc import Iterator

from assistant.endpointing.fit import NAMES, Fits
from assistant.endpointing.judge import Judged
from assistant.trace.tune import worth


def constants(fits: Fits) -> Iterator[str]:
    """The weights, as they stand in `completeness.py`."""
    yield "_WEIGHTS = {"
    for name, weight in zip(NAMES, fits.words.weights, strict=True):
        yield f'    "{name}": {weight:g},'
    yield "}"
    for name, fit in (("_SOUND", fits.both), ("_READING", fits.read), ("_READ_SOUND", fits.heard)):
        of_words, of_other, constant = fit.weights
        yield f"{name} = ({constant:g}, {of_words:g}, {of_other:g})"


def figures(part: str, judged: Judged) -> Iterator[str]:
    """What they are worth on one part of the turns, with 95 % intervals."""
    yield f"\n{part}: {judged.turns} turns, {judged.ends} ends and {judged.pauses} pauses"
    yield f"  {'':<18}{'AUC':>8}{'':<18}{'log loss':>8}"
    for name, of in judged.telling.items():
        low, high = f"{of.auc.low:.3f}", f"{of.auc.high:.3f}"
        yield f"  {name:<18}{of.auc.value:>8.3f} ({low} to {high}){of.log_loss:>9.3f}"
    yield from worth.lines(judged.trade_off)
