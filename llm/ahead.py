"""The tokens of a reply from an engine that decodes ahead."""

from collections import deque
from collections.abc import Sequence

from llm.engine import ChoosesAhead
from llm.sample import Sampling

LONGEST = 8
"""Steps of a run: those behind the reply's end, and behind the moment it is stopped, are in vain."""


class Runs:
    """Takes one reply's tokens in runs of 1, 2, 4 and then 8 steps, so that the first come at once.

    Nothing is drafted: results ahead are rounded otherwise, and a draft would change the reply.
    """

    def __init__(self, engine: ChoosesAhead, *, max_tokens: int, sampling: Sampling) -> None:
        """The engine holds the prompt, and has room for `max_tokens` but the last."""
        self._engine, self._max_tokens, self._sampling = engine, max_tokens, sampling
        self._begin, self._followed = len(engine.tokens), 0
        self._ahead: deque[int] = deque()
        self._steps = 1

    def follow(self, chosen: Sequence[int]) -> int:
        """The choice after those `chosen` so far. Raises BrokenLogits, and what the engine raises."""
        if not self._ahead:
            steps = min(self._steps, self._max_tokens - len(chosen))
            self._ahead += self._engine.choose(chosen[-1], steps, seen=chosen, sampling=self._sampling)
            self._steps = min(2 * self._steps, LONGEST)
        self._followed = len(chosen)
        return self._ahead.popleft()

    def close(self) -> None:
        """Leave in the engine what `follow` was asked about."""
        if len(self._engine.tokens) > self._begin + self._followed:
            self._engine.truncate(self._begin + self._followed)
