"""GGUF matrices as ONNX Runtime's `MatMulNBits` wants them: blocks of unsigned codes with a scale each.

Q4_0, Q5_0 and Q8_0 map exactly. Everything else is rounded to 8 bits with one scale for 64 weights. For Q4_1
that is an error of 0.7 % of the weights' size; 4 bits with integer zero points would make 8 % (+21 %
perplexity on SmolLM2-135M, +13 % refitted), and are hardly faster: a token took 6.6 ms with them and takes
6.5 with these.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from llm.gguf.file import GgufFile
from llm.gguf.quants import GgmlType

_BLOCK = 64  # of requantized weights: with 32 a token takes a tenth longer, and the perplexity is the same

_Q4_0 = np.dtype([("d", "<f2"), ("qs", "u1", 16)])
_Q5_0 = np.dtype([("d", "<f2"), ("qh", "u1", 4), ("qs", "u1", 16)])
_Q8_0 = np.dtype([("d", "<f2"), ("qs", "i1", 32)])


@dataclass(frozen=True)
class Packed:
    """A matrix [n, k]: weight = (code - 2**(bits - 1)) * scale of its block; rows fill whole blocks."""

    n: int
    k: int
    bits: int
    block: int
    codes: NDArray[np.uint8]  # [n, blocks, block * bits / 8], low-order bits first
    scales: NDArray[np.float32]  # [n, blocks]


class Packing(NamedTuple):
    """Bits of a weight, and how many weights share a float32 scale."""

    bits: int
    block: int


_NIBBLES, _BYTES, _ROUNDED = Packing(4, 32), Packing(8, 32), Packing(8, _BLOCK)


def packing_of(types: Iterable[GgmlType]) -> Packing:
    """How matrices of `types`, which are packed together, are held."""
    kinds = set(types)
    if kinds == {GgmlType.Q4_0}:
        return _NIBBLES
    return _BYTES if kinds <= {GgmlType.Q5_0, GgmlType.Q8_0} else _ROUNDED


def pack(gguf: GgufFile, names: Sequence[str]) -> Packed:
    """The matrices `names`, which read the same input, one below the other."""
    packing = packing_of(gguf.tensors[name].type for name in names)
    if packing == _NIBBLES:
        return _join([_exact_q4_0(gguf, name) for name in names])
    if packing == _BYTES:
        return _join([_exact_8_bits(gguf, name) for name in names])
    return _join([quantize(gguf.tensor(name)) for name in names])


def quantize(weights: NDArray[np.float32]) -> Packed:
    """Round [n, k] to 8 bits, symmetric, by the largest weight of each block.

    Where weights are not finite, neither is their block's scale.
    """
    n, k = weights.shape
    blocks = np.pad(weights, ((0, 0), (0, -k % _BLOCK))).reshape(n, -1, _BLOCK)
    scales = np.abs(blocks).max(axis=2) / 127
    # The inverse of a smaller scale is infinite: such weights become zero.
    inverse = np.divide(1, scales, out=np.zeros_like(scales), where=scales >= np.finfo(np.float32).tiny)
    with np.errstate(invalid="ignore"):  # weights that are not finite show in the scales
        codes = (np.rint(blocks * inverse[:, :, None]) + 128).astype(np.uint8)
    return Packed(n, k, 8, _BLOCK, codes, scales)


def unpack(packed: Packed) -> NDArray[np.float32]:
    """The weights [n, k] that `packed` stands for."""
    codes = packed.codes
    if packed.bits == 4:
        codes = np.stack([codes & 15, codes >> 4], axis=-1).reshape(packed.n, -1, packed.block)
    centred = codes.astype(np.float32) - 2 ** (packed.bits - 1)
    weights: NDArray[np.float32] = (centred * packed.scales[:, :, None]).reshape(packed.n, -1)
    return weights[:, : packed.k]


def _exact_q4_0(gguf: GgufFile, name: str) -> Packed:
    n, k = gguf.tensors[name].shape
    blocks = gguf.raw(name).view(_Q4_0).reshape(n, k // 32)
    qs = blocks["qs"]
    # GGUF holds elements i and i + 16 in a byte, ONNX Runtime 2i and 2i + 1.
    low, high = qs & 15, qs >> 4
    codes = np.concatenate(
        [half[..., 0::2] | half[..., 1::2] << 4 for half in (low, high)], axis=-1, dtype=np.uint8
    )
    return Packed(n, k, 4, 32, codes, blocks["d"].astype(np.float32))


def _exact_8_bits(gguf: GgufFile, name: str) -> Packed:
    n, k = gguf.tensors[name].shape
    if gguf.tensors[name].type == GgmlType.Q8_0:
        blocks = gguf.raw(name).view(_Q8_0).reshape(n, k // 32)
        codes = blocks["qs"].view(np.uint8) ^ np.uint8(128)  # adds 128
    else:
        blocks = gguf.raw(name).view(_Q5_0).reshape(n, k // 32)
        high = np.unpackbits(blocks["qh"], axis=-1, bitorder="little") << 4
        nibbles = np.concatenate([blocks["qs"] & 15, blocks["qs"] >> 4], axis=-1)
        codes = (nibbles + high + (128 - 16)).astype(np.uint8)
    return Packed(n, k, 8, 32, codes, blocks["d"].astype(np.float32))


def _join(parts: Sequence[Packed]) -> Packed:
    first = parts[0]
    codes = np.concatenate([part.codes for part in parts])
    scales = np.concatenate([part.scales for part in parts])
    return Packed(sum(part.n for part in parts), first.k, first.bits, first.block, codes, scales)
