"""The compiled CPU kernel: a whole pass of a llama-like model; it needs neither torch nor Triton."""

from kernels.cpu.adapter import Adapter, LowRank, Product
from kernels.cpu.llama import (
    Cache,
    Layer,
    LlamaPass,
    Model,
    compiled,
    instructions,
    supported,
)
from kernels.cpu.matrix import BLOCK, LANES, Matrix

__all__ = [
    "BLOCK",
    "LANES",
    "Adapter",
    "Cache",
    "Layer",
    "LlamaPass",
    "LowRank",
    "Matrix",
    "Model",
    "Product",
    "compiled",
    "instructions",
    "supported",
]
