"""A stand-in in torch for what decodes ahead, which only a GPU runs."""

from collections.abc import Callable

import numpy as np
from torch import Tensor

from kernels.llama_gpu import PagedCache, Weights
from kernels.llama_reference import ReferenceRunner
from llm.sample import penalize


class Standin:
    """`AheadDecoder` as it is described, in torch; it raises what is in `fails`."""

    def __init__(self, weights: Weights, cache: PagedCache) -> None:
        self._runner = ReferenceRunner(weights, cache)
        self._slot = self._token = self._position = 0
        self.begun, self.runs = 0, list[int]()
        self.fails: list[Exception] = []
        self.breaks: Callable[[int], bool] = lambda _: False

    def begin(self, slot: int, token: int, position: int) -> None:
        self._slot, self._token, self._position = slot, token, position
        self.begun += 1

    def run(
        self, tokens: Tensor, *, logits: Tensor | None = None, seen: Tensor | None = None, penalty: float = 1
    ) -> None:
        assert seen is not None
        self.runs.append(len(tokens))
        for i in range(len(tokens)):
            if i and self.fails:
                raise self.fails.pop(0)  # midway
            where = (np.array([x]) for x in (self._token, self._slot, self._position))
            row = self._runner.decode(*where, np.array([0]))[0].numpy()
            if self.breaks(self._position):
                tokens[i:] = -1
                return
            ids = seen.nonzero()[:, 0].tolist()
            self._token = int(penalize(row, ids, penalty).argmax())
            self._position += 1
            tokens[i] = self._token
            seen[self._token] = 1
