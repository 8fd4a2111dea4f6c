"""The engine on top of the reference model."""

import numpy as np
from numpy.typing import NDArray

from llm.cache import KvCache
from llm.engine import ContextFull
from llm.model import Llama


class TorchEngine:
    """The reference model, with a cache of the model's own dtype."""

    def __init__(self, model: Llama, context: int) -> None:
        self.context = min(context, model.config.context)
        self._model = model
        self._cache = KvCache(model.config, self.context, model.dtype)

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
