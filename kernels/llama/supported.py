"""Which models the small-batch kernels can run, and whether they are right with this version of Triton."""

import functools
from collections.abc import Callable

import torch
from torch import Tensor

from kernels.attention.paged import reference
from kernels.attention.small_batch import HEADS, MOST_SHARED, make_scratch, small_batch_attention
from kernels.device import runs_on
from kernels.formats.fragments import empty_fragments
from kernels.formats.llama import Rows, Shape, Weights, empty_cache
from kernels.formats.quantized import BLOCK, quantize
from kernels.products.small_batch import add

_CLOSE = 2e-3
"""Relative error in the warm-up: float16 makes 4e-4 of it, a column in the wrong place 0.1 and more."""


def unsupported_reason(shape: Shape, device: torch.device) -> str | None:
    """Why a model cannot run by the small-batch kernels there; None if it can. A GPU is tried once."""
    if shape.head_dim not in HEADS:
        return f"heads of {shape.head_dim}: must be of {', '.join(map(str, HEADS))}"
    if shape.group > MOST_SHARED:
        return f"{shape.group} query heads share a head of keys: must be {MOST_SHARED} or fewer"
    if shape.width % BLOCK or shape.hidden % BLOCK:
        return f"width {shape.width}, hidden {shape.hidden}: must be whole blocks of {BLOCK}"
    return _warm_up(device) if device.type == "cuda" and runs_on(device) else None


def prepare(weights: Weights) -> None:
    """Make what the kernels read beside a file's weights, so that no capture of a graph has to."""
    for w in (weights.qkv, weights.out, weights.gate_up, weights.down, weights.head):
        if runs_on(w.codes.device):
            _ = w.pairs


@functools.cache
def _warm_up(device: torch.device) -> str | None:
    """What a product and attention get wrong on a GPU; None if nothing.

    Which thread has which part of a tile is up to Triton: see `fragments_triton.py`. With another version the
    kernels may be wrong, not just slow.
    """
    generator = torch.Generator().manual_seed(0)

    def normal(*size: int) -> Tensor:
        return torch.randn(size, generator=generator).to(device)

    off = [*_errors_of_a_product(normal, device), _error_of_attention(normal, device)]
    wrong = [f"{error:.2g}" for error in off if not error < _CLOSE]
    return f"wrong with this version of Triton, by {', '.join(wrong)}" if wrong else None


def _errors_of_a_product(normal: Callable[..., Tensor], device: torch.device) -> tuple[float, float]:
    """Relative errors of a stream that a product is added to, and of its fragments."""
    w, x, stream, norm = quantize(normal(1, 64, 160), 4), normal(9, 160), normal(9, 64), normal(64)
    out = empty_fragments(9, 64, device)
    right = stream + x @ w.dequantize(0).T
    given = empty_fragments(9, 160, device).fill(x)
    torch.cuda.synchronize(device)  # what a kernel reads before it waits must be there
    add(given, w, 0, stream=stream, norm=norm, out=out)
    return _relative(stream, right), _relative(out.unpack(), right * norm)


def _error_of_attention(normal: Callable[..., Tensor], device: torch.device) -> float:
    shape = Shape(1, 64, 3, 1, 64, 64, 64)
    cache = empty_cache(shape, slots=1, context=64, pages=2, device=device)
    for part in (cache.keys, cache.values):
        part.copy_(normal(*part.shape))
    cache.table.copy_(torch.tensor([[1, 0]]))
    slots, positions = (torch.tensor([n], dtype=torch.int32, device=device) for n in (0, 50))
    rows, q, attended = (
        Rows(slots, slots, positions),
        normal(1, 3, 64).half(),
        empty_fragments(1, 192, device),
    )
    scratch = make_scratch(shape, 1, 1, device)
    torch.cuda.synchronize(device)
    small_batch_attention(q, cache, 0, rows, out=attended, splits=1, scratch=scratch)
    return _relative(attended.unpack(), reference(q, cache, 0, slots, positions).float())


def _relative(found: Tensor, right: Tensor) -> float:
    return float((found - right).norm() / right.norm())
