"""Keys and values of the tokens that the reference model has read."""

import torch

from llm.gguf.config import LlamaConfig


class KvCache:
    """Keys and values of up to `capacity` tokens, [layers, kv heads, capacity, head dim] each.

    `tokens` are the ids whose keys and values the cache holds, in order.
    """

    def __init__(self, config: LlamaConfig, capacity: int, dtype: torch.dtype) -> None:
        shape = (config.layers, config.kv_heads, capacity, config.head_dim)
        self.keys = torch.empty(shape, dtype=dtype)
        self.values = torch.empty(shape, dtype=dtype)
        self.tokens: list[int] = []
