"""How things are timed beside each other: by turns, each in silence, so that both see the same machine."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

# Threads of an engine that has just finished spin for some milliseconds and disturb the next one.
_QUIET_S = 0.05


@dataclass(frozen=True)
class Timing:
    """How often, and by which clock."""

    rounds: int
    now_ns: Callable[[], int] = time.perf_counter_ns
    sleep: Callable[[float], None] = time.sleep

    def seconds(self, work: Callable[[], object]) -> float:
        """How long `work` takes, once every thread has come to rest."""
        self.sleep(_QUIET_S)
        start_ns = self.now_ns()
        work()
        return (self.now_ns() - start_ns) / 1e9


def by_turns(contenders: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, tuple[float, ...]]:
    """What each gives in each round; a first round does not count, and every second goes backwards."""
    names = list(contenders)
    values: dict[str, list[float]] = {name: [] for name in names}
    for i in range(rounds + 1):
        for name in names if i % 2 else reversed(names):
            value = contenders[name]()
            if i:
                values[name].append(value)
    return {name: tuple(each) for name, each in values.items()}
