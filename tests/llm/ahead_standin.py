"""A stand-in in torch for what decodes ahead, which only a GPU runs."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from torch import Tensor

from kernels.formats.llama import PagedCache, Weights
from kernels.llama import multi_step
from kernels.llama.multi_step import Start
from kernels.llama.reference import ReferenceRunner
from kernels.sampling import sample, state


@contextmanager
def standing_in() -> Iterator[None]:
    """Models that are loaded meanwhile decode ahead, without a GPU."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(multi_step, "unsupported_reason", lambda *_: None)
        patched.setattr(multi_step, "MultiStepDecoder", Standin)
        yield


class Standin:
    """`MultiStepDecoder` as it is described, in torch; it raises what is in `fails`."""

    def __init__(self, weights: Weights, cache: PagedCache, *, rows: int = 1) -> None:
        self._runner, self._rows = ReferenceRunner(weights, cache), rows
        self.seen = torch.zeros(len(cache.table) + 1, weights.shape.vocabulary, dtype=torch.uint8)
        self._at: list[tuple[Start, int]] = []  # and how many steps ago
        self._tokens: list[int] = []
        self.begun, self.runs = 0, list[tuple[int, int]]()  # sequences and steps
        self.fails: list[Exception] = []
        self.breaks: Callable[[int], bool] = lambda _: False

    def begin(self, starts: Sequence[Start]) -> None:
        assert 1 <= len(starts) <= self._rows
        assert len({start.slot for start in starts}) == len(starts)
        self._at, self._tokens = [(start, 0) for start in starts], [start.token for start in starts]
        self.begun += 1

    def run(self, tokens: Tensor, *, logits: Tensor | None = None) -> None:
        assert len(tokens) == len(self._at)
        self.runs.append((len(tokens), tokens.shape[1]))
        for i in range(tokens.shape[1]):
            if i and self.fails:
                raise self.fails.pop(0)  # midway
            for row in range(len(tokens)):
                tokens[row, i] = self._step(row)

    def _step(self, row: int) -> int:
        start, ago = self._at[row]
        self._at[row] = start, ago + 1
        if self._tokens[row] < 0:
            return -1
        where = (np.array([x]) for x in (self._tokens[row], start.slot, start.position + ago))
        logits = self._runner.decode(*where, np.array([0]))
        how = state.greedy(1, self.seen)
        for name, value in (
            ("penalties", start.penalty),
            ("temperatures", start.temperature),
            ("min_ps", start.min_p),
            ("seeds", start.seed),
            ("steps", start.step + ago),
            ("slots", start.slot),
        ):
            getattr(how, name).fill_(value)
        token = -1 if self.breaks(start.position + ago) else int(sample.reference(logits, how))
        self._tokens[row] = token
        if token >= 0:
            self.seen[start.slot, token] = 1
        return token
