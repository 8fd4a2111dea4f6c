"""Critical paths and what became of all work, as numbers and as text."""

from collections.abc import Iterator, Sequence
from typing import Any

from assistant.trace.path import Piece
from assistant.trace.shares import Shares, added
from assistant.trace.simulate import Explained

_SHOWN_US = 50  # what is shorter is left out of the text


def told_explained(explained: Explained) -> dict[str, Any]:
    """The path as [what, waits, ms, behind], and of each kind of step what is exposed, hidden and wasted."""
    path = [
        [piece.what, piece.waits, us / 1e3, piece.behind]
        for piece, us in zip(explained.path, lengths_us(explained.path), strict=True)
    ]
    return {"path": path, "work": told_shares(explained.shares)}


def told_shares(shares: Shares) -> dict[str, list[float]]:
    """Core-milliseconds of each kind of step: exposed, hidden, wasted."""
    return {
        kind: [round(ms, 3) + 0.0 for ms in (share.exposed, share.hidden, share.wasted)]
        for kind, share in shares.items()
    }


def lengths_us(path: Sequence[Piece]) -> list[int]:
    """How long the pieces are, so rounded that they add up to the whole path, rounded."""
    start_ns = path[0].start_ns if path else 0

    def us(ns: int) -> int:
        return round((ns - start_ns) / 1e3)

    return [us(piece.end_ns) - us(piece.start_ns) for piece in path]


def chain(path: Sequence[Piece]) -> str:
    """The path as a line: voice ends -> silence: prepare 64.0 -> asr.final 28.1 -> ..."""
    shown = [
        f"{_named(piece)} {us / 1e3:.1f}"
        for piece, us in zip(path, lengths_us(path), strict=True)
        if abs(us) >= _SHOWN_US
    ]
    return " -> ".join(["voice ends", *shown])


def _named(piece: Piece) -> str:
    if piece.waits == "cores":
        return f"{piece.what} waits for cores"
    if piece.waits == "thread":
        return f"{piece.what} waits behind {piece.behind or 'other work'}"
    return piece.what


def table(explained: Sequence[Explained]) -> Iterator[str]:
    """Core-milliseconds of each kind of step of all turns: exposed, hidden, wasted, and the share of all."""
    shares = added(each.shares for each in explained)
    whole = sum(share.whole for share in shares.values()) or 1.0
    yield f"  {'core-ms':<18}{'exposed':>10}{'hidden':>10}{'wasted':>10}{'share':>8}"
    for kind, share in shares.items():
        columns = "".join(f"{ms:>10.1f}" for ms in (share.exposed, share.hidden, share.wasted))
        yield f"  {kind:<18}{columns}{share.whole / whole:>8.1%}"
    wasted = sum(share.wasted for share in shares.values())
    yield f"  wasted: {wasted:.1f} of {whole:.1f} core-ms ({wasted / whole:.1%})"
