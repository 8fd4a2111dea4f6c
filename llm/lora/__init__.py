"""LoRA adapters: what their files say, and what they add to a model's matrices."""

from llm.lora.adapter import Adapter, LoraError, LowRank
from llm.lora.merge import merge
from llm.lora.open import open_adapter

__all__ = ["Adapter", "LoraError", "LowRank", "merge", "open_adapter"]
