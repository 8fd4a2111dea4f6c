"""Engines whose logits are looked up in a table: what is measured of them can be worked out by hand."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from llm.decode.engine import ContextFull

VOCABULARY = 7

Table = NDArray[np.float32]


class TableEngine:
    """What follows a token depends only on it and its position: `table` [positions, vocabulary, vocabulary].

    `calls` lists every truncate and extend, in their order.
    """

    def __init__(self, table: Table) -> None:
        self.table, self.context = table, len(table)
        self.tokens: list[int] = []
        self.calls: list[int | tuple[list[int], int]] = []

    def extend(self, tokens: Sequence[int], logits_for: int = 1) -> NDArray[np.float32]:
        assert 0 <= logits_for <= len(tokens)
        if len(self.tokens) + len(tokens) > self.context:
            raise ContextFull(len(self.tokens) + len(tokens), self.context)
        self.calls.append((list(tokens), logits_for))
        self.tokens += tokens
        end = len(self.tokens)
        return self.table[range(end - logits_for, end), self.tokens[end - logits_for :]]

    def truncate(self, length: int) -> None:
        self.calls.append(length)
        del self.tokens[length:]


def random_table(seed: int, positions: int = 16) -> Table:
    shape = (positions, VOCABULARY, VOCABULARY)
    return np.random.default_rng(seed).normal(0, 2, shape).astype(np.float32)


def constant_table(row: Sequence[float], positions: int = 16) -> Table:
    return np.tile(np.array(row, np.float32), (positions, len(row), 1))
