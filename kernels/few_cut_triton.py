"""How programs share out a product of few rows, in Triton and where it is launched."""

# ruff: noqa: ANN001, ANN201, N803, N806  (a kernel's arguments are Triton's, and its constants are capitals)

import contextlib
from dataclasses import dataclass
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from kernels.packed_triton import ROW, WARP, pdl, spread
from kernels.quantized import Quantized


@dataclass(frozen=True)
class Cut:
    """What a program computes, and with what; a row's result does not depend on it."""

    rows: int  # of the matrix
    tokens: int  # more programs read the same weights, from the L2 cache, if these are fewer
    warps: int
    ring: int  # loads of each row that are on their way at once
    twice: bool = False  # of gate and up, one after the other


@triton.jit  # type: ignore[untyped-decorator]
def its_tokens(tokens, TOKENS: tl.constexpr):  # type: ignore[no-untyped-def]
    """The tokens of a program, and which there are."""
    token = tl.program_id(0) * TOKENS + tl.arange(0, TOKENS)
    return token, token < tokens


@triton.jit  # type: ignore[untyped-decorator]
def its_copies(tokens, TOKENS: tl.constexpr, COUNT: tl.constexpr):  # type: ignore[no-untyped-def]
    """The tokens of `each_warp`'s rows, and which of these to store: the first copy of each that there is."""
    row = tl.arange(0, COUNT)
    token = tl.program_id(0) * TOKENS + row // (COUNT // TOKENS)
    return token, (token < tokens) & (row % (COUNT // TOKENS) == 0)


@triton.jit  # type: ignore[untyped-decorator]
def its_rows(ROWS: tl.constexpr, WARPS: tl.constexpr):  # type: ignore[no-untyped-def]
    """The rows of a program, ROWS in order, and as `packed_products` wants them."""
    first = tl.program_id(1) * ROWS
    G: tl.constexpr = ROWS // WARPS
    tile = spread(tl.arange(0, WARPS), WARP, 4) * G + spread(tl.arange(0, G), ROW, 4)
    return first + tl.arange(0, ROWS), first + tile


def choose_cut(w: Quantized, tokens: int, rows: int) -> Cut:
    """How programs of so many rows of a matrix cut its product with so many tokens.

    Small programs, several of them on a processor: one loads while another multiplies.
    """
    few = 1 << (tokens - 1).bit_length()
    if rows > 64:
        return Cut(rows, min(few, 2), 16, 2)
    if w.rows > 1 << 15 and tokens > 4 and w.columns <= 1024:
        return Cut(rows, 8, 8, 2)  # a head's weights are too many to be read again
    if rows == 64 and w.columns <= 1024:
        return Cut(rows, min(few, 4), 8, 2)
    if w.columns > 4096:
        return Cut(rows, min(few, 2), 8, 4 if w.bits == 4 else 2, twice=rows == 64)
    return Cut(rows, min(few, 2), 4, 2, twice=rows == 64)


def grid_of(tokens: int, rows: int, cut: Cut) -> tuple[int, int]:
    """Programs of the same rows run beside each other, for the L2 cache."""
    return triton.cdiv(tokens, cut.tokens), triton.cdiv(rows, cut.rows)


def compiled_for(w: Quantized, cut: Cut, device: torch.device) -> dict[str, Any]:
    """What all of these kernels are compiled for.

    Each operation is rounded by itself: which of two products a compiler joins with their sum is up to it,
    and it need not do the same for one token and for two.
    """
    sizes = {"COLUMNS": w.columns, "BITS": w.bits, "TOKENS": cut.tokens, "WARPS": cut.warps}
    options = {"num_warps": cut.warps, "enable_fp_fusion": False}
    return sizes | {"RING": cut.ring} | options | pdl(device)


def words_of(w: Quantized, layer: int) -> tuple[Tensor, Tensor]:
    """Codes, as words, and pairs."""
    return w.codes[layer].view(torch.int32), w.pairs[layer]


def of_layer(tensor: Tensor | None, layer: int) -> Tensor | None:
    """Its part of what there may be of all layers."""
    return None if tensor is None else tensor[layer]


def on_device(x: Tensor) -> contextlib.AbstractContextManager[Any]:
    """Launches go to where x is, on whatever device that is."""
    return torch.cuda.device(x.device) if x.is_cuda else contextlib.nullcontext()
