"""A simulation as numbers that are the same everywhere: rounded, in the order of the trace."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from assistant.session.parts import PARTS
from assistant.trace.shares import added
from assistant.trace.simulate import Simulation
from assistant.trace.summary import quantiles, turn_taking
from assistant.trace.told_path import chain, table, told_explained, told_shares
from assistant.trace.turns import ReplayedTurn

TTFA = "ttfa"
_LISTENING = ("vad", "asr.partial", "llm.read_ahead")
"""Kinds of steps that are for no turn or reply of their own."""


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
        "false_starts": turn.false_starts,
        "heard_false_starts": turn.heard_false_starts,
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
                "ready_ms": _rounded(turn.ready_ms),
                "recorded_ttfa": _rounded(recorded[key].ttfa_ms) if key in recorded else None,
                **told_explained(explained),
            }
            for (key, turn), explained in zip(keyed(simulation.turns), simulation.explained, strict=True)
        },
        "quantiles": part_quantiles(simulation.turns),
        "work": told_shares(added(explained.shares for explained in simulation.explained)),
        "unrecorded": dict(simulation.unrecorded),
        "failures": simulation.failures,
        "dropped_frames": simulation.dropped_frames,
        "costs_ms": costs,
    }


def told_turn_taking(simulations: Sequence[Simulation]) -> dict[str, Any]:
    """As in the summary of a replay, with the core-milliseconds of all work on turns and replies."""
    numbers = turn_taking([turn for simulation in simulations for turn in simulation.turns])
    shares = added(explained.shares for simulation in simulations for explained in simulation.explained)
    of = [share for kind, share in shares.items() if kind not in _LISTENING]
    work = {"core_ms": sum(share.whole for share in of), "wasted_core_ms": sum(share.wasted for share in of)}
    return _all_rounded({**numbers, "speculation": {**numbers["speculation"], **work}})


def _all_rounded(numbers: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: _all_rounded(of) if isinstance(of, Mapping) else _rounded(of) if isinstance(of, float) else of
        for name, of in numbers.items()
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


def lines(simulation: Simulation, *, paths: bool = False) -> Iterator[str]:
    """A table: the wait of each turn as it is now and as it was recorded, and its longest parts.

    With `paths`, the critical path of each, and what became of all work.
    """
    recorded = dict(keyed(simulation.recorded))
    yield f"{simulation.trace.name}"
    yield f"  {'turn':<24}{'ms':>8}{'recorded':>10}  parts"
    errors = []
    for (key, turn), explained in zip(keyed(simulation.turns), simulation.explained, strict=True):
        was = recorded[key].ttfa_ms if key in recorded else None
        if turn.ttfa_ms is not None and was is not None:
            errors.append(abs(turn.ttfa_ms - was))
        yield f"  {key:<24}{_shown(turn.ttfa_ms):>8}{_shown(was):>10}  {_longest(turn)}".rstrip()
        if paths and explained.path:
            yield f"    {chain(explained.path)}"
    if len(errors) > 1:
        wait = part_quantiles(simulation.turns)[TTFA]
        yield f"  p50 {_shown(wait['p50'])}, p95 {_shown(wait['p95'])} ms"
    if errors:
        middle, most = np.percentile(errors, [50, 95])
        yield f"  against the recording: off by {middle:.1f} ms (median), {most:.1f} ms (p95)"
    if paths:
        yield from table(simulation.explained)
    if simulation.unrecorded:
        asked = ", ".join(f"{stage} {count}" for stage, count in simulation.unrecorded.items())
        yield f"  not recorded, by the real models and the cost model: {asked}"
    if simulation.failures or simulation.dropped_frames:
        yield f"  {simulation.failures} failures, {simulation.dropped_frames} frames dropped"


def _longest(turn: ReplayedTurn) -> str:
    parts = sorted(turn.parts, key=lambda part: -part.ms)[:3]
    notes = [f"{part.name} {part.ms:.1f}" for part in parts if part.ms >= 0.05]
    notes += turn.notes
    return ", ".join([*notes, f"{turn.underruns} underruns"] if turn.underruns else notes)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3) + 0.0  # no -0.0


def _shown(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"
