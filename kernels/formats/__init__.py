"""How weights, activations, keys and values lie in memory."""

from kernels.formats.fragments import SMALL_BATCH, Fragments
from kernels.formats.llama import PAGE, PagedCache, Rows, Shape, Weights, empty_cache
from kernels.formats.quantized import BLOCK, Quantized, quantize

__all__ = [
    "BLOCK",
    "PAGE",
    "SMALL_BATCH",
    "Fragments",
    "PagedCache",
    "Quantized",
    "Rows",
    "Shape",
    "Weights",
    "empty_cache",
    "quantize",
]
