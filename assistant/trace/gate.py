"""Holding simulated turns against a baseline: who waits longer, and because of which part."""

import json
import math
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assistant.session.parts import PARTS
from assistant.trace.causes import counted, grown_ms
from assistant.trace.errors import TraceError
from assistant.trace.simulate import Simulation
from assistant.trace.told import TTFA, keyed, part_quantiles, told_turn

FORMAT = 1
TOLERANCE_MS = 1.0
"""What a part may differ by: a simulation has no noise, but code may be cut into other steps."""
_BUDGET_STEP_MS = 10  # a new budget is the next multiple above what there is
_SLACK = "playback.start"  # of which nothing is work: what is hidden there waits for the release of the reply
_LOST = ("dropped_frames", "failures")  # of a whole trace
_OTHER = ("false_starts", "heard_false_starts", "interrupted", "underruns", "transcript", "heard")

Turns = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Moved:
    """A part of a turn, or of all of them, that is not what it was."""

    turn: str
    part: str
    before: str
    after: str
    fails: bool


def measured(simulations: Sequence[Simulation]) -> dict[str, Any]:
    """What a baseline holds of traces, without budgets."""
    return {
        "format": FORMAT,
        "traces": {
            simulation.trace.name: {key: told_turn(turn) for key, turn in keyed(simulation.turns)}
            for simulation in simulations
        },
        "lost": {
            simulation.trace.name: {name: getattr(simulation, name) for name in _LOST}
            for simulation in simulations
        },
        "quantiles": part_quantiles([turn for simulation in simulations for turn in simulation.turns]),
    }


def with_budgets(now: Mapping[str, Any], before: Mapping[str, Any] | None) -> dict[str, Any]:
    """A baseline of what was measured `now`, with the budgets `before`, or, without, some just above."""
    if before is not None:
        return {**now, "budgets": before["budgets"]}
    wait = now["quantiles"][TTFA]
    above = {name: _above(value) for name, value in wait.items() if value is not None}
    return {**now, "budgets": {TTFA: above} if above else {}}


def as_text(baseline: Mapping[str, Any]) -> str:
    """A baseline as JSON with a line for each part, so that a reviewer can read what changed."""
    text = json.dumps(baseline, indent=1, ensure_ascii=False)
    return re.sub(r"\[\s+([-\d.]+),\s+([-\d.]+)\s+\]", r"[\1, \2]", text) + "\n"


def _above(value: float) -> int:
    return (math.floor(value / _BUDGET_STEP_MS) + 1) * _BUDGET_STEP_MS


def compare(now: Mapping[str, Any], baseline: Mapping[str, Any], path: Path) -> list[Moved]:
    """What differs from the baseline that `path` holds; raises TraceError if that is of other turns."""
    _same_turns(now["traces"], baseline["traces"], path)
    moved: list[Moved] = []
    for trace, turns in now["traces"].items():
        moved += _lost(trace, baseline.get("lost", {}).get(trace, {}), now["lost"][trace])
        for key, turn in turns.items():
            moved += _turn(f"{trace}/{key}", baseline["traces"][trace][key], turn)
    return moved + list(_over_budget(now["quantiles"], baseline["budgets"]))


def _same_turns(now: Mapping[str, Turns], before: Mapping[str, Turns], path: Path) -> None:
    here, there = ({f"{trace}/{key}" for trace in of for key in of[trace]} for of in (now, before))
    for turns, what in ((here - there, "it has no turn"), (there - here, "no trace has its turn")):
        if turns:
            more = f" and {len(turns) - 1} more" if len(turns) > 1 else ""
            raise TraceError(f"{path}: is for other traces: {what} {min(turns)}{more}; see --update")


def _lost(trace: str, before: Mapping[str, int], now: Mapping[str, int]) -> Iterator[Moved]:
    for name in _LOST:
        if now[name] != (was := before.get(name, 0)):
            yield Moved(trace, name, str(was), str(now[name]), fails=now[name] > was)


