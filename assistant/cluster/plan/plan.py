"""From measured costs to replicas: what so many machines make of a busy hour, and of a day."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from assistant.cluster.plan.autoscaling import Autoscaling
from assistant.cluster.plan.calls import CALL_S, DAY_H, HOUR_S, Calls, day, flat, simulate
from assistant.cluster.plan.costs import Costs
from assistant.cluster.plan.errors import PlanError
from assistant.cluster.plan.machine import Machine, costs_on
from assistant.cluster.plan.one_machine import Held
from assistant.cluster.plan.room import Room, room_of

MOST_REFUSED = 0.01
"""Of the calls in the busy hour."""
_SHARES = (0.9, 0.8, 0.7, 0.6, 0.5)
"""Of a replica's room that the autoscaler may aim at."""
_CALLS = 20_000
"""Simulated for each number of replicas, by repeating busy hours or days."""
_MOST_TIMES, _MOST_MORE = 2, 20
"""More replicas than twice the least, and these, are not tried: fewer callers on each change little then."""
_SHOWN = 2
"""Numbers of replicas that are shown on either side of the one that is needed."""


@dataclass(frozen=True)
class Row:
    """What so many replicas make of the busy hour."""

    replicas: int
    callers_each: float
    p50_ms: float
    p95_ms: float
    refused: float
    """Share of the calls."""
    cores_busy: float
    """Of one replica, on average."""
    memory_gb: float
    """Of one replica with all its places taken."""


@dataclass(frozen=True)
class Scaled:
    """An autoscaler's setting, and what it makes of a day."""

    settings: Autoscaling
    refused: float
    p95_ms: float
    replica_hours: float
    """Of a day."""
    fixed_hours: float
    """With as many replicas all the time as the busy hour needs."""


@dataclass(frozen=True)
class Plan:
    """All that `assistant cluster plan` prints."""

    machine: Machine
    room: Room
    rows: tuple[Row, ...]
    replicas: int
    scaled: Scaled | None
    """None if no setting keeps refusals within bounds."""


def mixed(calls: Calls, held: Sequence[Held], percent: float) -> float:
    """A percentile of time to first audio over all turns of a time of calls.

    A turn is taken to wait as it would with as many sessions as its replica has then, all the time: calls are
    much longer than turns. Numbers that were not simulated count as the next larger one.
    """
    waits, weights = [], []
    for of, at in _parts(calls, held):
        waits.append(at.waits_ms)
        weights.append(np.full(len(at.waits_ms), of / len(at.waits_ms)))
    if not waits:
        return 0.0
    every, weight = np.concatenate(waits), np.concatenate(weights)
    order = np.argsort(every)
    reached = np.cumsum(weight[order]) / weight.sum()
    return float(every[order][np.searchsorted(reached, percent / 100)])


def _parts(calls: Calls, held: Sequence[Held]) -> Iterator[tuple[float, Held]]:
    """Session seconds, and the simulation that stands for them."""
    for sessions, seconds in calls.seconds.items():
        if sessions and seconds:
            yield sessions * seconds, next(each for each in held if each.sessions >= sessions)


def _cores_busy(calls: Calls, held: Sequence[Held]) -> float:
    """Of one replica, on average over all of its time."""
    busy = sum(of * at.cores_busy / at.sessions for of, at in _parts(calls, held))
    return busy / sum(calls.seconds.values())


def row_of(replicas: int, callers: float, room: Room, costs: Costs, call_s: float, seed: int) -> Row:
    """The busy hour with so many replicas."""
    hours = _hours(callers, call_s, 1.0)
    calls = simulate(flat(callers), callers, room.sessions, replicas, hours=hours, call_s=call_s, seed=seed)
    memory_mb = costs.memory.models_mb + room.sessions * costs.memory.session_mb
    return Row(
        replicas,
        callers / replicas,
        mixed(calls, room.held, 50),
        mixed(calls, room.held, 95),
        calls.refused_share,
        _cores_busy(calls, room.held),
        memory_mb / 1e3,
    )


def plan(
    callers: float,
    machine: Machine,
    costs: Costs,
    *,
    bound_ms: float | None = None,
    call_s: float = CALL_S,
    seed: int = 0,
) -> Plan:
    """How many replicas of `machine` so many callers at once need. Raises PlanError."""
    room, here = room_of(machine, costs, bound_ms), costs_on(machine, costs)
    rows: dict[int, Row] = {}
    least = max(1, math.ceil(callers / room.sessions) - 1)
    most = _MOST_TIMES * least + _MOST_MORE
    for needed in range(least, most + 1):
        rows[needed] = row_of(needed, callers, room, here, call_s, seed)
        if rows[needed].refused <= MOST_REFUSED and rows[needed].p95_ms <= room.bound_ms:
            break
    else:
        raise PlanError(f"not even {most} replicas keep waits and refusals within bounds: allow longer ones")
    for more in range(1, _SHOWN + 1):
        rows[needed + more] = row_of(needed + more, callers, room, here, call_s, seed)
    shown = [rows[count] for count in sorted(rows) if abs(count - needed) <= _SHOWN]
    return Plan(machine, room, tuple(shown), needed, _scaled(callers, room, needed, call_s, seed))


def _hours(callers: float, call_s: float, unit: float) -> float:
    """Whole units of hours in which there are about _CALLS calls."""
    return math.ceil(_CALLS * call_s / callers / HOUR_S / unit) * unit


def _scaled(callers: float, room: Room, replicas: int, call_s: float, seed: int) -> Scaled | None:
    """The setting that aims highest and keeps a day's refusals within bounds."""
    load, hours = day(callers), _hours(callers, call_s, DAY_H)
    for share in _SHARES:
        settings = Autoscaling(share * room.sessions, 1, math.ceil(replicas / share))
        begin = min(max(1, math.ceil(load(0.0) / settings.target_ongoing_requests)), settings.max_replicas)
        calls = simulate(
            load, callers, room.sessions, begin, hours=hours, call_s=call_s, autoscaling=settings, seed=seed
        )
        p95_ms = mixed(calls, room.held, 95)
        if calls.refused_share <= MOST_REFUSED and p95_ms <= room.bound_ms:
            a_day = calls.replica_hours * DAY_H / hours
            return Scaled(settings, calls.refused_share, p95_ms, a_day, replicas * DAY_H)
    return None
