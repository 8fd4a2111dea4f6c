"""The compiled CPU kernel: a whole pass of a llama-like model; it needs neither torch nor Triton."""

from kernels.cpu.llama import (
    BLOCK,
    LANES,
    Cache,
    Layer,
    LlamaPass,
    Matrix,
    Model,
    compiled,
    instructions,
    supported,
)

__all__ = [
    "BLOCK",
    "LANES",
    "Cache",
    "Layer",
    "LlamaPass",
    "Matrix",
    "Model",
    "compiled",
    "instructions",
    "supported",
]
