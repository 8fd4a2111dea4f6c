"""GGML tensor types: how many bytes they take and how to turn them into float32.

Block layouts follow `ggml-common.h` of ggml (block_q4_0 ... block_q6_K); all numbers are little endian.
"""

import math
from collections.abc import Callable, Mapping
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

F32Array = NDArray[np.float32]
BlockArray = NDArray[Any]  # structured array with one record per block

# Elements decoded at a time. Keeps temporary arrays below a megabyte, however large the tensor is, and costs
# nothing: SmolLM2-135M (Q4_1) takes 0.5 s on one core, as with whole tensors at once.
_PIECE = 131_072


class GgmlType(IntEnum):
    """Tensor types by their number in a GGUF file. Only those in `BLOCKS` can be read."""

    F32 = 0
    F16 = 1
    Q4_0 = 2
    Q4_1 = 3
    Q5_0 = 6
    Q5_1 = 7
    Q8_0 = 8
    Q8_1 = 9
    Q2_K = 10
    Q3_K = 11
    Q4_K = 12
    Q5_K = 13
    Q6_K = 14
    Q8_K = 15
    IQ2_XXS = 16
    IQ2_XS = 17
    IQ3_XXS = 18
    IQ1_S = 19
    IQ4_NL = 20
    IQ3_S = 21
    IQ2_S = 22
    IQ4_XS = 23
    I8 = 24
    I16 = 25
    I32 = 26
    I64 = 27
    F64 = 28
    IQ1_M = 29
    BF16 = 30
    TQ1_0 = 34
    TQ2_0 = 35
    MXFP4 = 39


class QuantError(ValueError):
    """A tensor that cannot be dequantized: unsupported type, or bytes and shape that do not fit it."""


def n_bytes(type_: GgmlType, shape: tuple[int, ...]) -> int:
    """Bytes that a row-major tensor of this type and shape takes. Raises QuantError."""
    if type_ not in BLOCKS:
        supported = ", ".join(t.name for t in BLOCKS)
        raise QuantError(f"tensor type {type_.name} is not supported (supported: {supported})")
    per_block, block_bytes = BLOCKS[type_]
    if not shape or min(shape) <= 0 or shape[-1] % per_block:
        raise QuantError(f"shape {shape} does not fit {type_.name}, which needs rows of whole {per_block}s")
    return math.prod(shape) // per_block * block_bytes


