"""The small-batch GEMMs of a layer, from fragments to fragments (`fragments.py`); and the head.

The kernel that makes a row of activations stores it in the layout that the next product takes, and leaves it
to that one to divide by the root mean square, as RMSNorm does: so no kernel but the first reads a whole row
before it multiplies. A row's result is the same to the bit whatever rows are beside it.

On a GPU from compute capability 9 on, a kernel starts while the one before it still runs, and asks for its
weights at once. So weights, the table of pages, slots, positions and the stream that `add` adds to must not
be what the kernel just before has written; nothing else is read before that has ended.
"""

import torch
from torch import Tensor

from kernels.checks import check_tensor
from kernels.device import TRITON, runs_on
from kernels.formats.fragments import GROUP, SMALL_BATCH, Fragments, check_fragments
from kernels.formats.llama import PagedCache, Rows, Weights
from kernels.formats.quantized import BLOCK, Quantized
from kernels.products.head import keep_best
from kernels.products.qkv import check_qkv, finish
from kernels.sampling.state import SamplingState, check_sampling

if TRITON:
    from kernels.products import small_batch_qkv_triton, small_batch_triton


def bytes_moved(w: Quantized, rows: int, *, gated: bool = False) -> int:
    """The fewest bytes it can move: the matrix, records in and out; of `add`, the stream there and back."""
    read, squares = 2 * w.columns, 4 * w.columns // GROUP
    made = w.rows // 2 * 2 + squares if gated else w.rows * (8 + 2) + 4 * w.rows // GROUP
    return w.layer_bytes + rows * (read + made)


def qkv(x: Fragments, weights: Weights, layer: int, cache: PagedCache, rows: Rows, *, q: Tensor) -> Tensor:
    """As `qkv.qkv`, of a stream stored times this layer's attn_norm; into `q`, which it gives.

    Runs the Triton kernel on CUDA (nothing is allocated, nothing waits) and torch elsewhere. Raises
    ValueError for shapes, strides, types and devices that do not fit together.
    """
    device = _check(x, weights.qkv, layer)
    check_qkv(x.rows, device, weights, layer, cache, rows, q)
    if runs_on(device):
        small_batch_qkv_triton.launch(q, x, weights, layer, cache, rows)
        return q
    return q.copy_(
        finish(_normed(x, weights.qkv, layer, weights.shape.norm_eps), weights, layer, cache, rows)
    )


def add(x: Fragments, w: Quantized, layer: int, *, stream: Tensor, norm: Tensor, out: Fragments) -> Fragments:
    """stream += x W^T, float32 [M, N], and stream * norm, float32 [N], into `out`; gives `out`.

    Runs and raises as `qkv`.
    """
    device = _check(x, w, layer, squares=False)
    check_tensor("stream", stream, torch.float32, (x.rows, w.rows), device)
    check_tensor("norm", norm, torch.float32, (w.rows,), device)
    check_fragments("out", out, x.rows, w.rows, device, squares=True)
    if runs_on(device):
        small_batch_triton.launch_add(stream, out, x, norm, w, layer)
        return out
    stream += x.unpack() @ w.dequantize(layer).T
    return out.fill(stream * norm, stream)


def gate_up(x: Fragments, w: Quantized, layer: int, eps: float, *, out: Fragments) -> Fragments:
    """silu(gate) * up of a stream stored times its norm, into `out` [M, N / 2]; gives `out`.

    `w` has the rows of gate, then of up. Runs and raises as `qkv`.
    """
    device = _check(x, w, layer)
    if w.rows % (2 * BLOCK):
        raise ValueError(f"{w.rows} rows: must be whole blocks of {BLOCK} of gate and as many of up")
    check_fragments("out", out, x.rows, w.rows // 2, device)
    if runs_on(device):
        small_batch_triton.launch_gate_up(out, x, w, layer, eps)
        return out
    gate, up = _normed(x, w, layer, eps).chunk(2, 1)
    hidden = torch.nn.functional.silu(gate) * up
    return out.fill(hidden)


def head(
    x: Fragments,
    w: Quantized,
    eps: float,
    *,
    out: Tensor,
    wanted: Tensor | None = None,
    sampling: SamplingState | None = None,
) -> Tensor:
    """As `head.head`, of a stream stored times the output norm; into `out`, which it gives.

    Runs and raises as `qkv`.
    """
    device = _check(x, w, 0)
    n = x.rows if wanted is None else len(wanted)
    if wanted is not None:
        check_tensor("wanted", wanted, torch.int32, (n,), device)
    check_tensor("out", out, torch.float32, (n, w.rows), device)
    if sampling is not None:
        check_sampling(sampling, out)
    if runs_on(device):
        small_batch_triton.launch_head(out, x, w, eps, wanted, sampling)
        return out
    logits = _normed(x, w, 0, eps)
    out.copy_(logits if wanted is None else logits[wanted.long()])
    if sampling is not None:
        keep_best(out, sampling)
    return out


def _normed(x: Fragments, w: Quantized, layer: int, eps: float) -> Tensor:
    """The product, and what RMSNorm divides by."""
    return x.unpack() @ w.dequantize(layer).T * (x.mean_square() + eps).rsqrt()[:, None]


def _check(x: Fragments, w: Quantized, layer: int, *, squares: bool = True) -> torch.device:
    device = w.codes.device
    if not 1 <= x.rows <= SMALL_BATCH:
        raise ValueError(f"{x.rows} rows: must be 1 to {SMALL_BATCH}")
    if not 0 <= layer < w.layers:
        raise ValueError(f"layer {layer}: there are {w.layers}")
    check_fragments("x", x, x.rows, w.columns, device, squares=squares)
    return device
