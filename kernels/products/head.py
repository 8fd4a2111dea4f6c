"""The head of a language model: RMSNorm, the product with a vocabulary, and what a sampling needs of it.

Up to ALIKE rows, a row's logits are the same to the bit whatever rows are beside it.
"""

import torch
from torch import Tensor

from kernels.checks import check_tensor
from kernels.device import TRITON, runs_on
from kernels.formats.quantized import Quantized
from kernels.products.rms_norm import rms_norm
from kernels.sampling.sample import penalize
from kernels.sampling.state import TILE, SamplingState, check_sampling

if TRITON:
    from kernels.products import head_triton


ALIKE = 16
"""Up to as many rows, a row's result is the same to the bit whatever rows are beside it."""


def bytes_moved(w: Quantized, n: int) -> int:
    """The fewest bytes it can move: the matrix, n rows in float32, their logits, and the norm's weights."""
    return w.layer_bytes + 4 * (n * w.columns + n * w.rows + w.columns)


def reference(x: Tensor, norm: Tensor, w: Quantized, eps: float, wanted: Tensor | None = None) -> Tensor:
    """What is meant, in float32: logits [n, V]."""
    rows = x if wanted is None else x[wanted.long()]
    return (rows * (rows.square().mean(-1, keepdim=True) + eps).rsqrt() * norm) @ w.dequantize(0).T


def head(
    x: Tensor,
    norm: Tensor,
    w: Quantized,
    eps: float,
    *,
    out: Tensor,
    wanted: Tensor | None = None,
    sampling: SamplingState | None = None,
    scratch: Tensor | None = None,
) -> Tensor:
    """Logits of x [M, K] by norm [K] and w [1, V, K] into `out` [n, V], float32 all but w; gives `out`.

    `wanted`, int32 [n] and read on the device, names the rows of x; without it all are. With `sampling`, the
    largest of each tile after the penalty go where `sample` looks for them. Of more than ALIKE rows the norm
    is a kernel of its own; its result goes into `scratch`, float16 [M, K], allocated if not given. Runs the
    Triton kernel on CUDA (else nothing is allocated, and nothing waits) and the reference elsewhere. Raises
    ValueError for shapes, strides, types and devices that do not fit together.
    """
    _check(x, norm, w, out, wanted, sampling, scratch)
    if not runs_on(x.device):
        out.copy_(reference(x, norm, w, eps, wanted))
        if sampling is not None:
            keep_best(out, sampling)
    elif len(out) <= ALIKE:
        head_triton.launch(out, x, norm, w, eps, wanted, sampling)
    else:
        normed = torch.empty_like(x, dtype=torch.float16) if scratch is None else scratch
        head_triton.launch(out, rms_norm(x, norm, eps, out=normed), None, w, eps, wanted, sampling)
    return out


def keep_best(logits: Tensor, sampling: SamplingState) -> None:
    """The largest logit of each tile, after the penalty, and the first token that has it."""
    n, vocabulary = logits.shape
    padded = torch.nn.functional.pad(penalize(logits, sampling), (0, -vocabulary % TILE), value=-torch.inf)
    tiles = padded.reshape(n, -1, TILE)
    first = (tiles == tiles.amax(2, keepdim=True)).int().argmax(2)
    sampling.best[:n] = tiles.amax(2)
    sampling.best_tokens[:n] = first.int() + torch.arange(0, vocabulary, TILE, device=logits.device)


def _check(
    x: Tensor,
    norm: Tensor,
    w: Quantized,
    out: Tensor,
    wanted: Tensor | None,
    sampling: SamplingState | None,
    scratch: Tensor | None,
) -> None:
    if x.dim() != 2 or 0 in x.shape:
        raise ValueError(f"x is {tuple(x.shape)}: must be [rows, columns]")
    if w.layers != 1:
        raise ValueError(f"the head has {w.layers} matrices: must be 1")
    m, device = len(x), w.codes.device
    check_tensor("x", x, torch.float32, (m, w.columns), device)
    check_tensor("norm", norm, torch.float32, (w.columns,), device)
    if wanted is not None:
        if wanted.dim() != 1 or not len(wanted):
            raise ValueError(f"wanted is {tuple(wanted.shape)}: must be [n], 1 or more")
        check_tensor("wanted", wanted, torch.int32, (len(wanted),), device)
    check_tensor("out", out, torch.float32, (m if wanted is None else len(wanted), w.rows), device)
    if scratch is not None:
        check_tensor("scratch", scratch, torch.float16, (m, w.columns), device)
    if sampling is not None:
        check_sampling(sampling, out)
