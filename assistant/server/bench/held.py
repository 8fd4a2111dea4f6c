"""What a server holds: its threads, descriptors, tasks, places and memory, before and after."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, fields

from assistant.server.bench.errors import BenchError
from assistant.server.bench.server import Watched

_POLL_S = 0.5
_SETTLED = 4  # polls with the same counts
_TOLERANCE_MB = 20.0


@dataclass(frozen=True)
class Held:
    """Counts that must come back exactly, and memory, which must come back within 20 MB."""

    threads: int
    descriptors: int
    tasks: int
    sessions: int
    waiting_jobs: int
    memory_mb: float

    @property
    def counts(self) -> tuple[int, ...]:
        """All but memory."""
        return self.threads, self.descriptors, self.tasks, self.sessions, self.waiting_jobs


@dataclass(frozen=True)
class Change:
    """One quantity before and after."""

    name: str
    before: float
    after: float
    is_back: bool


async def held(server: Watched) -> Held:
    """What the server holds now, when no connection of ours is open; raises BenchError."""
    figures = await server.figures()
    process = server.process
    if process is None or "assistant_tasks" not in figures:
        raise BenchError("the server must run here, and show assistant_tasks at /metrics")
    with process.oneshot():
        return Held(
            threads=process.num_threads(),
            descriptors=process.num_fds(),
            tasks=int(figures["assistant_tasks"]),
            sessions=int(figures["assistant_sessions_in_use"]),
            waiting_jobs=int(figures.get("assistant_worker_queue_jobs", 0)),
            memory_mb=server.memory_mb(),
        )


async def settle(
    server: Watched, within_s: float, is_enough: Callable[[Held], bool] = lambda found: not found.sessions
) -> Held:
    """What the server holds once that is enough and its counts have stopped to change, or time is up."""
    seen = [await held(server)]
    for _ in range(int(within_s / _POLL_S)):
        last = seen[-_SETTLED:]
        if len(last) == _SETTLED and len({found.counts for found in last}) == 1 and is_enough(last[-1]):
            break
        await asyncio.sleep(_POLL_S)
        seen.append(await held(server))
    return seen[-1]


def changes(before: Held, after: Held) -> list[Change]:
    """Every quantity, and whether it is back where it was."""
    found = []
    for field in fields(Held):
        old, new = getattr(before, field.name), getattr(after, field.name)
        is_back = new - old <= _TOLERANCE_MB if field.name == "memory_mb" else new == old
        found.append(Change(field.name, old, new, is_back))
    return found
