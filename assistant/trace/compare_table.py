"""A comparison as a table for people, and as numbers for a file."""

from collections.abc import Iterator
from dataclasses import asdict
from math import isfinite
from typing import Any

from assistant.trace.compare import Comparison, Difference


def table(found: Comparison) -> Iterator[str]:
    """The notes, a line a quantity, and the verdict."""
    a, b = found.rounds
    yield f"{len(found.turns)} turns, {a} recordings of A, {b} of B; same is within {found.margin_ms:g} ms"
    yield from found.notes
    yield f"{'ms':<26}{'A':>9}{'B':>9}{'B - A':>9}  {'interval':<18} {'verdict':<11}more turns"
    for each in found.differences:
        yield _line(each).rstrip()
    yield summed_up(found)


def _line(of: Difference) -> str:
    interval = f"{of.low_ms:+.1f} to {of.high_ms:+.1f}" if isfinite(of.low_ms) else "-"
    more = "" if of.more_turns is None else f"{of.more_turns}"
    numbers = f"{of.a_ms:>9.1f}{of.b_ms:>9.1f}{of.ms:>+9.1f}"
    return f"{of.quantity:<26}{numbers}  {interval:<18} {of.verdict:<11}{more}"


def summed_up(found: Comparison) -> str:
    """The verdict in one line, with the parts that it rests on."""
    if found.reason:
        return f"undecided: {found.reason}"
    told = [
        f"{verdict}: {', '.join(found.named(verdict))}"
        for verdict in ("slower", "faster")
        if found.named(verdict)  # in this order: what is worse first
    ]
    return "; ".join(told) or found.verdict


def as_json(found: Comparison) -> dict[str, Any]:
    """All of a comparison; null is an interval without bounds."""
    return {
        "verdict": found.verdict,
        **{name: value for name, value in asdict(found).items() if name != "differences"},
        "differences": {
            each.quantity: {
                name: _number(value) for name, value in asdict(each).items() if name != "quantity"
            }
            for each in found.differences
        },
    }


def _number(value: object) -> object:
    if not isinstance(value, float):
        return value
    return round(value, 3) + 0.0 if isfinite(value) else None
