"""What an engine does for the rest: hold a prompt in its KV cache and give logits. torch's here."""

from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from llm.cache import KvCache
from llm.gguf import open_gguf
from llm.model import Llama


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


class TorchEngine:
    """The reference model, with a cache of the model's own dtype."""

    def __init__(self, model: Llama, context: int) -> None:
        self.context = min(context, model.config.context)
        self._model = model
        self._cache = KvCache(model.config, self.context, model.dtype)

    @classmethod
    def load(cls, path: Path, context: int, dtype: torch.dtype = torch.float32) -> "TorchEngine":
        """Read a GGUF file; raises GgufError."""
        return cls(Llama(open_gguf(path), dtype), context)

    def prefill(self, tokens: list[int], logits_for: int = 1) -> NDArray[np.float32]:
        """See Engine."""
        if len(tokens) > self.context:
            raise ContextFull(len(tokens), self.context)
        if not 1 <= logits_for <= len(tokens):
            raise ValueError(f"{logits_for} logits asked of {len(tokens)} tokens")
        reused = min(self._cache.common_prefix(tokens), len(tokens) - logits_for)
        self._cache.truncate(reused)
        fresh = tokens[reused:]
        return self._model.forward(fresh, self._cache, len(fresh) - logits_for).numpy()

    def step(self, token: int) -> NDArray[np.float32]:
        """See Engine."""
        if len(self._cache.tokens) >= self.context:
            raise ContextFull(len(self._cache.tokens) + 1, self.context)
        logits: NDArray[np.float32] = self._model.forward([token], self._cache, 0)[0].numpy()
        return logits
