"""Activations of few rows in 16 bits, packed for products with quantized weights; what they mean in torch.

A kernel that makes activations packs them, once; the kernels that multiply them with weights in 4 or 8 bits
read words that are ready for `dp4a`, four products of bytes an instruction.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from kernels.quantized import BLOCK

PLANES = 5
"""Of a row, four words of each block: high bytes of its first 16 columns and of its last, low bytes of those,
and scale, sum, sum of squares, nothing."""

FEW = 16
"""Rows at most: beyond them tensor cores are faster."""

_LARGEST = 32512  # 127 * 256: the high byte, of what is rounded to the nearest, stays in -127 .. 127


@dataclass(frozen=True)
class Packed:
    """Rows [M, K] in blocks of 32 columns: int32 [M, PLANES, K / 32, 4].

    An activation is (256 * high + low) * scale, of signed bytes, four neighbours to a word. The sum is of
    what is stored, times scale; the squares are of the residual stream that it was made of: RMSNorm divides
    by their mean's root after the product. An error is 1.5e-5 of a block's largest.
    """

    words: Tensor

    @property
    def rows(self) -> int:
        """M."""
        return self.words.shape[0]

    @property
    def columns(self) -> int:
        """K."""
        return self.words.shape[2] * BLOCK

    def first(self, rows: int) -> "Packed":
        """The first rows, in the same memory."""
        return Packed(self.words[:rows])

    def fill(self, x: Tensor, stream: Tensor | None = None) -> "Packed":
        """Pack float32 [M, K]; the squares are of `stream`, by default of x. Gives itself."""
        blocks = x.float().reshape(self.rows, -1, BLOCK)
        scale = blocks.abs().amax(2).clamp(min=1e-30) / _LARGEST
        codes = (blocks / scale[..., None] + 0.5).floor().int()
        high = (codes + 128) >> 8
        for i, part in enumerate((high, codes - (high << 8))):
            words = part.to(torch.int8).contiguous().view(torch.int32)  # [M, K / 32, 8]
            self.words[:, 2 * i], self.words[:, 2 * i + 1] = words.chunk(2, 2)
        squares = (x if stream is None else stream).float().square().reshape(blocks.shape).sum(2)
        rest = torch.stack([scale, codes.sum(2) * scale, squares, torch.zeros_like(scale)], 2)
        self.words[:, 4] = rest.view(torch.int32)
        return self

    def unpack(self) -> Tensor:
        """What is stored: float32 [M, K]."""
        planes = self.words[:, :4].contiguous().view(torch.int8).float()  # [M, 4, K / 32, 16]
        high, low = torch.cat([planes[:, 0], planes[:, 1]], 2), torch.cat([planes[:, 2], planes[:, 3]], 2)
        return ((256 * high + low) * self._rest()[..., :1]).flatten(1)

    def squares(self) -> Tensor:
        """Of each row's stream: float32 [M]."""
        return self._rest()[..., 2].sum(1)

    def _rest(self) -> Tensor:
        return self.words[:, 4].contiguous().view(torch.float32)


def empty_packed(rows: int, columns: int, device: torch.device) -> Packed:
    """Room for so many; raises ValueError for columns that are not whole blocks."""
    if columns % BLOCK:
        raise ValueError(f"{columns} columns: must be a multiple of {BLOCK}")
    return Packed(torch.zeros(rows, PLANES, columns // BLOCK, 4, dtype=torch.int32, device=device))


def check_packed(name: str, x: Packed, rows: int, columns: int, device: torch.device) -> None:
    """Raise ValueError unless x is contiguous and of so many rows and columns on the device."""
    shape = (rows, PLANES, columns // BLOCK, 4)
    if x.words.dtype != torch.int32 or x.words.shape != shape or not x.words.is_contiguous():
        what = f"{x.words.dtype} {tuple(x.words.shape)} with strides {x.words.stride()}"
        raise ValueError(f"{name} is {what}: must be contiguous int32 {shape}")
    if x.words.device != device:
        raise ValueError(f"{name} is on {x.words.device} and the rest on {device}: move it there")