def _turn(name: str, before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[Moved]:
    for other in _OTHER:
        if before[other] != now[other]:
            worse = not isinstance(now[other], int) or now[other] > before[other]
            yield Moved(name, other, _short(before[other]), _short(now[other]), worse)
    if (before[TTFA] is None) != (now[TTFA] is None):
        yield Moved(name, TTFA, _ms(before[TTFA]), _ms(now[TTFA]), fails=True)
        return
    if now[TTFA] is not None:
        yield from _times(name, TTFA, before[TTFA], now[TTFA])
    for part, (ms, hidden_ms) in now["parts"].items():
        was_ms, was_hidden_ms = before["parts"][part]
        yield from _times(name, part, was_ms, ms)
        if part != _SLACK and abs(ms - was_ms) <= TOLERANCE_MS:  # else what is exposed was hidden before
            yield from _times(name, f"{part} (hidden)", was_hidden_ms, hidden_ms)


def _times(name: str, part: str, before: float, now: float) -> Iterator[Moved]:
    if abs(now - before) > TOLERANCE_MS:
        yield Moved(name, part, _ms(before), _ms(now), fails=now > before)


def _over_budget(now: Mapping[str, Any], budgets: Mapping[str, Any]) -> Iterator[Moved]:
    for part, of in budgets.items():
        for quantile, most in of.items():
            value = now[part][quantile]
            if value is not None and value > most:
                yield Moved(f"all turns, {quantile}", part, f"budget {most:g}", _ms(value), fails=True)


def _ms(value: float | None) -> str:
    return "none" if value is None else f"{value:.1f}"


def worse_first(now: Mapping[str, Any], baseline: Mapping[str, Any], moved: Sequence[Moved]) -> str:
    """What got worse first in each turn, in one line: the rest of the table may only have shifted.

    What a whole trace lost comes before all turns. "" if only a budget is exceeded.
    """
    lost = [f"{each.part} in {each.turn}" for each in moved if each.fails and each.part in _LOST]
    told = {each.turn: each.part for each in reversed(moved) if each.fails and each.part in (*_OTHER, TTFA)}
    turns = [(trace, key) for trace, of in now["traces"].items() for key in of]
    first: dict[str, list[float]] = defaultdict(list)
    for trace, key in turns:
        grown = grown_ms(baseline["traces"][trace][key], now["traces"][trace][key])
        part, ms = next((found for found in grown if found[1] > TOLERANCE_MS), ("", 0.0))
        if part or (part := told.get(f"{trace}/{key}", "")):
            first[part].append(ms)
    worse = [*lost, *counted(first, len(turns))]
    return f"worse first: {'; '.join(worse)}" if worse else ""


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 24 else f"...{text[-21:]}"


def table(moved: Sequence[Moved]) -> Iterator[str]:
    """What moved, one line each."""
    if moved:
        yield f"{'turn':<32} {'part':<26} {'was':>24} {'is':>24}"
    for each in moved:
        mark = "" if each.fails else "  better"
        yield f"{each.turn:<32} {each.part:<26} {each.before:>24} {each.after:>24}{mark}"


def read_baseline(path: Path, *, budgets_only: bool = False) -> dict[str, Any]:
    """The baseline in a file, with turns as an earlier version told them if only its budgets are wanted.

    Raises TraceError: none, damaged, of another format, a budget of no part, such turns.
    """
    try:
        baseline: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        reason = _unusable(baseline) or ("" if budgets_only else _other_turns(baseline))
    except OSError as error:
        raise TraceError(f"{path}: {error.strerror}; --update writes it") from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise TraceError(f"{path}: is no baseline ({type(error).__name__}: {error})") from error
    if reason:
        raise TraceError(f"{path}: {reason}")
    return baseline


def _unusable(baseline: Mapping[str, Any]) -> str:
    if baseline["format"] != FORMAT:
        return f"is of format {baseline['format']!r:.40}; this version reads {FORMAT}"
    for part, of in baseline["budgets"].items():
        if part not in (TTFA, *PARTS):
            return f"a budget for {part!r:.40}, which is no part; there are {', '.join((TTFA, *PARTS))}"
        if not set(of) <= {"p50", "p95"} or not all(isinstance(most, int | float) for most in of.values()):
            return f"the budget for {part} has to be numbers called p50 and p95"
    lost = baseline.get("lost", {}).values()
    if not all(isinstance(count, int) for of in lost for count in of.values()):
        return f"lost has to be numbers called {' and '.join(_LOST)}"
    return ""


def _other_turns(baseline: Mapping[str, Any]) -> str:
    keys = {TTFA, "parts", *_OTHER}
    for trace, turns in baseline["traces"].items():
        for key, turn in turns.items():
            if not keys <= turn.keys() or (turn["parts"] and set(turn["parts"]) != set(PARTS)):
                return f"{trace}/{key} is no turn of this version; see --update"
    return ""
