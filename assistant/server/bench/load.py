"""Many clients at once: each speaks the next clip over a connection of its own as soon as it gets one."""

import asyncio
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from assistant.runtime import Clock
from assistant.server.bench.client import Refusal, converse, try_connect
from assistant.server.bench.clips import SpokenClip
from assistant.server.bench.measure import HeardTurn, measure
from assistant.server.bench.server import Watched

_RETRY_NS = 200_000_000  # much sooner than Retry-After asks for


@dataclass(frozen=True)
class Load:
    """What came of a number of clients; the server's figures are None where they are not known."""

    clients: int
    turns: tuple[HeardTurn, ...]
    refusals: tuple[Refusal, ...]
    dropped_frames: float | None
    server_cores: float | None
    """Processor time over elapsed time: 2.0 is two cores busy all the while."""
    client_cores: float


async def run_load(server: Watched, clips: Sequence[SpokenClip], clients: int, clock: Clock) -> Load:
    """Let `clients` speak all of `clips`, each once; those that are refused try again all the time."""
    waiting, turns, refusals = deque(clips), list[HeardTurn](), list[Refusal]()
    before, cpu_s, start_s = await server.figures(), server.cpu_s(), time.monotonic()
    own_s = time.process_time()
    async with asyncio.TaskGroup() as group:
        for number in range(clients):
            group.create_task(_client(server.url, waiting, turns, refusals, clock), name=f"client-{number}")
    elapsed_s = time.monotonic() - start_s
    after, end_s = await server.figures(), server.cpu_s()
    name = "assistant_dropped_frames_total"
    return Load(
        clients=clients,
        turns=tuple(turns),
        refusals=tuple(refusals),
        dropped_frames=after[name] - before[name] if name in before else None,
        server_cores=None if cpu_s is None or end_s is None else (end_s - cpu_s) / elapsed_s,
        client_cores=(time.process_time() - own_s) / elapsed_s,
    )


async def _client(
    url: str, waiting: deque[SpokenClip], turns: list[HeardTurn], refusals: list[Refusal], clock: Clock
) -> None:
    while waiting:
        begun_ns = clock.now_ns()
        connection = await try_connect(url, clock)
        if isinstance(connection, Refusal):
            refusals.append(connection)
            await clock.sleep_until(begun_ns + _RETRY_NS)
            continue
        async with connection:
            if waiting:
                spoken = waiting.popleft()
                turns.append(measure(spoken, await converse(connection, spoken, clock)))
