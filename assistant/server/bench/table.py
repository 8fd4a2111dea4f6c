"""The tables that people read."""

from collections.abc import Sequence

from rich.table import Table

from assistant.server.bench.figures import Interval, LoadFigures, RefusalFigures, ratio

_COLUMNS = (
    "at once",
    "turns",
    "TTFA p50 ms",
    "p95 ms",
    "p50 : one",
    "p95 : one",
    "gaps",
    "dropped",
    "server cores",
    "client cores",
    "cut into",
    "WER",
    "unanswered",
    "errors",
    "refused",
)


def load_table(loads: Sequence[LoadFigures]) -> Table:
    """A line a load; ratios are to the first. Intervals of 95 % stand in brackets."""
    table = Table(*_COLUMNS, box=None, pad_edge=False)
    for load in loads:
        table.add_row(*_cells(load, loads[0]))
    return table


def _cells(load: LoadFigures, first: LoadFigures) -> list[str]:
    return [
        str(load.clients),
        str(load.turns),
        interval(load.ttfa_p50_ms),
        interval(load.ttfa_p95_ms),
        number(ratio(load.ttfa_p50_ms, first.ttfa_p50_ms)),
        number(ratio(load.ttfa_p95_ms, first.ttfa_p95_ms)),
        str(load.gaps),
        number(load.dropped_frames, 0),
        number(load.server_cores),
        number(load.client_cores),
        f"{load.cut_into:.0%}",
        "-" if load.wer is None else f"{load.wer:.1%}",
        str(load.turns - load.answered),
        str(load.errors),
        str(load.refusals),
    ]


def refusal_line(found: RefusalFigures) -> str:
    """Refusals in a sentence."""
    if not found.count:
        return "nobody was refused"
    return (
        f"{found.count} refused with 503: p50 {found.p50_ms:.1f} ms, p99 {found.p99_ms:.1f} ms, "
        f"{found.with_retry_after} with Retry-After"
    )


def interval(found: Interval | None) -> str:
    """An estimate and its interval."""
    return "-" if found is None else f"{found.value:.0f} ({found.low:.0f}-{found.high:.0f})"


def number(value: float | None, digits: int = 2) -> str:
    """A number, or a dash."""
    return "-" if value is None else f"{value:.{digits}f}"
