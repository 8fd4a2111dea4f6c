"""A machine's language model on virtual time: sequences that want a token at the same time share a pass."""

import asyncio
from collections import deque
from functools import partial

from assistant.cluster.plan import costs
from assistant.runtime import Cores

_ASK_AGAIN_S = 1e-6
"""Of virtual time until the next pass, so that those who had a token can ask for the next one first."""


class Passes:
    """Passes are run one at a time; a prompt and a shared pass take turns, as in `llm.serve.batch`."""

    def __init__(self, cores: Cores, width: float, cost: costs.Passes) -> None:
        """A pass keeps `width` of `cores` busy."""
        self._loop = asyncio.get_running_loop()
        self._cores, self._width, self._cost = cores, width, cost
        self._decoding: list[asyncio.Future[None]] = []
        self._prompts: deque[tuple[float, asyncio.Future[None]]] = deque()
        self._running = self._prompt_was_last = False
        self.busy_ms = 0.0

    async def token(self) -> None:
        """One more token of a sequence."""
        asked = self._loop.create_future()
        self._decoding.append(asked)
        self._begin()
        await asked

    async def read(self, ms: float) -> None:
        """A prompt that takes so long."""
        if ms > 0:
            asked = self._loop.create_future()
            self._prompts.append((ms, asked))
            self._begin()
            await asked

    def _begin(self) -> None:
        if self._running:
            return
        if self._prompts and not (self._prompt_was_last and self._decoding):
            ms, asked = self._prompts.popleft()
            self._run(ms, [asked], prompt=True)
        elif self._decoding:
            served, self._decoding = self._decoding, []
            self._run(self._cost.ms(len(served)), served, prompt=False)

    def _run(self, ms: float, served: list["asyncio.Future[None]"], *, prompt: bool) -> None:
        self._running, self._prompt_was_last = True, prompt
        self.busy_ms += ms
        self._cores.run(ms, self._width, partial(self._over, served))

    def _over(self, served: list["asyncio.Future[None]"]) -> None:
        for asked in served:
            asked.set_result(None)
        self._loop.call_later(_ASK_AGAIN_S, self._next)

    def _next(self) -> None:
        self._running = False
        self._begin()
