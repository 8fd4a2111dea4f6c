"""The bench's tables, in Markdown."""

from collections.abc import Sequence

from kernels.bench.results import Figure, Result


def table(results: Sequence[Result], speed: float, *, ratios: bool) -> str:
    """Microseconds by contender, what ours must move and its share of `speed` (bytes a second).

    "times" says how many times faster ours is than the fastest rival that is right. Without `ratios`, or
    where ours is wrong, no ratio is printed, and no share.
    """
    names = list(dict.fromkeys(name for one in results for name in (*one.us, *one.failed, *one.errors)))
    keys = list(dict.fromkeys(key for one in results for key in one.case))
    tokens = any(one.tokens for one in results)
    head = [*keys, *names, "times", "MB", "% of memory", *(["tokens/s"] if tokens else [])]
    lines = [head, ["---"] * len(head)]
    for one in results:
        cells = [str(one.case.get(key, "")) for key in keys] + [_cell(one, name) for name in names]
        ratio = one.ratio if ratios else None
        cells.append(f"{ratio:.1f}" if ratio is not None else "")
        cells += [f"{one.bytes / 1e6:.1f}", share(one, speed) if ratios else ""]
        lines.append(cells + ([_rate(one)] if tokens else []))
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def line(result: Result | Figure, speed: float) -> str:
    """One result in a line, as soon as it is there."""
    if isinstance(result, Figure):
        return f"{result.name}: {result.value:.4g} {result.unit}"
    case = " ".join(f"{key} {value}" for key, value in result.case.items())
    names = sorted(dict.fromkeys((*result.us, *result.failed)), key=lambda name: name not in result.ours)
    cells = [f"{name} {_cell(result, name)}" for name in names]
    of_memory = f" ({share(result, speed)} % of the memory)" if share(result, speed) else ""
    reasons = [f"\n    {name}: {why.strip().splitlines()[0]}" for name, why in result.failed.items()]
    return f"{case}: {', '.join(cells)}{of_memory}{''.join(reasons)}"


def share(result: Result, speed: float) -> str:
    """Per cent of the memory's speed; above 100, the inputs were in a cache. Empty while ours is red."""
    if result.red or not result.bytes:
        return ""
    return f"{100 * result.bytes / (result.best * 1e-6) / speed:.0f}"


def _rate(result: Result) -> str:
    return f"{result.tokens / (result.best * 1e-6):.0f}" if result.tokens and not result.red else ""


def _cell(result: Result, name: str) -> str:
    if name in result.failed:
        return "fails"
    if name in result.us and not result.right(name):
        return f"{result.us[name]:.1f}, WRONG ({result.errors[name]:.1g})"
    return f"{result.us[name]:.1f}" if name in result.us else ""
