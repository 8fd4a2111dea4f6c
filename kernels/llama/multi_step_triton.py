"""The Triton kernel of `multi_step.py`: what one step hands to the next."""

# mypy: disable-error-code="no-untyped-def, untyped-decorator"
# ruff: noqa: ANN001, ANN202, N803  (a kernel's arguments are Triton's)

import triton
import triton.language as tl
from torch import Tensor

from kernels.device import on_device


@triton.jit
def _advance(choice, token, position, chosen, step, stride, ROWS: tl.constexpr):
    """After a broken step all are; padding stays where it is."""
    row = tl.arange(0, ROWS)
    following = tl.where(tl.load(token + row) < 0, -1, tl.load(choice + row))
    at, number = tl.load(position + row), tl.load(step)
    tl.store(chosen + number * stride + row, following)
    tl.store(token + row, following)
    tl.store(position + row, tl.where(at < 0, at, at + 1))
    tl.store(step, number + 1)


def advance(choice: Tensor, token: Tensor, position: Tensor, chosen: Tensor, step: Tensor) -> None:
    """Keep the choices as row `step` of those `chosen`, and as the tokens of the next positions.

    All are int32: [rows], a power of 2, but `chosen` [steps, rows or more] and `step` [1].
    """
    with on_device(token):
        rows = len(token)
        _advance[(1,)](choice, token, position, chosen, step, chosen.stride(0), ROWS=rows, num_warps=1)
