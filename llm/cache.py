"""Keys and values of the tokens that the model has read."""

import torch

from llm.config import LlamaConfig


class KvCache:
    """Keys and values of up to `capacity` tokens, [layers, kv heads, capacity, head dim] each.

    `tokens` are the ids whose keys and values the cache holds, in order: it can be cut back to
    any prefix, and the next prompt reuses as much of it as the two have in common.
    """

    def __init__(self, config: LlamaConfig, capacity: int, dtype: torch.dtype) -> None:
        shape = (config.layers, config.kv_heads, capacity, config.head_dim)
        self.keys = torch.empty(shape, dtype=dtype)
        self.values = torch.empty(shape, dtype=dtype)
        self.tokens: list[int] = []
        self.capacity = capacity

    def common_prefix(self, tokens: list[int]) -> int:
        """How many leading tokens of `tokens` the cache holds already."""
        count = 0
        for held, wanted in zip(self.tokens, tokens, strict=False):
            if held != wanted:
                break
            count += 1
        return count

    def truncate(self, length: int) -> None:
        """Keep the first `length` tokens; what lies behind them is overwritten later."""
        del self.tokens[length:]
