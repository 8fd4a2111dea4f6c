"""LoRA adapters: what their files say, and what they add to a model's matrices."""

from llm.lora.adapter import Adapter, LoraError, LowRank
from llm.lora.digest import adapter_sha256
from llm.lora.merge import merge
from llm.lora.open import open_adapter

__all__ = ["Adapter", "LoraError", "LowRank", "adapter_sha256", "merge", "open_adapter"]
