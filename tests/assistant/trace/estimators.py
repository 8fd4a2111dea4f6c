"""`python tests/assistant/trace/estimators.py`: which interval is right, and finds most, of simulated turns.

Each is made for all quantities at once. Without a change, 0 should lie outside any of them in 1 of 20 trials
at the most; 10 or 30 ms more in the first chunk of the voice should be found.
"""

import sys
from collections.abc import Callable
from dataclasses import replace
from statistics import NormalDist

import numpy as np
from noisy_turns import BUSY, QUIET, recordings
from numpy.typing import NDArray
from scipy import stats

from assistant.trace.compare import MARGIN_MS, differences
from assistant.trace.intervals import simultaneous
from assistant.trace.paired import QUANTITIES

Array = NDArray[np.float64]
Interval = Callable[[Array], tuple[Array, Array]]
PART = QUANTITIES.index("tts.first_chunk (work)")
_SHARE = 0.05 / len(QUANTITIES)  # Bonferroni


def trimmed(d: Array) -> tuple[Array, Array]:
    centre, half = simultaneous(d)
    return centre - half, centre + half


def student(d: Array) -> tuple[Array, Array]:
    half = stats.t.ppf(1 - _SHARE / 2, len(d) - 1) * np.maximum(d.std(axis=0, ddof=1) / len(d) ** 0.5, 0.1)
    return d.mean(axis=0) - half, d.mean(axis=0) + half


def walsh(d: Array) -> Array:
    one, other = np.triu_indices(d.shape[-2])
    return (d[..., one, :] + d[..., other, :]) / 2


def percentile(of: Callable[[Array], Array]) -> Interval:
    def interval(d: Array) -> tuple[Array, Array]:
        drawn = of(d[np.random.default_rng(0).integers(0, len(d), (500, len(d)))])
        low, high = np.quantile(drawn, [_SHARE / 2, 1 - _SHARE / 2], axis=0)
        return low, high

    return interval


def signed_rank(d: Array) -> tuple[Array, Array]:
    """The Wilcoxon test turned into an interval, by its normal approximation."""
    count, sums = len(d), np.sort(walsh(d), axis=0)
    spread = (count * (count + 1) * (2 * count + 1) / 24) ** 0.5
    depth = int(len(sums) / 2 + NormalDist().inv_cdf(_SHARE / 2) * spread)
    return (sums[depth - 1], sums[-depth]) if depth > 0 else (sums[0] - np.inf, sums[-1] + np.inf)


INTERVALS: dict[str, Interval] = {
    "trimmed mean, wild max-T": trimmed,
    "mean, t": student,
    "median, bootstrap": percentile(lambda drawn: np.median(drawn, axis=-2)),
    "Hodges-Lehmann, bootstrap": percentile(lambda drawn: np.median(walsh(drawn), axis=-2)),
    "Hodges-Lehmann, signed rank": signed_rank,
}


def verdicts(trials: int) -> None:
    """How often `assistant trace compare` would be right, with machines that drift."""
    for name, noise in (("quiet", QUIET), ("busy", BUSY)):
        for turns, rounds in ((6, 1), (10, 1), (10, 2), (20, 1), (20, 2), (50, 1)):
            rng, counts = np.random.default_rng(turns + rounds), np.zeros(3, int)
            for _ in range(trials):
                before = recordings(rng, turns, rounds, noise)
                for index, more in enumerate((0.0, 10.0, 30.0)):
                    after = recordings(rng, turns, rounds, noise, {"tts.first_chunk": more})
                    found = [each.verdict for each in differences(before, after, MARGIN_MS)]
                    counts[index] += (
                        found[PART] == "slower" if more else not {"slower", "faster"}.isdisjoint(found)
                    )
            wrong, ten, thirty = counts
            print(
                f"{name}, {turns} turns, {rounds} rounds: "
                f"the same called different {wrong}, 10 ms {ten}, 30 ms {thirty} of {trials}",
                flush=True,
            )


def intervals(trials: int) -> None:
    """How often each interval is wrong, and finds what is there, on a machine that does not drift."""
    noise = replace(QUIET, drift=0.0)
    for turns in (10, 20):
        rng = np.random.default_rng(turns)
        counts = {name: np.zeros(3, int) for name in INTERVALS}
        for _ in range(trials):
            difference = (recordings(rng, turns, 1, noise) - recordings(rng, turns, 1, noise))[0]
            for name, interval in INTERVALS.items():
                low, high = interval(difference)
                counts[name] += [bool(((low > 0) | (high < 0)).any()), low[PART] > -10, low[PART] > -30]
        for name, (wrong, ten, thirty) in counts.items():
            print(
                f"{turns} turns, {name:<28} wrong {wrong:>3}, 10 ms {ten:>3}, 30 ms {thirty:>3} of {trials}"
            )


if __name__ == "__main__":
    wanted = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    intervals(wanted)
    verdicts(wanted)
