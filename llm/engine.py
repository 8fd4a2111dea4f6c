"""What an engine does for the rest: hold a prompt in its KV cache and give logits."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class ContextFull(ValueError):  # noqa: N818  # a condition with a name of its own
    """More tokens than the engine's context holds."""

    def __init__(self, tokens: int, context: int) -> None:
        super().__init__(f"{tokens} tokens do not fit a context of {context}")
        self.tokens, self.context = tokens, context


class Engine(Protocol):
    """One sequence of tokens at a time. Used from one thread."""

    context: int

    def prefill(self, tokens: list[int], logits_for: int = 1) -> NDArray[np.float32]:
        """Make the KV cache hold exactly `tokens`; logits [logits_for, vocabulary] of the last ones.

        Only what differs from the tokens held before is computed. Raises ContextFull.
        """
        ...

    def step(self, token: int) -> NDArray[np.float32]:
        """Append one token; logits [vocabulary] of the next. Raises ContextFull."""
        ...
