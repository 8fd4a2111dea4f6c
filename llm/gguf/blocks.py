"""GGUF matrices as codes and scales of blocks of 32 columns, which is how the kernels hold them.

Q4_0 and Q4_1 keep their bits and their scales, exactly; so do Q4_K, but for its scales, which are products
and are rounded to float16, and Q5_0 and Q8_0, in 8 bits. The rest is rounded to 8 bits with a scale for 32
weights.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from llm.gguf.file import GgufError, GgufFile
from llm.gguf.quants import GgmlType, scales_and_minima

BLOCK = 32
"""Columns that share a scale."""

_Q4_0 = np.dtype([("d", "<f2"), ("qs", "u1", 16)])
_Q4_1 = np.dtype([("d", "<f2"), ("m", "<f2"), ("qs", "u1", 16)])
_Q5_0 = np.dtype([("d", "<f2"), ("qh", "u1", 4), ("qs", "u1", 16)])
_Q8_0 = np.dtype([("d", "<f2"), ("qs", "i1", 32)])

_FOUR_BITS = (GgmlType.Q4_0, GgmlType.Q4_1, GgmlType.Q4_K)


@dataclass(frozen=True)
class Blocks:
    """A matrix [n, k]. In 4 bits a weight is scale * code + minimum, or without minima scale * (code - 8).

    In 8 bits it is scale * code.
    """

    codes: NDArray[
        Any
    ]  # 4 bits: uint8 [n, k / 32, 16], columns c and c + 16 in a byte; 8: int8 [n, k / 32, 32]
    scales: NDArray[np.float16]  # [n, k / 32]
    minima: NDArray[np.float16] | None = None

    @property
    def bits(self) -> int:
        """Bits of a code."""
        return 4 if self.codes.dtype == np.uint8 else 8


def bits_of(kind: GgmlType) -> int:
    """Bits of a weight, as `read_blocks` holds it."""
    return 4 if kind in _FOUR_BITS else 8


def read_blocks(gguf: GgufFile, name: str, *, bits: int = 4) -> Blocks:
    """The matrix `name`, in the bits of its type, or with `bits=8` in 8 whatever it is.

    Raises GgufError for rows that are not whole blocks and weights that are not finite.
    """
    kind, (_, k) = gguf.tensors[name].type, gguf.tensors[name].shape
    if k % BLOCK:
        raise GgufError(gguf.path, None, f"tensor {name!r} has {k} columns, not whole {BLOCK}s")
    blocks = _four_bits(gguf, name) if bits == 4 and kind in _FOUR_BITS else _eight_bits(gguf, name)
    parts = (blocks.scales,) if blocks.minima is None else (blocks.scales, blocks.minima)
    if not all(np.isfinite(part).all() for part in parts):
        raise GgufError(gguf.path, None, f"weights of {name!r} are not finite, or too large")
    return blocks


def quantize(weights: NDArray[np.float32]) -> Blocks:
    """Round [n, k] to 8 bits, symmetric, by the largest weight of 32; scales may not be finite."""
    n, k = weights.shape
    blocks = weights.reshape(n, k // BLOCK, BLOCK)
    with np.errstate(over="ignore", invalid="ignore"):  # the caller looks at the scales
        scales = (np.abs(blocks).max(axis=2) / 127).astype(np.float16)
        wide = scales.astype(np.float32)
        inverse = np.divide(1, wide, out=np.zeros_like(wide), where=wide > 0)
        codes = np.clip(np.rint(blocks * inverse[:, :, None]), -127, 127)
    return Blocks(np.nan_to_num(codes).astype(np.int8), scales)


def _four_bits(gguf: GgufFile, name: str) -> Blocks:
    kind, (n, k) = gguf.tensors[name].type, gguf.tensors[name].shape
    if kind == GgmlType.Q4_K:
        return _q4_k(gguf.raw(name), n, k)
    found = gguf.raw(name).view(_Q4_0 if kind == GgmlType.Q4_0 else _Q4_1).reshape(n, k // BLOCK)
    return Blocks(found["qs"], found["d"], found["m"] if kind == GgmlType.Q4_1 else None)


def _eight_bits(gguf: GgufFile, name: str) -> Blocks:
    kind, (n, k) = gguf.tensors[name].type, gguf.tensors[name].shape
    if kind == GgmlType.Q8_0:
        found = gguf.raw(name).view(_Q8_0).reshape(n, k // BLOCK)
        return Blocks(found["qs"], found["d"])
    if kind == GgmlType.Q4_0:
        found = gguf.raw(name).view(_Q4_0).reshape(n, k // BLOCK)
        return Blocks((_nibbles(found["qs"]) - 8).view(np.int8), found["d"])
    if kind == GgmlType.Q5_0:
        found = gguf.raw(name).view(_Q5_0).reshape(n, k // BLOCK)
        fifth = np.unpackbits(found["qh"], axis=-1, bitorder="little") << 4
        return Blocks((_nibbles(found["qs"]) + fifth - 16).view(np.int8), found["d"])
    return quantize(gguf.tensor(name))


def _q4_k(raw: NDArray[np.uint8], n: int, k: int) -> Blocks:
    """Codes as Q4_1 has them: a super-block of 256 is eight blocks, two to 32 bytes."""
    codes, scales, minima = scales_and_minima(raw)  # [super-blocks, 4, 32], [super-blocks, 8] twice
    eight = np.stack([codes & 15, codes >> 4], axis=2).reshape(n, k // BLOCK, BLOCK)
    packed = eight[..., :16] | eight[..., 16:] << 4
    with np.errstate(over="ignore"):  # the caller looks at them
        halves = [part.reshape(n, -1).astype(np.float16) for part in (scales, -minima)]
    return Blocks(packed, halves[0], halves[1])


def _nibbles(codes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """[..., 16] to [..., 32]."""
    return np.concatenate([codes & 15, codes >> 4], axis=-1)
