"""The engine on top of the reference model."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from llm.decode.engine import ContextFull
from llm.reference.cache import KvCache
from llm.reference.model import Llama


class TorchEngine:
    """The reference model, with a cache of the model's own dtype."""

    def __init__(self, model: Llama, context: int) -> None:
        self.context = min(context, model.config.context)
        self._model = model
        self._cache = KvCache(model.config, self.context, model.dtype)

    @property
    def tokens(self) -> Sequence[int]:
        """See Engine."""
        return self._cache.tokens

    def extend(self, tokens: Sequence[int], logits_for: int = 1) -> NDArray[np.float32]:
        """See Engine."""
        if len(self.tokens) + len(tokens) > self.context:
            raise ContextFull(len(self.tokens) + len(tokens), self.context)
        if not tokens:
            return np.empty((0, self._model.config.vocabulary), np.float32)
        logits: NDArray[np.float32] = self._model.forward(
            list(tokens), self._cache, len(tokens) - logits_for
        ).numpy()
        return logits

    def truncate(self, length: int) -> None:
        """See Engine."""
        del self._cache.tokens[length:]

    def cut(self, start: int, stop: int) -> None:
        """See Engine; the reference reads anew what lay behind, as if what is cut had never been there."""
        behind = list(self.tokens[stop:])
        self.truncate(start)
        if behind:
            self.extend(behind, 0)
