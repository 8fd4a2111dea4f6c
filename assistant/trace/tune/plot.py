"""Turns cut into over the mean wait, drawn with characters."""

from collections.abc import Iterator, Sequence

_COLUMNS, _ROWS = 64, 16

Shown = tuple[str, float, float]
"""A mark, a mean wait in ms, and a share of turns cut into."""


def plot(shown: Sequence[Shown], note: str) -> Iterator[str]:
    """At least one point; the last lies on top. `note` says what the marks mean."""
    waits = [wait for _, wait, _ in shown]
    least, most = min(waits), max(waits)
    top = max(share for *_, share in shown) or 1.0
    grid = [[" "] * _COLUMNS for _ in range(_ROWS)]
    for mark, wait, share in shown:
        column = round((wait - least) / ((most - least) or 1.0) * (_COLUMNS - 1))
        grid[round((1 - share / top) * (_ROWS - 1))][column] = mark
    for number, row in enumerate(grid):
        label = f"{top * (1 - number / (_ROWS - 1)):5.0%}" if number % 5 == 0 else ""
        yield f"{label:>6} |{''.join(row)}".rstrip()
    yield f"{'':>6} +{'-' * _COLUMNS}"
    yield f"{'':>8}{least:<{_COLUMNS // 2}.0f}{most:>{_COLUMNS // 2}.0f}"
    yield f"{'':>8}across: mean wait in ms; up: turns cut into; {note}"
