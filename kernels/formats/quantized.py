"""Weights in 4 or 8 bits on a GPU: their layout, and what they mean in torch."""

from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

BLOCK = 32
"""Neighbouring columns of a row that share a scale."""


@dataclass(frozen=True)
class Quantized:
    """L matrices [N, K] of one shape: of all layers of a model, in one piece.

    4 bits: `codes` is uint8 [L, N, K / 2]; byte 16 b + i of a row holds column 32 b + i in its low half and
    column 32 b + 16 + i in its high one, as in GGUF. A weight is scale * code + minimum, or, without
    `minima`, scale * (code - 8). 8 bits: `codes` is int8 [L, N, K], and a weight is scale * code.
    """

    codes: Tensor
    scales: Tensor  # float16 [L, N, K / 32]
    minima: Tensor | None = None  # float16 [L, N, K / 32]

    def __post_init__(self) -> None:
        if self.codes.dtype not in (torch.uint8, torch.int8) or self.codes.dim() != 3:
            given = f"{self.codes.dtype} {tuple(self.codes.shape)}"
            raise ValueError(f"codes are {given}: must be uint8 or int8 [L, N, K]")
        for name, x in (("scales", self.scales), ("minima", self.minima)):
            if x is not None and (x.dtype != torch.float16 or x.shape != self._scales_shape):
                wanted = f"float16 {self._scales_shape}"
                raise ValueError(f"{name} are {x.dtype} {tuple(x.shape)}: must be {wanted}")
        if self.minima is not None and self.bits == 8:
            raise ValueError("8 bits have no minima")
        tensors = [x for x in (self.codes, self.scales, self.minima) if x is not None]
        if not all(x.is_contiguous() and x.device == self.codes.device for x in tensors):
            raise ValueError("codes, scales and minima must be contiguous and on one device")

    @property
    def _scales_shape(self) -> tuple[int, int, int]:
        return self.layers, self.rows, self.columns // BLOCK

    @property
    def bits(self) -> int:
        """Bits of a code: 4 or 8."""
        return 4 if self.codes.dtype == torch.uint8 else 8

    @property
    def layers(self) -> int:
        """L."""
        return self.codes.shape[0]

    @property
    def rows(self) -> int:
        """N, of one matrix: what comes out."""
        return self.codes.shape[1]

    @property
    def columns(self) -> int:
        """K: what goes in."""
        return self.codes.shape[2] * (8 // self.bits)

    @property
    def layer_bytes(self) -> int:
        """Bytes of one matrix, all of which a product reads."""
        return sum(x[0].nbytes for x in (self.codes, self.scales, self.minima) if x is not None)

    @cached_property
    def pairs(self) -> Tensor:
        """Each block's scale, in the low half of a word, and least weight, in the high: int32 [L, N, K / 32].

        Made when first asked for, and kept: a small-batch GEMM reads both in one load. The least weight
        of 8 bits is not used, and 0. Waits for the GPU: a kernel may read them before it waits for this.
        """
        least = self.minima
        if least is None:
            least = self.scales * (-8 if self.bits == 4 else 0)
        pairs = torch.stack([self.scales, least], 3).view(torch.int32)[..., 0]
        if pairs.is_cuda:
            torch.cuda.synchronize(pairs.device)
        return pairs

    def to(self, device: torch.device) -> "Quantized":
        """The same on another device."""
        minima = None if self.minima is None else self.minima.to(device)
        return replace(self, codes=self.codes.to(device), scales=self.scales.to(device), minima=minima)

    def dequantize(self, layer: int) -> Tensor:
        """What one matrix means: float32 [N, K]."""
        return self.rows_of(layer, torch.arange(self.rows, device=self.codes.device))

    def rows_of(self, layer: int, rows: Tensor) -> Tensor:
        """Some rows [n] of a matrix: float32 [n, K]; what an embedding looks up."""
        scales = self.scales[layer, rows].float()[..., None]  # [n, K / 32, 1]
        codes = self.codes[layer, rows].reshape(len(rows), scales.shape[1], -1)
        if self.bits == 8:
            weights = codes.float() * scales
        else:
            both = torch.cat([codes & 15, codes >> 4], dim=2).float()
            least = -8 * scales if self.minima is None else self.minima[layer, rows].float()[..., None]
            weights = both * scales + least
        return weights.flatten(1)


def quantize(weights: Tensor, bits: int = 8) -> Quantized:
    """Round float [L, N, K]: to 8 bits, symmetric by the largest of 32, or to 4 by the least and the largest.

    What GGUF calls Q8_0 and Q4_1. Raises ValueError for rows that are not whole blocks.
    """
    if weights.dim() != 3 or weights.shape[2] % BLOCK:
        raise ValueError(f"weights are {tuple(weights.shape)}: must be [L, N, K], K a multiple of {BLOCK}")
    blocks = weights.float().reshape(*weights.shape[:2], -1, BLOCK)  # [L, N, K / 32, 32]
    if bits == 8:
        scales = (blocks.abs().amax(3) / 127).half()
        codes = (blocks / scales.float().clamp(min=1e-30)[..., None]).round().clamp(-127, 127)
        return Quantized(codes.to(torch.int8).flatten(2), scales)
    least = blocks.amin(3).half()
    scales = ((blocks.amax(3) - least.float()) / 15).half()
    codes = ((blocks - least.float()[..., None]) / scales.float().clamp(min=1e-30)[..., None]).round()
    codes = codes.clamp(0, 15).to(torch.uint8)
    return Quantized((codes[..., :16] | codes[..., 16:] << 4).flatten(2), scales, least)
