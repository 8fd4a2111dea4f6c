"""Sessions side by side on one machine, on the virtual clock: what they wait, and what they keep busy."""

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from assistant.cluster.plan.caller import Caller, Heard, Models
from assistant.cluster.plan.costs import Costs, TurnCost
from assistant.runtime import VirtualLoop, run_virtual

Line = Sequence[TurnCost]
"""The turns of one session, one behind the other."""


@dataclass(frozen=True)
class Held:
    """What so many sessions at once came to."""

    sessions: int
    waits_ms: tuple[float, ...]
    with_gap: int
    cores_busy: float
    voice_busy: float
    """Share of the time in which the thread of the voice works."""
    passes_busy: float
    """Share of the time in which the language model runs."""

    def wait_ms(self, percent: float) -> float:
        """A percentile of time to first audio."""
        return float(np.percentile(self.waits_ms, percent))

    @property
    def gaps(self) -> float:
        """Share of the replies."""
        return self.with_gap / len(self.waits_ms)


def hold(
    lines: Sequence[Line],
    costs: Costs,
    cores: int,
    *,
    pause_s: float = 0.0,
    stagger_s: float = 0.0,
    seed: int = 0,
) -> Held:
    """Hold all `lines` side by side, `pause_s` between their turns; they begin within `stagger_s`."""
    loop = VirtualLoop()
    try:
        return run_virtual(_hold(loop, lines, costs, cores, pause_s, stagger_s, random.Random(seed)), loop)
    finally:
        loop.close()


async def _hold(
    loop: VirtualLoop,
    lines: Sequence[Line],
    costs: Costs,
    cores: int,
    pause_s: float,
    stagger_s: float,
    chance: random.Random,
) -> Held:
    models, heard = Models(loop, costs, cores, len(lines)), Heard()

    async def talk(line: Line) -> float:
        """Seconds that the session was open."""
        await asyncio.sleep(chance.uniform(0, stagger_s))
        begun_s, caller = loop.time(), Caller(models, heard, chance)
        for turn in line:
            await caller.turn(turn)
            await asyncio.sleep(pause_s)
        return loop.time() - begun_s

    async with asyncio.TaskGroup() as group:
        talks = [group.create_task(talk(line)) for line in lines]
    open_s = sum(done.result() for done in talks)
    busy_s = models.busy_s + costs.listen.of(open_s / loop.time()) * loop.time()
    time_ms = loop.time() * 1e3
    return Held(
        len(lines),
        tuple(heard.waits_ms),
        heard.with_gap,
        busy_s / loop.time(),
        models.tts.busy_ms / time_ms,
        models.llm.busy_ms / time_ms,
    )


def dealt(turns: Sequence[TurnCost], sessions: int, each: int) -> list[Line]:
    """Lines of `each` turns, dealt out as `assistant replay --sessions` deals clips that are repeated."""
    return [[turns[(line + sessions * k) % len(turns)] for k in range(each)] for line in range(sessions)]


def drawn(turns: Sequence[TurnCost], sessions: int, each: int, seed: int) -> list[Line]:
    """Lines of `each` turns, drawn at random."""
    chance = random.Random(seed)
    return [chance.choices(turns, k=each) for _ in range(sessions)]
