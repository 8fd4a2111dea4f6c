"""One caller's turns on a simulated machine: the jobs of each, in a session's order and with its urgency."""

import asyncio
import math
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from assistant.cluster.plan.costs import Costs, TurnCost
from assistant.cluster.plan.passes import Passes
from assistant.runtime import Cores, InlineWorker, Stopped, Urgency, VirtualLoop

# As in `assistant.session.scheduled`.
_FINAL, _SCORE, _PARTIAL = range(3)
_RELEASED, _SPECULATIVE = range(2)
_AHEAD_S = 0.2
"""Of audio that a sink takes before it sounds; see `assistant.session.sink.PacedSink`."""


@dataclass
class Heard:
    """What the turns of a machine came to."""

    waits_ms: list[float] = field(default_factory=list)
    """Time to first audio, of each turn."""
    with_gap: int = 0
    """Replies in which a chunk came after all before it had sounded."""


class Models:
    """The workers of one machine, on virtual time."""

    def __init__(self, loop: VirtualLoop, costs: Costs, cores: int, sessions: int) -> None:
        """What all sessions take to listen is taken off the cores; a hundredth of one is always left."""
        left = max(0.01, cores - costs.listen.of(sessions)) / costs.crowding
        shared = Cores(loop, left)
        self.loop, self._llm_width = loop, costs.llm_width
        self.asr = InlineWorker("asr", loop, threads=min(sessions, cores), cores=shared)
        self.tts = InlineWorker("tts", loop, cores=shared)
        self.llm = Passes(shared, costs.llm_width, costs.passes)

    @property
    def busy_s(self) -> float:
        """Processor time spent, all but listening."""
        return (self.asr.busy_ms + self.tts.busy_ms + self.llm.busy_ms * self._llm_width) / 1e3


class Caller:
    """Speaks and listens; what it hears goes into `heard`."""

    def __init__(self, models: Models, heard: Heard, chance: random.Random) -> None:
        self._models, self._heard, self._chance = models, heard, chance
        self._loop = models.loop

    async def turn(self, turn: TurnCost) -> None:
        """Speak, and wait until the reply has been heard."""
        start_s = self._loop.time() + turn.lead_s
        end_s = start_s + turn.speech_s
        async with asyncio.TaskGroup() as group:
            group.create_task(self._partials(turn, start_s, end_s))
            for number in range(1, max(turn.finals, turn.prepared)):
                at_s = self._chance.uniform(start_s, end_s)
                group.create_task(self._pause(turn, number, at_s))
            await self._answer(turn, end_s, group)

    async def _partials(self, turn: TurnCost, start_s: float, end_s: float) -> None:
        """Partial transcripts while the user speaks: each takes all audio that there is when it begins."""
        every_s = turn.speech_s / max(1, turn.partials)
        due_s = start_s + every_s
        while turn.partials and due_s <= end_s + every_s / 2:
            await self._until(due_s)
            await self._job(turn.partial_ms, _PARTIAL, wanted=lambda: self._loop.time() <= end_s)
            await self._models.llm.read(turn.read_ahead_ms / turn.partials)
            due_s = max(due_s + every_s, self._loop.time())

    async def _pause(self, turn: TurnCost, number: int, at_s: float) -> None:
        """The user falls silent and goes on: what was prepared is discarded."""
        await self._until(at_s)
        if number < turn.finals:
            await self._job(turn.final_ms, _FINAL)
        if number < turn.scores:
            await self._job(turn.score_ms, _SCORE)
        if number < turn.prepared:
            await self._write(turn.prompt_ms, turn.first_tokens)
            await self._job_of_voice([turn.first_chunk_ms])

    async def _answer(self, turn: TurnCost, end_s: float, group: asyncio.TaskGroup) -> None:
        await self._until(end_s + turn.begin_ms / 1e3)
        await self._job(turn.final_ms, _FINAL)
        await self._models.llm.read(turn.closes_ms)
        decided = group.create_task(self._decide(turn, end_s))
        await self._write(turn.prompt_ms, turn.first_tokens)
        group.create_task(self._write(0.0, turn.tokens - turn.first_tokens))
        await self._speak(turn, end_s, decided)

    async def _decide(self, turn: TurnCost, end_s: float) -> None:
        """Until the turn is over: by what was said, or by silence or sound."""
        if turn.by_words:
            await asyncio.sleep(turn.decide_ms / 1e3)
            return
        last_s = turn.score_ms / 1e3 if turn.scores else 0.0
        await self._until(end_s + turn.decide_ms / 1e3 - last_s)
        if turn.scores:
            await self._job(turn.score_ms, _SCORE)

    async def _write(self, prompt_ms: float, tokens: int) -> None:
        await self._models.llm.read(prompt_ms)
        for _ in range(tokens):
            await self._models.llm.token()

    async def _speak(self, turn: TurnCost, end_s: float, decided: "asyncio.Task[None]") -> None:
        """Synthesize and play: the audible start is behind both the first chunk and the decision."""
        runs_out_s, asked_s, gap = math.inf, self._loop.time(), False

        def urgency() -> Urgency:
            if not decided.done():
                return _SPECULATIVE, _ns(asked_s)
            return _RELEASED, _ns(asked_s if runs_out_s == math.inf else runs_out_s)

        piece_s = turn.reply_s / max(1, turn.chunks)
        costs_ms = [turn.first_chunk_ms, *[turn.chunk_ms] * (turn.chunks - 1)][: turn.chunks]
        async for _ in self._models.tts.stream(self._chunks(costs_ms), urgency=urgency):
            if runs_out_s == math.inf:
                runs_out_s = await self._audible(turn, end_s, decided)
            gap = gap or self._loop.time() > runs_out_s
            runs_out_s = max(runs_out_s, self._loop.time()) + piece_s
            await self._until(runs_out_s - piece_s - _AHEAD_S)
        if runs_out_s == math.inf:  # all of it was there already
            runs_out_s = await self._audible(turn, end_s, decided) + turn.reply_s
        self._heard.with_gap += gap
        await self._until(runs_out_s + turn.tail_s)

    async def _audible(self, turn: TurnCost, end_s: float, decided: "asyncio.Task[None]") -> float:
        await decided
        audible_s = self._loop.time() + (turn.rest_ms + turn.start_ms) / 1e3
        self._heard.waits_ms.append((audible_s - end_s) * 1e3)
        return audible_s

    async def _job(self, ms: float, rank: int, wanted: Callable[[], bool] = lambda: True) -> None:
        def step() -> None:
            if wanted():
                self._loop.spend(ms)

        asked = rank, self._loop.clock.now_ns()
        await self._models.asr.run(step, urgency=lambda: asked)

    async def _job_of_voice(self, costs_ms: list[float]) -> None:
        asked = _SPECULATIVE, self._loop.clock.now_ns()
        async for _ in self._models.tts.stream(self._chunks(costs_ms), urgency=lambda: asked):
            pass

    def _chunks(self, costs_ms: list[float]) -> Callable[[Stopped], Iterator[None]]:
        def produce(_: Stopped) -> Iterator[None]:
            for ms in costs_ms:
                self._loop.spend(ms)
                yield

        return produce

    async def _until(self, at_s: float) -> None:
        await asyncio.sleep(max(0.0, at_s - self._loop.time()))


def _ns(seconds: float) -> int:
    return round(seconds * 1e9)
