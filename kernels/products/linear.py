"""Products with quantized matrices: an addition to the residual stream, and the gated first half of an MLP.

Activations are float16 and sums float32. Up to 16 rows (see `choose_tile`), a row's result is the same to the
bit whatever rows are beside it, so that a draft does not change a reply.
"""

import torch
from torch import Tensor

from kernels.checks import check_tensor
from kernels.device import TRITON, runs_on
from kernels.formats.quantized import Quantized
from kernels.products.rms_norm import rms_norm

if TRITON:
    from kernels.products import linear_triton

HIDDEN_SCALE = 1 / 16
"""Scale of the hidden activations: some models' products of gate and up pass 65504, where float16 ends."""


def bytes_moved(w: Quantized, tokens: int, *, gated: bool = False) -> int:
    """The fewest bytes it can move: the matrix, and the activations once in and once out (and back)."""
    if gated:
        return w.layer_bytes + tokens * (4 * w.columns + w.rows)
    return w.layer_bytes + tokens * (2 * w.columns + 8 * w.rows)


def reference(x: Tensor, w: Quantized, layer: int, residual: Tensor, scale: float = 1.0) -> Tensor:
    """What `linear` means, in float32: float32 [M, N]."""
    return residual + x.float() @ w.dequantize(layer).T * scale


def norm_gate_up_reference(x: Tensor, norm: Tensor, w: Quantized, layer: int, eps: float) -> Tensor:
    """What `norm_gate_up` means, in float32: float16 [M, N / 2]."""
    normed = x * (x.square().mean(-1, keepdim=True) + eps).rsqrt() * norm
    gate, up = (normed @ w.dequantize(layer).T).chunk(2, -1)
    return (torch.nn.functional.silu(gate) * up * HIDDEN_SCALE).half()


def linear(x: Tensor, w: Quantized, layer: int, *, residual: Tensor, scale: float = 1.0) -> Tensor:
    """residual += scale * x W^T, of float16 [M, K] and into float32 [M, N]; gives `residual`.

    Runs the Triton kernel on CUDA (nothing is allocated, nothing waits) and the reference elsewhere. Raises
    ValueError for shapes, strides, types and devices that do not fit together.
    """
    _check(x, torch.float16, w, layer)
    check_tensor("residual", residual, torch.float32, (len(x), w.rows), x.device)
    if not runs_on(x.device):
        return residual.copy_(reference(x, w, layer, residual, scale))
    linear_triton.launch(residual, x, None, w, layer, scale=scale)
    return residual


def norm_gate_up(
    x: Tensor,
    norm: Tensor,
    w: Quantized,
    layer: int,
    eps: float,
    *,
    out: Tensor,
    scratch: Tensor | None = None,
) -> Tensor:
    """silu(gate) * up * HIDDEN_SCALE of x / rms(x) * norm, into `out`, float16 [M, N / 2]; gives `out`.

    x is float32 [M, K], norm float32 [K], `w` has the rows of gate, then of up. Where the norm is a kernel of
    its own (`norm_is_apart`), its result goes into `scratch`, float16 [M, K], allocated if not given. Runs
    and raises as `linear`.
    """
    _check(x, torch.float32, w, layer)
    check_tensor("norm", norm, torch.float32, (w.columns,), x.device)
    if w.rows % 2:
        raise ValueError(f"{w.rows} rows: must be those of gate and as many of up")
    check_tensor("out", out, torch.float16, (len(x), w.rows // 2), x.device)
    if scratch is not None:
        check_tensor("scratch", scratch, torch.float16, tuple(x.shape), x.device)
    if not runs_on(x.device):
        return out.copy_(norm_gate_up_reference(x, norm, w, layer, eps))
    if norm_is_apart(len(x), w):
        normed = torch.empty_like(x, dtype=torch.float16) if scratch is None else scratch
        linear_triton.launch(out, rms_norm(x, norm, eps, out=normed), None, w, layer, gated=True)
    else:
        linear_triton.launch(out, x, norm, w, layer, eps=eps, gated=True)
    return out


def norm_is_apart(tokens: int, w: Quantized) -> bool:
    """Whether `norm_gate_up` of so many rows runs the norm as a kernel of its own."""
    tile = linear_triton.choose_tile(tokens, w.rows, w.columns)
    return not (tile.split and tile.tokens == 16)


def _check(x: Tensor, dtype: torch.dtype, w: Quantized, layer: int) -> None:
    if x.dim() != 2 or not len(x):
        raise ValueError(f"x is {tuple(x.shape)}: must be [rows, columns]")
    check_tensor("x", x, dtype, (len(x), w.columns), w.codes.device)
    if not 0 <= layer < w.layers:
        raise ValueError(f"layer {layer}: there are {w.layers}")
