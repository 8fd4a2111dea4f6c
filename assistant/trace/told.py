"""A simulation as numbers that are the same everywhere: rounded, in the order of the trace."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from assistant.session.parts import PARTS
from assistant.trace.simulate import Simulation
from assistant.trace.summary import quantiles
from assistant.trace.turns import ReplayedTurn

TTFA = "ttfa"


def keyed(turns: Sequence[ReplayedTurn]) -> Iterator[tuple[str, ReplayedTurn]]:
    """Each turn with a name of its own: its file, counted where that comes again."""
    seen: dict[str, int] = {}
    for turn in turns:
        seen[turn.file] = seen.get(turn.file, 0) + 1
        yield turn.file if seen[turn.file] == 1 else f"{turn.file} ({seen[turn.file]})", turn


def told_turn(turn: ReplayedTurn) -> dict[str, Any]:
    """A turn in milliseconds: the wait, and of each part what is exposed and what is hidden."""
    return {
        TTFA: _rounded(turn.ttfa_ms),
        "parts": {part.name: [_rounded(part.ms), _rounded(part.hidden_ms)] for part in turn.parts},
        "cut_in": turn.cut_in,
        "interrupted": turn.interrupted,
        "underruns": turn.underruns,
        "transcript": turn.transcript,
        "heard": turn.heard,
    }


def told(simulation: Simulation) -> dict[str, Any]:
    """All of a simulation."""
    recorded = dict(keyed(simulation.recorded))
    costs = {
        name: [_rounded(cost.constant_ms), _rounded(cost.slope_ms), cost.samples]
        for name, cost in simulation.costs.items()
    }
    return {
        "trace": simulation.trace.name,
        "turns": {
            key: {
                **told_turn(turn),
                "recorded_ttfa": _rounded(recorded[key].ttfa_ms) if key in recorded else None,
            }
            for key, turn in keyed(simulation.turns)
        },
        "unrecorded": dict(simulation.unrecorded),
        "failures": simulation.failures,
        "dropped_frames": simulation.dropped_frames,
        "costs_ms": costs,
    }


def part_quantiles(turns: Sequence[ReplayedTurn]) -> dict[str, Mapping[str, float | None]]:
    """p50 and p95 of the wait and of each part, over the turns that were answered."""
    answered = [turn for turn in turns if turn.ttfa_ms is not None]
    columns = {TTFA: [turn.ttfa_ms or 0.0 for turn in answered]}
    for index, name in enumerate(PARTS):
        columns[name] = [turn.parts[index].ms for turn in answered]
    return {
        name: {of: _rounded(value) for of, value in quantiles(column).items()}
        for name, column in columns.items()
    }


def lines(simulation: Simulation) -> Iterator[str]:
    """A table: the wait of each turn as it is now and as it was recorded, and its longest parts."""
    recorded = dict(keyed(simulation.recorded))
    yield f"{simulation.trace.name}"
    yield f"  {'turn':<24}{'ms':>8}{'recorded':>10}  parts"
    errors = []
    for key, turn in keyed(simulation.turns):
        was = recorded[key].ttfa_ms if key in recorded else None
        if turn.ttfa_ms is not None and was is not None:
            errors.append(abs(turn.ttfa_ms - was))
        yield f"  {key:<24}{_shown(turn.ttfa_ms):>8}{_shown(was):>10}  {_longest(turn)}".rstrip()
    if errors:
        middle, most = np.percentile(errors, [50, 95])
        yield f"  against the recording: off by {middle:.1f} ms (median), {most:.1f} ms (p95)"
    if simulation.unrecorded:
        asked = ", ".join(f"{stage} {count}" for stage, count in simulation.unrecorded.items())
        yield f"  not recorded, by the real models and the cost model: {asked}"
    if simulation.failures or simulation.dropped_frames:
        yield f"  {simulation.failures} failures, {simulation.dropped_frames} frames dropped"


def _longest(turn: ReplayedTurn) -> str:
    parts = sorted(turn.parts, key=lambda part: -part.ms)[:3]
    notes = [f"{part.name} {part.ms:.1f}" for part in parts if part.ms >= 0.05]
    notes += ["cut in"] * turn.cut_in + ["interrupted"] * turn.interrupted
    return ", ".join([*notes, f"{turn.underruns} underruns"] if turn.underruns else notes)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3) + 0.0  # no -0.0


def _shown(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"