def dequantize(raw: NDArray[np.uint8], type_: GgmlType, shape: tuple[int, ...]) -> F32Array:
    """Decode a tensor's bytes, a flat uint8 array, to a new float32 array of `shape` (row-major).

    Uses the same arithmetic as ggml in float32, so results are equal to the bit. Raises QuantError.
    """
    if raw.shape != (n_bytes(type_, shape),) or raw.dtype != np.uint8:
        raise QuantError(f"got {raw.dtype}{list(raw.shape)} for {type_.name} of shape {shape}")
    _, layout, decode = _DECODERS[type_]
    blocks = raw.view(layout)
    out = np.empty((len(blocks), BLOCKS[type_][0]), np.float32)
    step = max(1, _PIECE // out.shape[1])
    with np.errstate(over="ignore", invalid="ignore"):  # an inf or NaN scale gives inf or NaN weights
        for start in range(0, len(blocks), step):
            decode(blocks[start : start + step], out[start : start + step])
    return out.reshape(shape)


def _column(half: NDArray[np.float16]) -> F32Array:
    return half.astype(np.float32)[:, None]  # [n, 1]


def _nibbles(qs: NDArray[np.uint8], out: F32Array) -> None:
    # qs [..., k], out [..., 2k]: low nibbles first, then high ones
    k = qs.shape[-1]
    out[..., :k] = qs & 15
    out[..., k:] = qs >> 4


def _f32(blocks: BlockArray, out: F32Array) -> None:
    out[:, 0] = blocks


def _bf16(blocks: BlockArray, out: F32Array) -> None:
    np.left_shift(blocks, 16, out=out.view(np.uint32)[:, 0], dtype=np.uint32)


def _q4_0(blocks: BlockArray, out: F32Array) -> None:
    _nibbles(blocks["qs"], out)
    out -= 8
    out *= _column(blocks["d"])


def _q4_1(blocks: BlockArray, out: F32Array) -> None:
    _nibbles(blocks["qs"], out)
    out *= _column(blocks["d"])
    out += _column(blocks["m"])


def _five_bits(blocks: BlockArray, out: F32Array) -> None:
    _nibbles(blocks["qs"], out)
    out += np.unpackbits(blocks["qh"], axis=1, bitorder="little") << 4


def _q5_0(blocks: BlockArray, out: F32Array) -> None:
    _five_bits(blocks, out)
    out -= 16
    out *= _column(blocks["d"])


def _q5_1(blocks: BlockArray, out: F32Array) -> None:
    _five_bits(blocks, out)
    out *= _column(blocks["d"])
    out += _column(blocks["m"])


def _q8_0(blocks: BlockArray, out: F32Array) -> None:
    out[:] = blocks["qs"]
    out *= _column(blocks["d"])


def _scales_and_mins(packed: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    # 12 bytes -> 8 scales and 8 minima of 6 bits. Bytes 0-3 and 4-7 hold the first four of each in their low
    # six bits; their top two bits top up the last four, whose low four bits are the nibbles of bytes 8-11.
    scale, low, rest = packed[:, :4], packed[:, 4:8], packed[:, 8:]
    scales = np.concatenate([scale & 63, (rest & 15) | (scale >> 6 << 4)], axis=1)
    mins = np.concatenate([low & 63, (rest >> 4) | (low >> 6 << 4)], axis=1)
    return scales, mins  # both [n, 8]


def _scale_k(blocks: BlockArray, groups: F32Array) -> None:
    # groups [n, 8, 32]
    scales, mins = _scales_and_mins(blocks["scales"])
    groups *= (_column(blocks["d"]) * scales)[:, :, None]
    groups -= (_column(blocks["dmin"]) * mins)[:, :, None]


def scales_and_minima(
    raw: NDArray[np.uint8],
) -> tuple[NDArray[np.uint8], F32Array, F32Array]:
    """Q4_K taken apart: codes [n, 4, 32] of two nibbles, scales and minima [n, 8]: scale * code - minimum.

    Byte i of quarter j holds element i of block 2j in its low nibble, and of block 2j + 1 in its high one.
    """
    blocks = raw.view(_DECODERS[GgmlType.Q4_K][1])
    scales, mins = _scales_and_mins(blocks["scales"])
    with np.errstate(over="ignore", invalid="ignore"):
        return blocks["qs"].reshape(-1, 4, 32), _column(blocks["d"]) * scales, _column(blocks["dmin"]) * mins


def _q4_k(blocks: BlockArray, out: F32Array) -> None:
    n = len(blocks)
    _nibbles(blocks["qs"].reshape(n, 4, 32), out.reshape(n, 4, 64))
    _scale_k(blocks, out.reshape(n, 8, 32))


def _q5_k(blocks: BlockArray, out: F32Array) -> None:
    n = len(blocks)
    _nibbles(blocks["qs"].reshape(n, 4, 32), out.reshape(n, 4, 64))
    groups = out.reshape(n, 8, 32)
    high = blocks["qh"][:, None, :] >> np.arange(8, dtype=np.uint8)[:, None]  # bit j of byte i: [j, i]
    groups += (high & 1) << 4
    _scale_k(blocks, groups)


def _q6_k(blocks: BlockArray, out: F32Array) -> None:
    n = len(blocks)
    halves = out.reshape(n, 2, 128)
    _nibbles(blocks["ql"].reshape(n, 2, 64), halves)
    high = blocks["qh"].reshape(n, 2, 1, 32) >> np.arange(0, 8, 2, dtype=np.uint8)[:, None]
    halves += ((high & 3) << 4).reshape(n, 2, 128)
    halves -= 32
    out.reshape(n, 16, 16)[:] *= (_column(blocks["d"]) * blocks["scales"])[:, :, None]


_D = ("d", "<f2")
_K = [_D, ("dmin", "<f2"), ("scales", "u1", 12)]
_DECODERS: Mapping[GgmlType, tuple[int, np.dtype[Any], Callable[[BlockArray, F32Array], None]]] = {
    GgmlType.F32: (1, np.dtype("<f4"), _f32),
    GgmlType.F16: (1, np.dtype("<f2"), _f32),
    GgmlType.BF16: (1, np.dtype("<u2"), _bf16),
    GgmlType.Q4_0: (32, np.dtype([_D, ("qs", "u1", 16)]), _q4_0),
    GgmlType.Q4_1: (32, np.dtype([_D, ("m", "<f2"), ("qs", "u1", 16)]), _q4_1),
    GgmlType.Q5_0: (32, np.dtype([_D, ("qh", "u1", 4), ("qs", "u1", 16)]), _q5_0),
    GgmlType.Q5_1: (32, np.dtype([_D, ("m", "<f2"), ("qh", "u1", 4), ("qs", "u1", 16)]), _q5_1),
    GgmlType.Q8_0: (32, np.dtype([_D, ("qs", "i1", 32)]), _q8_0),
    GgmlType.Q4_K: (256, np.dtype([*_K, ("qs", "u1", 128)]), _q4_k),
    GgmlType.Q5_K: (256, np.dtype([*_K, ("qh", "u1", 32), ("qs", "u1", 128)]), _q5_k),
    GgmlType.Q6_K: (256, np.dtype([("ql", "u1", 128), ("qh", "u1", 64), ("scales", "i1", 16), _D]), _q6_k),
}

BLOCKS: Mapping[GgmlType, tuple[int, int]] = {t: (n, d.itemsize) for t, (n, d, _) in _DECODERS.items()}
"""Supported types: (elements per block, bytes per block)."""
