"""The Triton kernel of `rms_norm.py`: a program per row."""

# mypy: disable-error-code="no-untyped-def, untyped-decorator"
# ruff: noqa: ANN001, ANN202, N803  (a kernel's arguments are Triton's, and its constants are capitals)

import triton
import triton.language as tl
from torch import Tensor

from kernels.device import on_device


@triton.jit
def _normalise(out, x, norm, eps, COLUMNS: tl.constexpr, PADDED: tl.constexpr):
    columns = tl.arange(0, PADDED)
    inside = columns < COLUMNS
    at = tl.program_id(0).to(tl.int64) * COLUMNS + columns
    row = tl.load(x + at, mask=inside, other=0.0)
    weights = tl.load(norm + columns, mask=inside, other=0.0)
    row *= tl.rsqrt(tl.sum(row * row, 0) / COLUMNS + eps)
    tl.store(out + at, (row * weights).to(tl.float16), mask=inside)


def launch(out: Tensor, x: Tensor, norm: Tensor, eps: float) -> None:
    """Write the normalised rows of `x` into `out`; all are as `rms_norm` has checked them."""
    rows, columns = x.shape
    padded = triton.next_power_of_2(columns)
    with on_device(x):
        _normalise[rows,](out, x, norm, eps, columns, padded, num_warps=4 if padded < 4096 else 8)
