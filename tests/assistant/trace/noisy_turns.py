"""Turns of simulated recordings: work with long tails, spells of a slow machine, decisions at other windows.

Sizes are of `traces/recorded/questions` (quiet) and of live replays on two cores that others kept busy.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from assistant.session.parts import PARTS, Boundaries, split
from assistant.trace.paired import WORKING

WORK_MS = dict(zip(WORKING, (41.0, 0.8, 2.6, 15.0, 0.8, 38.0, 14.0), strict=True))
"""Medians of the ten turns of that recording."""
_BEGINS_MS = 90.0  # after the voice: when transcription begins


@dataclass(frozen=True)
class Noise:
    """How a machine disturbs. Spreads are standard deviations of logarithms."""

    spread: float = 0.15
    tail: float = 0.1
    """Share of the steps that take some times as long, and of the turns in which all do."""
    moved: float = 0.15
    """Share of the turns that are decided 32 to 300 ms later."""
    drift: float = 0.05
    """From recording to recording, of all work."""
    load: float = 1.0


QUIET = Noise()
BUSY = Noise(spread=0.45, tail=0.3, moved=0.4, drift=0.25, load=5.0)


def recordings(
    rng: np.random.Generator,
    turns: int,
    count: int,
    noise: Noise = QUIET,
    slower_ms: Mapping[str, float] | None = None,
) -> NDArray[np.float64]:
    """`count` recordings of the clips that `clips(turns)` gives: ms [count, turns, quantities]."""
    work, decided = clips(turns)
    found = np.zeros((count, turns, 1 + len(PARTS) + len(WORKING)))
    for number in range(count):
        slow = noise.load * rng.lognormal(0, noise.drift) * _tail(rng, noise, (turns, 1))
        took = work * slow * rng.lognormal(0, noise.spread, work.shape) * _tail(rng, noise, work.shape)
        took = took + [(slower_ms or {}).get(name, 0.0) for name in WORKING]
        moved = (rng.random(turns) < noise.moved) * rng.choice([32.0, 64.0, 300.0], turns)
        ends = decided + moved + rng.normal(0, 1, turns)
        for turn in range(turns):
            found[number, turn] = _turn(took[turn], ends[turn])
    return found


def clips(turns: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The usual work [turns, WORKING] and the usual decision [turns] of so many clips, always the same."""
    rng = np.random.default_rng(0)
    work = np.array(list(WORK_MS.values())) * rng.lognormal(0, 0.4, (turns, len(WORKING)))
    return work, rng.choice([285.0, 330.0, 365.0, 1200.0, 1450.0], turns)


def _tail(rng: np.random.Generator, noise: Noise, shape: tuple[int, ...]) -> NDArray[np.float64]:
    return 1 + (rng.random(shape) < noise.tail) * rng.lognormal(-0.5, 1.0, shape)


def _turn(work: NDArray[np.float64], decided: float) -> list[float]:
    ends = dict(zip(WORKING, _BEGINS_MS + np.cumsum(work), strict=True))
    ends["endpoint.wait"] = decided
    ends["playback.start"] = max(decided, ends["tts.first_chunk"]) + 30
    starts = {"asr.final": round(_BEGINS_MS * 1e6)}
    parts = split(0, Boundaries({name: round(ends[name] * 1e6) for name in PARTS}, starts))
    work_ms = [part.ms + part.hidden_ms for part in parts if part.name in WORKING]
    return [sum(part.ms for part in parts), *(part.ms for part in parts), *work_ms]
