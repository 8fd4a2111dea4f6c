"""Low-rank adapters of the compiled kernel: what each adds to the products of a pass, for its rows."""

import ctypes
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from kernels.cpu.matrix import LANES, Matrix, MatrixStruct, check_array, check_matrix, matrix_struct

Product = Literal["qkv", "out", "gate_up", "down"]

PRODUCTS: tuple[Product, ...] = ("qkv", "out", "gate_up", "down")

_MOST_RANKS = 768  # MOST_RANKS
_MATRICES = 3  # of a product at most


@dataclass(frozen=True)
class LowRank:
    """What is added to each matrix of one product: b @ (scales * (a @ x)), with its own rows of `a`.

    `a`, in 8 bits, has the rows of all matrices, one below the other. A `b`, float16 [groups, rank, 16], is
    of groups of 16 rows; None adds nothing.
    """

    a: Matrix
    scales: NDArray[np.float32]  # [rows of a, rounded up to whole groups]
    b: Sequence[NDArray[np.float16] | None]

    @property
    def ranks(self) -> list[int]:
        """The rank of what is added to each matrix, 0 for nothing."""
        return [0 if part is None else part.shape[1] for part in self.b]


class _LowRank(ctypes.Structure):
    _fields_ = [
        ("a", MatrixStruct),
        ("scales", ctypes.c_void_p),
        ("b", ctypes.c_void_p * _MATRICES),
        ("rank", ctypes.c_int32 * _MATRICES),
    ]


class Adapter:
    """The additions of all layers, ready for passes of a model that they fit."""

    def __init__(self, layers: Sequence[Mapping[Product, LowRank]]) -> None:
        self.layers = layers  # the kernel has only their addresses
        every = [layer.get(product) for layer in layers for product in PRODUCTS]
        self._structs = (_LowRank * len(every))(*map(_struct, every))
        self.address = ctypes.addressof(self._structs)

    def check(self, layers: int, shapes: Mapping[Product, tuple[Sequence[int], int]]) -> None:
        """Raise ValueError unless it fits so many layers, of products with rows and columns of `shapes`."""
        if len(self.layers) != layers:
            raise ValueError(f"an adapter of {len(self.layers)} layers for a model of {layers}")
        for layer in self.layers:
            for product, low in layer.items():
                _check(low, *shapes[product])


def product_shapes(width: int, q: int, kv: int, hidden: int) -> Mapping[Product, tuple[Sequence[int], int]]:
    """Of each product the rows of its matrices, and their columns."""
    return {
        "qkv": ((q, kv, kv), width),
        "out": ((width,), q),
        "gate_up": ((hidden, hidden), width),
        "down": ((width,), hidden),
    }


def _check(low: LowRank, rows: Sequence[int], columns: int) -> None:
    ranks = low.ranks
    if len(low.b) != len(rows) or low.a.bits != 8 or not 1 <= sum(ranks) <= _MOST_RANKS:
        raise ValueError(f"ranks {ranks} in {low.a.bits} bits for {len(rows)} matrices")
    check_matrix(low.a, sum(ranks), columns)
    check_array("scales", low.scales, np.float32, (-(-sum(ranks) // LANES) * LANES,))
    for part, rank, n in zip(low.b, ranks, rows, strict=True):
        if part is not None:
            check_array("b", part, np.float16, (-(-n // LANES), rank, LANES))


def _struct(low: LowRank | None) -> _LowRank:
    if low is None:
        return _LowRank()
    addresses = [None if part is None else part.ctypes.data for part in low.b]
    missing = _MATRICES - len(addresses)
    return _LowRank(
        matrix_struct(low.a),
        low.scales.ctypes.data,
        (ctypes.c_void_p * _MATRICES)(*addresses, *[None] * missing),
        (ctypes.c_int32 * _MATRICES)(*low.ranks, *[0] * missing),
    )
