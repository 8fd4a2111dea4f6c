"""RMSNorm of float32 rows into float16, for products that do not normalise on their way."""

import torch
from torch import Tensor

from kernels.checks import check_tensor
from kernels.device import TRITON, runs_on

if TRITON:
    from kernels.products import rms_norm_triton


def bytes_moved(x: Tensor) -> int:
    """The fewest bytes it can move: the rows read, half as much written, and the weights."""
    return x.nbytes + x.nbytes // 2 + 4 * x.shape[1]


def reference(x: Tensor, norm: Tensor, eps: float) -> Tensor:
    """What is meant, in float32: float16 [M, K]."""
    return (x * (x.square().mean(-1, keepdim=True) + eps).rsqrt() * norm).half()


def rms_norm(x: Tensor, norm: Tensor, eps: float, *, out: Tensor) -> Tensor:
    """x / rms(x) * norm, of float32 [M, K] and [K], into `out`, float16 [M, K]; gives `out`.

    Runs the Triton kernel on CUDA (nothing is allocated, nothing waits) and the reference elsewhere. Raises
    ValueError for shapes, strides, types and devices that do not fit together.
    """
    if x.dim() != 2 or 0 in x.shape:
        raise ValueError(f"x is {tuple(x.shape)}: must be [rows, columns]")
    check_tensor("x", x, torch.float32, tuple(x.shape), x.device)
    check_tensor("norm", norm, torch.float32, (x.shape[1],), x.device)
    check_tensor("out", out, torch.float16, tuple(x.shape), x.device)
    if not runs_on(x.device):
        return out.copy_(reference(x, norm, eps))
    rms_norm_triton.launch(out, x, norm, eps)
    return out
