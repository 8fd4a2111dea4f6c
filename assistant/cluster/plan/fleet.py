"""Replicas that take calls: which one gets the next, and who is refused."""

import random
from collections import defaultdict
from dataclasses import dataclass


@dataclass(eq=False)
class Replica:
    """One of a fleet."""

    ready_s: float
    taken: int = 0
    """Conversations in progress."""
    drains: bool = False
    """Whether it takes no more, and goes with its last conversation."""
    since_s: float = 0.0
    """When `taken` changed last."""


class Fleet:
    """Replicas with room for so many conversations each, as Serve's router sees them."""

    def __init__(self, room: int, chance: random.Random) -> None:
        self.replicas: list[Replica] = []
        self.seconds: dict[int, float] = defaultdict(float)
        """Replica seconds by the number of conversations that were held there."""
        self._room, self._chance = room, chance

    def resize(self, count: int, now_s: float, start_s: float) -> None:
        """Start new ones, or let those with the fewest conversations drain."""
        staying = [replica for replica in self.replicas if not replica.drains]
        for _ in range(count - len(staying)):
            self.replicas.append(Replica(now_s + start_s, since_s=now_s))
        emptiest = sorted(staying, key=lambda replica: replica.taken)
        for replica in emptiest[: max(0, len(staying) - count)]:
            replica.drains = True
            self._count(replica, now_s)
            self._let_go(replica)

    @property
    def present(self) -> int:
        """Replicas that run or start, and do not drain."""
        return sum(not replica.drains for replica in self.replicas)

    @property
    def ongoing(self) -> int:
        """Conversations in progress on them."""
        return sum(replica.taken for replica in self.replicas if not replica.drains)

    def take(self, now_s: float) -> Replica | None:
        """The replica that gets a call: of two at random the emptier, or any with room; None refuses it."""
        two = self._chance.choices(self.replicas, k=2) if self.replicas else []
        free = [replica for replica in two if self._has_room(replica, now_s)]
        free = free or [replica for replica in self.replicas if self._has_room(replica, now_s)]
        if not free:
            return None
        chosen = min(free, key=lambda replica: replica.taken)
        self._count(chosen, now_s)
        chosen.taken += 1
        return chosen

    def _has_room(self, replica: Replica, now_s: float) -> bool:
        return replica.taken < self._room and not replica.drains and replica.ready_s <= now_s

    def end(self, replica: Replica, now_s: float) -> None:
        """A call of `replica` is over."""
        self._count(replica, now_s)
        replica.taken -= 1
        self._let_go(replica)

    def close(self, now_s: float) -> None:
        """Count the time until now."""
        for replica in self.replicas:
            self._count(replica, now_s)

    def _let_go(self, replica: Replica) -> None:
        if replica.drains and not replica.taken:
            self.replicas.remove(replica)

    def _count(self, replica: Replica, now_s: float) -> None:
        self.seconds[replica.taken] += now_s - replica.since_s
        replica.since_s = now_s
