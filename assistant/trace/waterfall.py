"""The latency waterfall of one turn, drawn with characters."""

from collections.abc import Sequence

from assistant.session.parts import Part

_WIDTH = 48
_NAME = 20


def waterfall(parts: Sequence[Part]) -> str:
    """One line a part: where in the wait it lies, how long it was, and what was hidden of it."""
    whole = sum(max(0.0, part.ms) for part in parts) or 1.0
    lines, begin = [], 0.0
    for part in parts:
        lines.append(_line(part, begin / whole, max(0.0, part.ms) / whole))
        begin += max(0.0, part.ms)
    ttfa = sum(part.ms for part in parts)
    return "\n".join([*lines, f"{'time to first audio':<{_NAME}}{ttfa:8.1f} ms"])


def _line(part: Part, begin: float, share: float) -> str:
    left = round(begin * _WIDTH)
    bar = "█" * max(round((begin + share) * _WIDTH) - left, 1 if part.ms > 0 else 0)
    hidden = f"  (+{part.hidden_ms:.0f} hidden)" if part.hidden_ms >= 0.5 else ""
    return f"{part.name:<{_NAME}}{part.ms:8.1f} ms  {' ' * left + bar:<{_WIDTH + 1}}{hidden}".rstrip()
