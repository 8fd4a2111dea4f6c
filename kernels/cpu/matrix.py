"""Matrices of the compiled kernel, checked: the C code believes what it is told of them."""

import ctypes
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

LANES = 16
"""Rows of a matrix that lie together; the head size and the width are multiples of it."""

BLOCK = 32
"""Columns that share a scale."""


@dataclass(frozen=True)
class Matrix:
    """A matrix [n, k] in groups of 16 rows by 32 columns; rows are padded to whole groups.

    4 bits: weight = code * scale + minimum. 8 bits: weight = (code - 128) * scale. `codes` uint8 [groups, k /
    32, 16 * bits / 32 * 64]: columns 4j .. 4j + 3 of the 16 rows together, of 4 bits columns c and c + 16 in
    one byte. `scales` float16 [groups, k / 32, 16], with 4 bits [groups, k / 32, 2, 16]: scales and minima.
    """

    n: int
    k: int
    bits: int
    codes: NDArray[np.uint8]
    scales: NDArray[np.float16]


class MatrixStruct(ctypes.Structure):
    """`Matrix` of `llama_cpu.h`."""

    _fields_ = [
        ("codes", ctypes.c_void_p),
        ("scales", ctypes.c_void_p),
        ("n", ctypes.c_int32),
        ("k", ctypes.c_int32),
        ("bits", ctypes.c_int32),
    ]


def matrix_struct(matrix: Matrix) -> MatrixStruct:
    """Its addresses; the arrays must be kept."""
    return MatrixStruct(matrix.codes.ctypes.data, matrix.scales.ctypes.data, matrix.n, matrix.k, matrix.bits)


def check_matrix(matrix: Matrix, n: int, k: int) -> None:
    """Raise ValueError unless it is [n, k], whole, and in 4 or 8 bits."""
    groups, blocks = -(-n // LANES), k // BLOCK
    codes = (groups, blocks, LANES * BLOCK * matrix.bits // 8)
    scales = (groups, blocks, 2, LANES) if matrix.bits == 4 else (groups, blocks, LANES)
    if matrix.bits not in (4, 8) or (matrix.n, matrix.k) != (n, k):
        raise ValueError(
            f"a matrix of {matrix.n} x {matrix.k} in {matrix.bits} bits, not {n} x {k} in 4 or 8"
        )
    check_array("codes", matrix.codes, np.uint8, codes)
    check_array("scales", matrix.scales, np.float16, scales)


def check_array(name: str, array: NDArray[Any], dtype: type, shape: tuple[int, ...]) -> None:
    """Raise ValueError unless it has this type and shape, and lies in one piece."""
    if array.dtype != dtype or array.shape != shape or not array.flags.c_contiguous:
        raise ValueError(f"{name}: {array.dtype}{array.shape}, not contiguous {np.dtype(dtype)}{shape}")
