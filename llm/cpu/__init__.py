"""The CPU engine. `CpuModel` is in `model`: it loads ONNX Runtime, which counting memory does not need."""

from llm.cpu.memory import Memory, PlannedKv
from llm.cpu.native import fits

__all__ = ["Memory", "PlannedKv", "fits"]
