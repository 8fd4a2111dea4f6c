"""`python -m assistant.trace.trials SAME CHANGED`: how often a comparison of recordings is right.

SAME holds recordings of one code, CHANGED of one that is known to be slower in one part. Disjoint draws from
SAME should not be called different; what is drawn from CHANGED should be called slower in that part.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from assistant.trace.compare import MARGIN_MS, Comparison, compare
from assistant.trace.errors import TraceError
from assistant.trace.paired import QUANTITIES, Measured, measured
from assistant.trace.recording import META
from assistant.trace.summary import ReportError, write_json
from assistant.trace.trace import read_trace


@dataclass(frozen=True)
class Trial:
    """One comparison: the recordings of either side, what was found, and whether that is right."""

    kind: str
    a: tuple[str, ...]
    b: tuple[str, ...]
    verdict: str
    slower: tuple[str, ...]
    faster: tuple[str, ...]
    reason: str | None
    right: bool


def trials(
    same: Sequence[Measured],
    changed: Sequence[Measured],
    part: str,
    *,
    pairs: int = 20,
    rounds: int = 1,
    margin_ms: float = MARGIN_MS,
    seed: int = 0,
) -> Iterator[Trial]:
    """So many `pairs` of each kind, of `rounds` recordings a side, drawn with `seed`; raises TraceError.

    Two draws of the same code share no recording. Different trials may.
    """
    if len(same) < 2 * rounds or len(changed) < rounds:
        raise TraceError(
            f"trials of {rounds} a side want {2 * rounds} recordings that are the same, {rounds} changed"
        )
    rng = np.random.default_rng(seed)
    for _ in range(pairs):
        drawn = [same[index] for index in rng.permutation(len(same))[: 2 * rounds]]
        found = compare(drawn[:rounds], drawn[rounds:], margin_ms)
        right = found.verdict in ("same", "undecided")
        yield _trial("same", drawn[:rounds], drawn[rounds:], found, right=right)
    for _ in range(pairs):
        a = [same[index] for index in rng.permutation(len(same))[:rounds]]
        b = [changed[index] for index in rng.permutation(len(changed))[:rounds]]
        found = compare(a, b, margin_ms)
        yield _trial("changed", a, b, found, right=part in found.named("slower"))


def _trial(
    kind: str, a: Sequence[Measured], b: Sequence[Measured], found: Comparison, *, right: bool
) -> Trial:
    slower, faster = tuple(found.named("slower")), tuple(found.named("faster"))
    return Trial(kind, _names(a), _names(b), found.verdict, slower, faster, found.reason, right)


def _names(side: Sequence[Measured]) -> tuple[str, ...]:
    return tuple(Path(each.name).name for each in side)


def table(found: Sequence[Trial]) -> Iterator[str]:
    """A line a trial, and how many of each kind are right."""
    for each in found:
        parts = [*each.slower, *(f"{name} faster" for name in each.faster)]
        why = ", ".join(parts) or each.reason or ""
        names = f"{','.join(each.a)} - {','.join(each.b)}"
        yield f"{'' if each.right else 'WRONG':<6}{each.kind:<9}{names:<24}{each.verdict:<11}{why}".rstrip()
    for kind, what in (("same", "not called different"), ("changed", "slower, with the part named")):
        of = [each.right for each in found if each.kind == kind]
        yield f"{kind}: {sum(of)} of {len(of)} {what}"


def main(words: Sequence[str] | None = None) -> None:
    """Run the command; exit code 1 if fewer than 19 of 20 trials of a kind are right, 2 for bad input."""
    parser = argparse.ArgumentParser(prog="python -m assistant.trace.trials", description=__doc__)
    parser.add_argument("same", type=Path, help="Folder with recordings of one code.")
    parser.add_argument("changed", type=Path, help="Folder with recordings of the slower code.")
    parser.add_argument("--part", choices=QUANTITIES, default="tts.first_chunk (work)", metavar="PART")
    parser.add_argument("--pairs", type=int, default=20, help="Trials of each kind.")
    parser.add_argument("--rounds", type=int, default=1, help="Recordings of each side in a trial.")
    parser.add_argument("--margin", type=float, default=MARGIN_MS, help="As of assistant trace compare.")
    parser.add_argument("--seed", type=int, default=0, help="Of the draws.")
    parser.add_argument("--json", type=Path, help="Write all trials.")
    options = parser.parse_args(words)
    if min(options.pairs, options.rounds) < 1:
        parser.error("--pairs and --rounds are at least 1")
    try:
        found = list(
            trials(
                _recordings(options.same),
                _recordings(options.changed),
                options.part,
                pairs=options.pairs,
                rounds=options.rounds,
                margin_ms=options.margin,
                seed=options.seed,
            )
        )
        print("\n".join(table(found)))
        if options.json:
            write_json(options.json, {"trials": [asdict(each) for each in found]})
    except (TraceError, ReportError) as error:
        parser.error(str(error))
    kinds = [[each.right for each in found if each.kind == kind] for kind in ("same", "changed")]
    sys.exit(any(sum(right) < 0.95 * len(right) for right in kinds))


def _recordings(folder: Path) -> list[Measured]:
    found = [measured(read_trace(meta.parent)) for meta in sorted(folder.rglob(META))]
    if not found:
        raise TraceError(f"{folder}: holds no trace")
    return found


if __name__ == "__main__":
    main()
