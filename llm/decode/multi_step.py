"""Multi-step decoding: the tokens of a reply from an engine that samples on the device."""

from collections import deque
from collections.abc import Sequence
from itertools import chain, repeat

from llm.decode.engine import MultiStepEngine
from llm.decode.sample import Sampling

RUN_STEPS = (1, 8, 16)
"""Steps of the first runs, and of all later ones: the first token comes at once, and the first words soon.
Those behind the reply's end, and behind the moment it is stopped, are wasted."""


class StepRuns:
    """Takes one reply's tokens in runs, of which the engine may begin each while the last is told.

    Nothing is drafted: the device rounds otherwise, and a draft would change the reply.
    """

    def __init__(self, engine: MultiStepEngine, *, max_tokens: int, sampling: Sampling) -> None:
        """The engine holds the prompt, and has room for `max_tokens` but the last."""
        self._engine, self._max_tokens, self._sampling = engine, max_tokens, sampling
        self._begin, self._followed = len(engine.tokens), 0
        self._ahead: deque[int] = deque()
        self._closed = False
        self._sizes = chain(RUN_STEPS, repeat(RUN_STEPS[-1]))
        self._next = next(self._sizes)

    def follow(self, chosen: Sequence[int], said: Sequence[int] = ()) -> int:
        """The choice after those `chosen` so far; those `said` before are penalized as they are.

        Raises BrokenLogits, and what the engine raises.
        """
        if not self._ahead:
            left = self._max_tokens - len(chosen)
            steps, self._next = min(self._next, left), next(self._sizes)
            lookahead = min(self._next, left - steps)
            self._ahead += self._engine.decode_steps(
                chosen[-1], steps, seen=[*said, *chosen], sampling=self._sampling, lookahead=lookahead
            )
        self._followed = len(chosen)
        return self._ahead.popleft()

    def close(self) -> None:
        """Leave in the engine what `follow` was asked about, and nothing begun, the first time."""
        if self._closed:
            return
        self._closed = True
        self._engine.truncate(min(len(self._engine.tokens), self._begin + self._followed))
