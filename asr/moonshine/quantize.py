"""Float32 matrices as ONNX Runtime's `MatMulNBits` wants them: blocks of 8-bit codes with a scale each."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BLOCK = 32  # weights that share a scale; the width of Moonshine, 288, is no multiple of 64

Array = NDArray[np.float32]


@dataclass(frozen=True)
class Blocks:
    """A matrix [n, k]: weight = (code - 128) * scale of its block; the last block of a row is filled up."""

    k: int
    codes: NDArray[np.uint8]  # [n, blocks, BLOCK]
    scales: Array  # [n, blocks]


def quantize(weights: Array) -> Blocks:
    """Round [n, k] to 8 bits, symmetric, by the largest weight of each block."""
    n, k = weights.shape
    blocks = np.pad(weights, ((0, 0), (0, -k % BLOCK))).reshape(n, -1, BLOCK)
    scales = np.abs(blocks).max(axis=2) / np.float32(127)
    # The inverse of a smaller scale is infinite: such weights become zero.
    inverse = np.divide(1, scales, out=np.zeros_like(scales), where=scales >= np.finfo(np.float32).tiny)
    codes = (np.rint(blocks * inverse[:, :, None]) + 128).astype(np.uint8)
    return Blocks(k, codes, scales)
