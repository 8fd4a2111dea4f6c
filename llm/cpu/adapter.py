"""Adapters as the compiled kernel wants them: A in 8 bits, as its other matrices, and B in float16."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from kernels.cpu import LANES, LowRank, Product
from kernels.cpu import Adapter as KernelAdapter
from llm.cpu.interleave import interleave_rounded
from llm.gguf.config import LlamaConfig
from llm.lora.adapter import Adapter
from llm.lora.adapter import LowRank as Pair

_PRODUCTS: Mapping[Product, Sequence[str]] = MappingProxyType(
    {
        "qkv": ("attn_q", "attn_k", "attn_v"),
        "out": ("attn_output",),
        "gate_up": ("ffn_gate", "ffn_up"),
        "down": ("ffn_down",),
    }
)


def prepare(adapter: Adapter, config: LlamaConfig) -> KernelAdapter:
    """The adapter, ready for passes of the model that it was read for."""
    return KernelAdapter([_layer(adapter, i) for i in range(config.layers)])


def _layer(adapter: Adapter, i: int) -> Mapping[Product, LowRank]:
    found = {}
    for product, names in _PRODUCTS.items():
        pairs = [adapter.pairs.get(f"blk.{i}.{name}.weight") for name in names]
        if any(pairs):
            found[product] = _joined(pairs)
    return found


def _joined(pairs: Sequence[Pair | None]) -> LowRank:
    """Every rank's row of A, and column of B, is divided by its largest, and a float32 scale has both.

    Else small numbers would be less than float16 can tell.
    """
    rows, scales = [], []
    columns: list[NDArray[np.float16] | None] = []
    for pair in pairs:
        if pair is None:
            columns.append(None)
            continue
        of_a, of_b = np.abs(pair.a).max(1), np.abs(pair.b).max(0)  # [rank]
        rows.append(_divided(pair.a, of_a[:, None]))
        scales.append(of_a * of_b)
        columns.append(_groups(_divided(pair.b, of_b)))
    ranks = np.concatenate(scales)
    padded = np.zeros(-(-len(ranks) // LANES) * LANES, np.float32)
    padded[: len(ranks)] = ranks
    return LowRank(interleave_rounded(np.concatenate(rows)), padded, columns)


def _divided(values: NDArray[np.float32], by: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.divide(values, by, out=np.zeros_like(values), where=by > 0)


def _groups(b: NDArray[np.float32]) -> NDArray[np.float16]:
    """[n, rank] to [groups, rank, 16]."""
    n, rank = b.shape
    padded = np.zeros((-(-n // LANES) * LANES, rank), np.float16)
    padded[:n] = b
    return np.ascontiguousarray(padded.reshape(-1, LANES, rank).swapaxes(1, 2))
