"""How programs share out a small-batch GEMM, in Triton and where it is launched."""

# mypy: disable-error-code="no-untyped-def, untyped-decorator"
# ruff: noqa: ANN001, ANN201, N803  (a kernel's arguments are Triton's, and its constants are capitals)

from dataclasses import dataclass
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from kernels.device import pdl
from kernels.formats.fragments import SPAN
from kernels.formats.quantized import Quantized


@dataclass(frozen=True)
class Tile:
    """What a program computes, and with what; a row's result depends on the warps alone."""

    rows: int  # of the matrix, a multiple of 16
    tokens: int  # a multiple of 8; more programs read the same weights, from the L2 cache, if these are fewer
    warps: int  # they share the columns


@triton.jit
def its_tokens(tokens, TOKENS: tl.constexpr):
    """The tokens of a program, and which there are."""
    token = tl.program_id(0) * TOKENS + tl.arange(0, TOKENS)
    return token, token < tokens


def choose_tile(w: Quantized, tokens: int, rows: int) -> Tile:
    """What programs of so many rows of a matrix compute of its product with so many tokens.

    Warps must depend on the matrix alone, for a row to be the same beside any others.
    """
    spans = -(-w.columns // SPAN)
    all_tokens = max(8, 1 << (tokens - 1).bit_length())
    warps = 4 if spans <= 4 else 8
    return Tile(rows, min(all_tokens, 16), warps)


def grid_of(tokens: int, rows: int, tile: Tile) -> tuple[int, int]:
    """Programs of the same rows run beside each other, for the L2 cache."""
    return triton.cdiv(tokens, tile.tokens), triton.cdiv(rows, tile.rows)


def compiled_for(w: Quantized, tile: Tile, device: torch.device) -> dict[str, Any]:
    """What all of these kernels are compiled for.

    Each operation is rounded by itself: which of two products a compiler joins with their sum is up to it,
    and it need not do the same for one token and for two.
    """
    sizes = {"COLUMNS": w.columns, "BITS": w.bits, "TOKENS": tile.tokens, "WARPS": tile.warps}
    return sizes | {"num_warps": tile.warps, "enable_fp_fusion": False} | pdl(device)


def words_of(w: Quantized, layer: int) -> tuple[Tensor, Tensor]:
    """Codes, as words, and pairs."""
    return w.codes[layer].view(torch.int32), w.pairs[layer]


def of_layer(tensor: Tensor | None, layer: int) -> Tensor | None:
    """A layer's part of what there may be of all layers."""
    return None if tensor is None else tensor[layer]
