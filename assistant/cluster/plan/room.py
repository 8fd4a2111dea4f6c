"""How many sessions one machine has room for: what bounds it, by simulation and by what needs none."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from assistant.cluster.plan.capacity import TIMES, Level, capacity
from assistant.cluster.plan.costs import Costs
from assistant.cluster.plan.errors import PlanError
from assistant.cluster.plan.machine import Machine, costs_on
from assistant.cluster.plan.one_machine import Held, drawn, hold

PAUSE_S = 1.0
"""From the end of a reply until the caller speaks again: assumed."""
_BUSY = 0.8
"""Of all cores, and of the event loop's one, that sessions may keep busy: assumed. The simulation does not
know the interpreter lock, and is too bright near the end."""
_MEMORY = 0.9
"""Of the memory that models and sessions may take: assumed."""
_MOST_SESSIONS = 1024  # see `LlmConfig.sessions`
_TURNS = 240
"""Simulated for each number of sessions: 12 of them are above the 95th percentile."""


@dataclass(frozen=True)
class Room:
    """What one machine holds."""

    sessions: int
    bound_by: str
    bound_ms: float
    """Of the 95th percentile of time to first audio."""
    held: tuple[Held, ...]
    """Simulated, for some numbers of sessions up to `sessions`."""


def room_of(machine: Machine, costs: Costs, bound_ms: float | None = None, pause_s: float = PAUSE_S) -> Room:
    """How many sessions a machine has room for. Raises PlanError: not even one."""
    here = costs_on(machine, costs)
    most, bound_by = min(_limits(machine, here))
    held: list[Held] = []
    for sessions in _steps(most):
        held.append(_at(sessions, here, machine.cores, pause_s))
        if not _fits(held[-1], held[0], machine.cores, bound_ms):
            most, bound_by = _finest(held, here, machine.cores, pause_s, bound_ms)
            break
    if most < 1:
        alone = f"; alone a session waits {held[0].wait_ms(95):.0f} ms" if held else ""
        raise PlanError(
            f"a machine of {machine.cores} cores holds no session: {bound_by} is too little{alone}"
        )
    bound = TIMES * held[0].wait_ms(95) if bound_ms is None else bound_ms
    return Room(most, bound_by, bound, tuple(each for each in held if each.sessions <= most))


def _limits(machine: Machine, costs: Costs) -> Iterator[tuple[int, str]]:
    """Sessions that each thing allows by itself, where no simulation is needed to see it."""
    yield _MOST_SESSIONS, "sessions ([llm] sessions)"
    if costs.loop.more:
        yield math.floor(round((_BUSY - costs.loop.first) / costs.loop.more, 9)) + 1, "event loop"
    if machine.memory_gb is not None:
        left_mb = machine.memory_gb * 1e3 * _MEMORY - costs.memory.models_mb
        yield math.floor(left_mb / max(costs.memory.session_mb, 1e-3)), "memory"


def _steps(most: int) -> Iterator[int]:
    """1, 2, 3, 4, 6, 8, 12, 16 and so on, and the last."""
    sessions = 1
    while sessions < most:
        yield sessions
        sessions = sessions + max(1, 2 ** (sessions.bit_length() - 2)) if sessions > 1 else 2
    if most >= 1:
        yield most


def _at(sessions: int, costs: Costs, cores: int, pause_s: float) -> Held:
    lines = drawn(costs.turns, sessions, math.ceil(_TURNS / sessions), seed=sessions)
    return hold(lines, costs, cores, pause_s=pause_s, stagger_s=10.0, seed=sessions)


def _fits(held: Held, one: Held, cores: int, bound_ms: float | None) -> bool:
    """Whether so many sessions are within all bounds, beside `one` session."""
    levels = [_level(one), _level(held)] if held.sessions > 1 else [_level(one)]
    return held.cores_busy <= _BUSY * cores and capacity(levels, bound_ms) is None


def _level(held: Held) -> Level:
    return Level(held.sessions, held.wait_ms(95), held.gaps)


def _finest(
    held: list[Held], costs: Costs, cores: int, pause_s: float, bound_ms: float | None
) -> tuple[int, str]:
    """The largest number of sessions within the bounds, between the last two that were held."""
    low, high, first = held[-2].sessions if len(held) > 1 else 0, held[-1], held[0]
    while high.sessions - low > 1:
        middle = _at((low + high.sessions) // 2, costs, cores, pause_s)
        if _fits(middle, first, cores, bound_ms):
            held.insert(len(held) - 1, middle)
            low = middle.sessions
        else:
            high = middle
    return low, _bottleneck(high, cores)


def _bottleneck(held: Held, cores: int) -> str:
    """What so many sessions keep busiest."""
    shares = {
        "cores": held.cores_busy / cores,
        "the voice's one thread": held.voice_busy,
        "the language model's passes": held.passes_busy,
    }
    return max(shares, key=lambda name: shares[name])
