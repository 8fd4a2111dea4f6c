"""Calls over hours: Poisson arrivals, admission and autoscaling, seeded. Of turns `one_machine` knows."""

import heapq
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import count

from assistant.cluster.plan.autoscaling import Autoscaler, Autoscaling
from assistant.cluster.plan.fleet import Fleet, Replica

CALL_S = 180.0
"""Mean length of a call, exponentially distributed: assumed."""
HOUR_S = 3600.0
DAY_H = 3.0
_ASK_S = 10.0
"""How often the number of replicas is looked at; Serve looks more often, and its delays are longer."""

Load = Callable[[float], float]
"""Callers at once, on average, by the time in seconds."""


@dataclass(frozen=True)
class Calls:
    """What came of a time of calls."""

    offered: int
    refused: int
    seconds: Mapping[int, float]
    """Replica seconds by the number of conversations held there."""
    most_replicas: int

    @property
    def refused_share(self) -> float:
        """Of the calls that were offered."""
        return self.refused / max(1, self.offered)

    @property
    def replica_hours(self) -> float:
        """Of all replicas together."""
        return sum(self.seconds.values()) / HOUR_S


def flat(callers: float) -> Load:
    """The busy hour: as many all the time."""
    return lambda _: callers


def day(callers: float) -> Load:
    """Days of three hours: a fifth of the callers, up within 45 minutes, an hour of all, and down again."""

    def load(at_s: float) -> float:
        at_s %= DAY_H * HOUR_S
        up, down = (at_s - 900) / 2700, (DAY_H * HOUR_S - 900 - at_s) / 2700
        return callers * max(0.2, min(1.0, 0.2 + 0.8 * min(up, down)))

    return load


def simulate(
    load: Load,
    most: float,
    room: int,
    replicas: int,
    *,
    hours: float = 1.0,
    call_s: float = CALL_S,
    autoscaling: Autoscaling | None = None,
    seed: int = 0,
) -> Calls:
    """Offer `load`, at `most` so many callers, to replicas with `room` each; it begins as if it had gone on.

    Arrivals are a Poisson process whose rate changes with `load`, made by thinning. With `autoscaling` the
    number of replicas changes; else it stays.
    """
    return _Run(load, most, room, call_s, autoscaling, random.Random(seed)).run(replicas, hours * HOUR_S)


class _Run:
    def __init__(
        self,
        load: Load,
        most: float,
        room: int,
        call_s: float,
        autoscaling: Autoscaling | None,
        chance: random.Random,
    ) -> None:
        self._load, self._rate, self._call_s, self._chance = load, most / call_s, call_s, chance
        self._most, self._autoscaling = most, autoscaling
        self._fleet = Fleet(room, chance)
        self._ends: list[tuple[float, int, Replica]] = []
        self._numbers = count()
        self._offered = self._refused = 0

    def run(self, replicas: int, until_s: float) -> Calls:
        fleet, settings = self._fleet, self._autoscaling
        scaler = Autoscaler(settings) if settings else None
        fleet.resize(replicas, 0.0, 0.0)
        for _ in range(round(self._load(0.0))):
            self._call(0.0)
        self._offered = self._refused = 0
        most, ask_s = fleet.present, _ASK_S
        now_s = self._chance.expovariate(self._rate)
        while now_s < until_s:
            while ask_s <= now_s:
                self._end_until(ask_s)
                if scaler and settings:
                    wanted = scaler.replicas(ask_s, fleet.ongoing, fleet.present)
                    fleet.resize(wanted, ask_s, settings.start_s)
                    most = max(most, fleet.present)
                ask_s += _ASK_S
            self._end_until(now_s)
            if self._chance.random() * self._most < self._load(now_s):
                self._call(now_s)
            now_s += self._chance.expovariate(self._rate)
        self._end_until(until_s)
        fleet.close(until_s)
        return Calls(self._offered, self._refused, dict(fleet.seconds), most)

    def _call(self, now_s: float) -> None:
        self._offered += 1
        replica = self._fleet.take(now_s)
        if replica is None:
            self._refused += 1
            return
        end_s = now_s + self._chance.expovariate(1 / self._call_s)
        heapq.heappush(self._ends, (end_s, next(self._numbers), replica))

    def _end_until(self, now_s: float) -> None:
        while self._ends and self._ends[0][0] <= now_s:
            end_s, _, replica = heapq.heappop(self._ends)
            self._fleet.end(replica, end_s)
