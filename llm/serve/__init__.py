"""What engines have in common: continuous batching, sessions, keys and values."""

from llm.serve.kv_type import Kernel, KvType
from llm.serve.sessions import EngineBusy, SlotEngine

__all__ = ["EngineBusy", "Kernel", "KvType", "SlotEngine"]
