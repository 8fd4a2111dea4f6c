"""GGUF matrices as the CPU kernel wants them: groups of 16 rows, so that a register holds columns of all of
them. See `llm.gguf.blocks` for what is exact.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernels.cpu import LANES, Matrix
from llm.gguf.blocks import Blocks, quantize, read_blocks
from llm.gguf.file import GgufError, GgufFile

Floats = NDArray[np.floating[Any]]


def interleave(gguf: GgufFile, name: str) -> Matrix:
    """The matrix `name`; raises GgufError for weights that are not finite."""
    blocks, (n, k) = read_blocks(gguf, name), gguf.tensors[name].shape
    if blocks.bits == 8:
        return _eight_bits(blocks, n, k)
    both = np.stack([_transpose(blocks.scales), _transpose(_minima(blocks))], axis=2)
    if not np.isfinite(both).all():
        raise GgufError(gguf.path, None, f"weights of {name!r} are not finite, or too large")
    return Matrix(n, k, 4, _groups(blocks.codes), np.ascontiguousarray(both))


def interleave_rounded(weights: NDArray[np.float32]) -> Matrix:
    """Weights [n, k], of a size that float16 scales can tell, rounded to 8 bits."""
    return _eight_bits(quantize(weights), *weights.shape)


def _eight_bits(blocks: Blocks, n: int, k: int) -> Matrix:
    codes = blocks.codes.view(np.uint8) ^ np.uint8(128)  # adds 128
    return Matrix(n, k, 8, _groups(codes), np.ascontiguousarray(_transpose(blocks.scales)))


def _minima(blocks: Blocks) -> NDArray[np.float16]:
    if blocks.minima is not None:
        return blocks.minima
    with np.errstate(over="ignore"):  # the caller looks at them
        least: NDArray[np.float16] = -8 * blocks.scales
    return least


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
