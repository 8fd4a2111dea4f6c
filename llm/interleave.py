"""GGUF matrices as the CPU kernel wants them: groups of 16 rows, so that a register holds columns of all of
them.

Q4_0 and Q4_1 keep their bits and their scales, exactly; so do Q4_K, but for its scales, which are products
and are rounded to float16, and Q5_0 and Q8_0, in 8 bits. The rest is rounded to 8 bits with a scale for 32
weights.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernels.llama_cpu import BLOCK, LANES, Matrix
from llm.gguf import GgufError, GgufFile
from llm.quants import GgmlType, scales_and_minima

_Q4_0 = np.dtype([("d", "<f2"), ("qs", "u1", 16)])
_Q4_1 = np.dtype([("d", "<f2"), ("m", "<f2"), ("qs", "u1", 16)])
_Q5_0 = np.dtype([("d", "<f2"), ("qh", "u1", 4), ("qs", "u1", 16)])
_Q8_0 = np.dtype([("d", "<f2"), ("qs", "i1", 32)])

Floats = NDArray[np.floating[Any]]


def interleave(gguf: GgufFile, name: str) -> Matrix:
    """The matrix `name`; raises GgufError for weights that are not finite."""
    kind, (n, k) = gguf.tensors[name].type, gguf.tensors[name].shape
    if k % BLOCK:
        raise GgufError(gguf.path, None, f"tensor {name!r} has {k} columns, not whole {BLOCK}s")
    if kind == GgmlType.Q4_0:
        blocks = gguf.raw(name).view(_Q4_0).reshape(n, k // BLOCK)
        matrix = _four_bits(n, k, blocks["qs"], blocks["d"], -8 * blocks["d"])
    elif kind == GgmlType.Q4_1:
        blocks = gguf.raw(name).view(_Q4_1).reshape(n, k // BLOCK)
        matrix = _four_bits(n, k, blocks["qs"], blocks["d"], blocks["m"])
    elif kind == GgmlType.Q4_K:
        matrix = _four_bits(n, k, *_q4_k(gguf.raw(name), n, k))
    elif kind == GgmlType.Q5_0:
        blocks = gguf.raw(name).view(_Q5_0).reshape(n, k // BLOCK)
        matrix = _eight_bits(n, k, _five_bits(blocks["qs"], blocks["qh"]), blocks["d"])
    elif kind == GgmlType.Q8_0:
        blocks = gguf.raw(name).view(_Q8_0).reshape(n, k // BLOCK)
        matrix = _eight_bits(n, k, blocks["qs"].view(np.uint8) ^ np.uint8(128), blocks["d"])
    else:
        matrix = quantize(gguf.tensor(name))
    if not np.isfinite(matrix.scales).all():
        raise GgufError(gguf.path, None, f"weights of {name!r} are not finite, or too large")
    return matrix


def quantize(weights: NDArray[np.float32]) -> Matrix:
    """Round [n, k] to 8 bits, symmetric, by the largest weight of 32."""
    n, k = weights.shape
    blocks = weights.reshape(n, k // BLOCK, BLOCK)
    with np.errstate(over="ignore", invalid="ignore"):  # the caller looks at the scales
        scales = _scales(blocks)
        wide = scales.astype(np.float32)
        inverse = np.divide(1, wide, out=np.zeros_like(wide), where=wide > 0)
        codes = np.clip(np.rint(blocks * inverse[:, :, None]), -127, 127) + 128
    return _eight_bits(n, k, np.nan_to_num(codes).astype(np.uint8), scales)


def _scales(blocks: NDArray[np.float32]) -> NDArray[np.float16]:
    largest = np.abs(blocks).max(axis=2)
    scales: NDArray[np.float16] = (largest / 127).astype(np.float16)
    return scales


def _q4_k(raw: NDArray[np.uint8], n: int, k: int) -> tuple[NDArray[np.uint8], Floats, Floats]:
    """Codes as Q4_1 has them, scales and minima: a super-block of 256 is eight blocks, two to 32 bytes."""
    codes, scales, minima = scales_and_minima(raw)  # [super-blocks, 4, 32], [super-blocks, 8] twice
    low, high = codes & 15, codes >> 4
    eight = np.stack([low, high], axis=2).reshape(n, k // BLOCK, BLOCK)
    packed = eight[..., :16] | eight[..., 16:] << 4
    return packed, scales.reshape(n, -1), -minima.reshape(n, -1)


def _five_bits(nibbles: NDArray[np.uint8], high: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Codes [n, blocks, 32], 128 too high, from codes that are 16 too high."""
    fifth = np.unpackbits(high, axis=-1, bitorder="little") << 4
    codes = np.concatenate([nibbles & 15, nibbles >> 4], axis=-1) + fifth + (128 - 16)
    eight: NDArray[np.uint8] = codes.astype(np.uint8)
    return eight


def _four_bits(n: int, k: int, codes: NDArray[np.uint8], scales: Floats, minima: Floats) -> Matrix:
    """`codes` [n, blocks, 16], columns c and c + 16 in a byte; scales and minima [n, blocks]."""
    both = np.stack([_transpose(scales), _transpose(minima)], axis=2)
    return Matrix(n, k, 4, _groups(codes), np.ascontiguousarray(both, np.float16))


def _eight_bits(n: int, k: int, codes: NDArray[np.uint8], scales: Floats) -> Matrix:
    """`codes` [n, blocks, 32], 128 too high; scales [n, blocks]."""
    return Matrix(n, k, 8, _groups(codes), np.ascontiguousarray(_transpose(scales), np.float16))


def _groups(codes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """[n, blocks, bytes] to [groups, blocks, bytes * 16], four bytes of each row of the group in turn."""
    padded = _pad(codes)
    fours = padded.reshape(len(padded), -1).view(np.uint32)
    n, blocks, size = padded.shape
    grouped = fours.reshape(n // LANES, LANES, blocks, size // 4).transpose(0, 2, 3, 1)
    return np.ascontiguousarray(grouped).view(np.uint8).reshape(n // LANES, blocks, size * LANES)


def _transpose(scales: Floats) -> Floats:
    """[n, blocks] to [groups, blocks, 16]."""
    padded = _pad(scales)
    return padded.reshape(len(padded) // LANES, LANES, -1).transpose(0, 2, 1)


def _pad(rows: NDArray[Any]) -> NDArray[Any]:
    missing = -len(rows) % LANES
    if not missing:
        return np.ascontiguousarray(rows)
    return np.concatenate([rows, np.zeros((missing, *rows.shape[1:]), rows.dtype)])
