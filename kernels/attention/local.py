"""Attention in a sliding window: the bytes it moves, a reference, blocks in torch, and the checked launcher.

A query that is frame i sees the keys of frames i - left to i + right, as far as they exist; q is
[B, H, T_q, D], k and v are [B, H, T_k, D], and the queries are the frames offset .. offset + T_q - 1 of the
T_k keys. `lengths`, int32 [B], says how many frames of each row are real: whatever lies past them, NaN
too, changes nothing, and their rows of the result are zero. Rotary embedding is the caller's.
"""

import functools
import math
import warnings
from typing import Any, Literal

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from kernels.checks import check_tensor
from kernels.device import TRITON, unsupported_reason

if TRITON:
    from kernels.attention import local_triton

MAX_HEAD = 128
DTYPES = (torch.float32, torch.float16, torch.bfloat16)


def bytes_moved(q: Tensor, k: Tensor) -> int:
    """The fewest bytes it can move: q, k and v read once, the result written once."""
    return 2 * (q.numel() + k.numel()) * q.element_size()


def visible(
    t_q: int, t_k: int, left: int, right: int, offset: int = 0, device: torch.device | None = None
) -> Tensor:
    """What a query sees, as a mask: bool [T_q, T_k]."""
    ahead = torch.arange(t_k, device=device) - torch.arange(offset, offset + t_q, device=device)[:, None]
    return (ahead >= -left) & (ahead <= right)


def reference(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    left: int,
    right: int,
    *,
    lengths: Tensor | None = None,
    offset: int = 0,
    scale: float | None = None,
) -> Tensor:
    """What is meant, with a mask of [T_q, T_k], in float32 or, for float64, in that."""
    work = torch.promote_types(q.dtype, torch.float32)
    queries = _cleared(q, lengths, offset).to(work) * (scale or q.shape[-1] ** -0.5)
    scores = queries @ _cleared(k, lengths).to(work).mT
    seen = visible(q.shape[2], k.shape[2], left, right, offset, q.device)
    if lengths is not None:
        seen = seen & (torch.arange(k.shape[2], device=q.device) < lengths[:, None, None, None])
    # The least number, not -inf: a row past the length sees nothing, and its gradient would be NaN.
    weights = scores.masked_fill(~seen, torch.finfo(work).min).softmax(-1)
    return _cleared((weights @ _cleared(v, lengths).to(work)).to(q.dtype), lengths, offset)


def blocked(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    left: int,
    right: int,
    *,
    lengths: Tensor | None = None,
    offset: int = 0,
    scale: float | None = None,
) -> Tensor:
    """The same by blocks of queries, each with a copy of the keys it can see: O(T * window) of memory."""
    b, h, t_q, d = q.shape
    if 0 in (b, h, t_q):
        return _result_like(q)
    left, right = min(left, offset + t_q - 1), min(right, k.shape[2])
    size = _block_size(left + right + 1, t_q)
    count = -(-t_q // size)
    # Torch's fused attention wants a head of a multiple of 8; zeros change neither the scores nor the rest.
    wider = -d % 8
    queries = functional.pad(_cleared(q, lengths, offset), (0, wider, 0, count * size - t_q))
    queries = queries.reshape(b, h, count, size, d + wider).transpose(1, 2).flatten(0, 1)
    span = left + size + right
    edges = (
        0,
        wider,
        left - offset,
        offset + count * size + right - k.shape[2],
    )  # what is negative is cut off
    keys, values = (
        functional.pad(_cleared(x, lengths), edges)
        .unfold(2, span, size)  # [B, H, count, D, span]
        .permute(0, 2, 1, 4, 3)
        .flatten(0, 1)  # [B * count, H, span, D]
        for x in (k, v)
    )
    out = functional.scaled_dot_product_attention(
        queries,
        keys,
        values,
        attn_mask=_block_mask(b, count, size, left, right, k.shape[2], offset, lengths, q.device),
        scale=scale or d**-0.5,
    )
    # [B * count, H, size, D] -> [B, count * size, H, D]
    out = out.reshape(b, count, h, size, d + wider).transpose(2, 3).flatten(1, 2)
    return _cleared(out[:, :t_q, :, :d].transpose(1, 2), lengths, offset)


def local_attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    left: int,
    right: int,
    *,
    lengths: Tensor | None = None,
    offset: int = 0,
    scale: float | None = None,
    implementation: Literal["triton", "blocked"] | None = None,
) -> Tensor:
    """Attention in a window of `left` and `right` frames, [B, H, T_q, D]; `scale` is D ** -0.5 by default.

    Runs the Triton kernel on CUDA and `blocked` elsewhere, unless one is asked for; where the kernel cannot
    run, `blocked` does, after a RuntimeWarning. Both are differentiable. Raises ValueError for shapes,
    strides, types and devices that do not fit together.
    """
    _check(q, k, v, left, right, lengths, offset, scale)
    left, right = min(left, k.shape[2]), min(right, k.shape[2])
    if q.numel() and _kernel_runs(q, implementation):
        out: Tensor = _Kernel.apply(q, k, v, lengths, left, right, offset, scale)  # type: ignore[no-untyped-call]
        return out
    return blocked(q, k, v, left, right, lengths=lengths, offset=offset, scale=scale)


