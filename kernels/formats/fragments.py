"""Activations of a small batch in MMA fragment layout, as tensor cores take them; what they mean in torch.

The kernel that makes activations stores them, once, where each thread of a product finds its own side by
side: 16 bytes a load, nothing to be carried from thread to thread.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from kernels.checks import check_tensor
from kernels.formats.quantized import BLOCK

SMALL_BATCH = 64
"""Rows of a small batch at most."""

SCALE = 1 / 16
"""Scale of what is stored: float16 ends at 65504, and a stream is divided by its size after a product."""

SPAN = 4 * BLOCK
"""Columns that four neighbouring threads take at once, a block each; rows are padded to whole spans."""

GROUP = 16
"""Columns with a sum of squares."""


def places(columns: int) -> Tensor:
    """Where in a padded row each column lies: int64 [columns].

    A span is four words of eight columns of each block in turn. The eight are those whose codes make a word:
    columns 4 w and on, and 16 columns behind them, even and odd ones apart.
    """
    column = torch.arange(columns)
    inside = column % BLOCK
    word, pair, half = inside % 16 // 4, inside % 2 * 2 + inside // 16, inside % 4 // 2
    return column // SPAN * SPAN + word * 32 + column % SPAN // BLOCK * 8 + pair * 2 + half


@dataclass(frozen=True)
class Fragments:
    """Rows [M, K], times SCALE, in float16 [M, K padded to whole spans]; see `places`.

    `squares`, float32 [M, padded / GROUP], are sums over neighbouring columns of the residual stream that the
    row was made of: RMSNorm divides by the root of their mean after the product. None where none does.
    """

    halves: Tensor
    squares: Tensor | None
    columns: int  # K

    @property
    def rows(self) -> int:
        """M."""
        return self.halves.shape[0]

    def first(self, rows: int) -> "Fragments":
        """The first rows, in the same memory."""
        squares = None if self.squares is None else self.squares[:rows]
        return Fragments(self.halves[:rows], squares, self.columns)

    def fill(self, x: Tensor, stream: Tensor | None = None) -> "Fragments":
        """Store float32 [M, K], and the squares of `stream`, by default of x. Gives itself."""
        self.halves[:, places(self.columns).to(x.device)] = (x.float() * SCALE).half()
        if self.squares is not None:
            squares = (x if stream is None else stream).float().square().reshape(len(x), -1, GROUP).sum(2)
            self.squares[:, : squares.shape[1]] = squares
        return self

    def unpack(self) -> Tensor:
        """What is stored: float32 [M, K]."""
        return self.halves[:, places(self.columns).to(self.halves.device)].float() / SCALE

    def mean_square(self) -> Tensor:
        """The mean square of each row's stream: float32 [M]. Raises ValueError if it has none."""
        if self.squares is None:
            raise ValueError("these rows have no squares")
        return self.squares.sum(1) / self.columns


def empty_fragments(rows: int, columns: int, device: torch.device, *, squares: bool = True) -> Fragments:
    """Room for so many, zero beyond the columns; raises ValueError for columns that are not whole blocks."""
    if columns % BLOCK:
        raise ValueError(f"{columns} columns: must be a multiple of {BLOCK}")
    padded = _padded(columns)
    halves = torch.zeros(rows, padded, dtype=torch.float16, device=device)
    return Fragments(halves, torch.zeros(rows, padded // GROUP, device=device) if squares else None, columns)


def check_fragments(
    name: str, x: Fragments, rows: int, columns: int, device: torch.device, *, squares: bool = False
) -> None:
    """Raise ValueError unless x is contiguous, of so many rows and columns, with `squares` if it must."""
    if squares and x.squares is None:
        raise ValueError(f"{name} has no squares")
    if x.columns != columns:
        raise ValueError(f"{name} has {x.columns} columns: must be {columns}")
    padded = _padded(columns)
    check_tensor(name, x.halves, torch.float16, (rows, padded), device)
    if x.squares is not None:
        check_tensor(f"{name}.squares", x.squares, torch.float32, (rows, padded // GROUP), device)


def _padded(columns: int) -> int:
    return -(-columns // SPAN) * SPAN
