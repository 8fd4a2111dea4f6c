"""The bench's table, in Markdown."""

from collections.abc import Sequence

from kernels.bench.attention import FLEX, MASKED, MASKED_PADDED, OURS, Row


def table(rows: Sequence[Row], bandwidth: float, *, ratios: bool) -> str:
    """Microseconds by contender, what ours moves and its share of `bandwidth` (bytes a second).

    A ratio is against the fastest right result with a mask, and against FlexAttention. Without `ratios`, or
    on a row where ours is wrong, none is printed.
    """
    names = list(dict.fromkeys(name for row in rows for name in (*row.us, *row.failed, *row.errors)))
    ours = ["x mask", "x Flex", "MB", "% of copy"]
    lines = [["B", "T", "window", "type", *names, *ours]]
    lines.append(["---"] * len(lines[0]))
    for row in rows:
        shape = row.shape
        what = [shape.batch, shape.frames, f"{shape.left}, {shape.right}", _type(row)]
        lines.append([*map(str, what), *(_cell(row, name) for name in names), *_ours(row, bandwidth, ratios)])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _type(row: Row) -> str:
    return str(row.shape.dtype).removeprefix("torch.")


def _cell(row: Row, name: str) -> str:
    if name in row.failed:
        return "fails"
    if name in row.us and not row.right(name):
        return f"{row.us[name]:.1f}, WRONG ({row.errors[name]:.1g})"
    return f"{row.us[name]:.1f}" if name in row.us else ""


def _ours(row: Row, bandwidth: float, ratios: bool) -> list[str]:
    """Ours against the others; a share above 100 % means that the inputs were in the cache."""
    mask, flex = (row.ratio(*names) if ratios else None for names in ((MASKED, MASKED_PADDED), (FLEX,)))
    share = row.bytes / (row.us[OURS] * 1e-6) / bandwidth if ratios and row.ours_is_right else None
    cells = [f"{ratio:.1f}" if ratio is not None else "" for ratio in (mask, flex)]
    return [*cells, f"{row.bytes / 1e6:.1f}", f"{100 * share:.0f}" if share is not None else ""]