class _Kernel(torch.autograd.Function):
    """The Triton kernel; its gradient is that of `blocked`, recomputed, so only the inputs are kept."""

    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401
        q: Tensor,
        k: Tensor,
        v: Tensor,
        lengths: Tensor | None,
        left: int,
        right: int,
        offset: int,
        scale: float | None,
    ) -> Tensor:
        ctx.save_for_backward(q, k, v, lengths)
        ctx.window = left, right, offset, scale
        out = _result_like(q)
        local_triton.launch(out, q, k, v, left, right, lengths, offset, scale or q.shape[-1] ** -0.5)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        *saved, lengths = ctx.saved_tensors
        left, right, offset, scale = ctx.window
        with torch.enable_grad():
            q, k, v = (x.detach().requires_grad_() for x in saved)
            out = blocked(q, k, v, left, right, lengths=lengths, offset=offset, scale=scale)
        return *torch.autograd.grad(out, (q, k, v), grad), None, None, None, None, None


def _result_like(q: Tensor) -> Tensor:
    """Room for the result, laid out as [B, T, H, D], so that joining the heads is a view."""
    return torch.empty_like(q.transpose(1, 2), memory_format=torch.contiguous_format).transpose(1, 2)


def _cleared(x: Tensor, lengths: Tensor | None, offset: int = 0) -> Tensor:
    """`x` with zeros at and past each row's length; its first frame is `offset`."""
    if lengths is None:
        return x
    past = torch.arange(offset, offset + x.shape[2], device=x.device) >= lengths[:, None]
    return x.masked_fill(past[:, None, :, None], 0)


def _block_size(window: int, t_q: int) -> int:
    """Queries a block: about the window, so that twice as much is copied and multiplied as is needed."""
    size: int = 1 << (window.bit_length() - 1)
    return min(max(16, min(size, 128)), t_q)


def _block_mask(
    b: int,
    count: int,
    size: int,
    left: int,
    right: int,
    t_k: int,
    offset: int,
    lengths: Tensor | None,
    device: torch.device,
) -> Tensor:
    """Bool [B * count, 1, size, left + size + right]: what each query of a block sees of its block's keys."""
    span = left + size + right
    band = visible(size, span, left, right, left, device)
    first = torch.arange(offset - left, offset - left + count * size, size, device=device)
    frames = first[:, None] + torch.arange(span, device=device)  # [count, span]
    real = (frames >= 0) & (frames < t_k)
    real = real.expand(b, count, span) if lengths is None else real & (frames < lengths[:, None, None])
    # A query past the end sees its whole band, zeros: a row that sees nothing would be NaN.
    past = ~real[:, :, left : left + size, None]
    return (band & (real[:, :, None] | past)).flatten(0, 1)[:, None]


def _kernel_runs(q: Tensor, implementation: str | None) -> bool:
    if implementation == "blocked" or (implementation is None and not q.is_cuda):
        return False
    reason = unsupported_reason(q.device, q.dtype)
    if reason is not None:
        _warn_once(reason)
    return reason is None


@functools.cache
def _warn_once(reason: str) -> None:
    message = f"local attention runs in torch, without its kernel: {reason}"
    warnings.warn(message, RuntimeWarning, stacklevel=4)


def _check(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    left: int,
    right: int,
    lengths: Tensor | None,
    offset: int,
    scale: float | None,
) -> None:
    for name, x in (("q", q), ("k", k), ("v", v)):
        _check_tensor(name, x, q)
    if k.shape != v.shape or k.shape[:2] != q.shape[:2] or k.shape[3] != q.shape[3]:
        shapes = ", ".join(str(tuple(x.shape)) for x in (q, k, v))
        raise ValueError(f"q, k, v are {shapes}: k and v must be alike, and differ from q in frames only")
    if left < 0 or right < 0:
        raise ValueError(f"window ({left}, {right}): both must be 0 or more; a frame always sees itself")
    if not 0 <= offset <= k.shape[2] - q.shape[2]:
        last = f"{q.shape[2]} queries from frame {offset} on, and keys of {k.shape[2]} frames"
        raise ValueError(f"{last}: each query must be one of them; give its own key and all before it")
    if scale is not None and not (math.isfinite(scale) and scale > 0):
        raise ValueError(f"scale {scale}: must be above 0; leave it out for D ** -0.5")
    if lengths is not None:
        check_tensor("lengths", lengths, torch.int32, (q.shape[0],), q.device)


def _check_tensor(name: str, x: Tensor, q: Tensor) -> None:
    if x.dim() != 4:
        raise ValueError(f"{name} is {tuple(x.shape)}: must be [batch, heads, frames, head dim]")
    if x.dtype not in DTYPES or x.dtype != q.dtype:
        names = ", ".join(str(dtype).removeprefix("torch.") for dtype in DTYPES)
        raise ValueError(f"{name} is {x.dtype} and q {q.dtype}: convert all three to one of {names}")
    if x.device != q.device:
        raise ValueError(f"{name} is on {x.device} and q on {q.device}: move them to one device")
    if not 1 <= x.shape[3] <= MAX_HEAD:
        raise ValueError(f"{name} has a head of {x.shape[3]}: must be 1 to {MAX_HEAD}")
    if x.numel() and x.shape[3] > 1 and x.stride(3) != 1:
        raise ValueError(f"{name} has strides {x.stride()}: the last must be 1; call .contiguous()")
