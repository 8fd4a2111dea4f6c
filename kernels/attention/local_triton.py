"""The Triton kernel of `local.py`: online softmax over the blocks of keys that a window touches."""

# mypy: disable-error-code="no-untyped-def, untyped-decorator"
# ruff: noqa: ANN001, ANN202, N803  (a kernel's arguments are Triton's, and its constants are capitals)

import math

import torch
import triton
import triton.language as tl
from torch import Tensor

from kernels.attention.online_softmax_triton import average, nothing_seen, see
from kernels.device import on_device, processors


@triton.jit
def _tile(x, batch, head, first, rows, columns, stride_b, stride_h, stride_t, UNIT: tl.constexpr):
    """Pointers to `rows` x `columns` from frame `first` on.

    Strides are counted in UNIT elements, so that the compiler knows that it may load as many at once: with
    plain ones a head of 36 was loaded two bytes at a time, from registers that spilled.
    """
    start = (batch * stride_b + head * stride_h + first.to(tl.int64) * stride_t) * UNIT
    return x + start + (rows * (stride_t * UNIT))[:, None] + columns[None, :]


@triton.jit(do_not_specialize=["t_q", "t_k", "left", "right", "offset"])
def _attend(
    out,
    q,
    k,
    v,
    lengths,
    out_b,
    out_h,
    out_t,
    q_b,
    q_h,
    q_t,
    k_b,
    k_h,
    k_t,
    v_b,
    v_h,
    v_t,
    t_q,
    t_k,
    left,
    right,
    offset,
    log2_scale,
    D: tl.constexpr,
    D_PADDED: tl.constexpr,
    UNIT: tl.constexpr,
    BLOCK_M: tl.constexpr,
    BLOCK_N: tl.constexpr,
):
    """One program: BLOCK_M queries of a head. Rows of 36 are loaded into tiles of 64, the rest zeros."""
    batch, head = tl.program_id(2).to(tl.int64), tl.program_id(1).to(tl.int64)
    first = tl.program_id(0) * BLOCK_M
    length = t_k
    if lengths is not None:
        length = tl.minimum(tl.load(lengths + batch), t_k)
    rows, dims, columns = tl.arange(0, BLOCK_M), tl.arange(0, D_PADDED), tl.arange(0, BLOCK_N)
    inside = (first + rows < t_q)[:, None] & (dims < D)[None, :]
    frames = offset + first + rows

    queries = tl.load(_tile(q, batch, head, first, rows, dims, q_b, q_h, q_t, UNIT), mask=inside, other=0.0)

    start = tl.maximum(offset + first - left, 0)
    end = tl.minimum(offset + first + BLOCK_M + right, length)
    end = tl.where(offset + first < length, end, start)  # all of it is past the row's length
    k_tile = _tile(k, batch, head, start, columns, dims, k_b, k_h, k_t, UNIT)
    v_tile = _tile(v, batch, head, start, columns, dims, v_b, v_h, v_t, UNIT)

    peak, total, sums = nothing_seen(BLOCK_M, D_PADDED)
    for block in range(start, end, BLOCK_N):
        frame = block + columns
        real = (frame < end)[:, None] & (dims < D)[None, :]
        keys = tl.load(k_tile, mask=real, other=0.0)
        # tf32x3: float32's error at three products of the tensor cores; half types are not touched by it.
        scores = tl.dot(queries, keys.T, input_precision="tf32x3") * log2_scale
        ahead = frame[None, :] - frames[:, None]
        seen = (ahead >= -left) & (ahead <= right) & (frame < end)[None, :] & (frames < length)[:, None]
        scores = tl.where(seen, scores, float("-inf"))
        values = tl.load(v_tile, mask=real, other=0.0)
        peak, total, sums = see(peak, total, sums, scores, values)
        k_tile += BLOCK_N * (k_t * UNIT)
        v_tile += BLOCK_N * (v_t * UNIT)

    target = _tile(out, batch, head, first, rows, dims, out_b, out_h, out_t, UNIT)
    tl.store(target, average(total, sums).to(out.dtype.element_ty), mask=inside)


def launch(
    out: Tensor,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    left: int,
    right: int,
    lengths: Tensor | None,
    offset: int,
    scale: float,
    tile: tuple[int, int, int, int] | None = None,
) -> None:
    """Write the attention of `q` into `out`; all are as `local_attention` has checked them.

    `tile` is queries a program, keys a step, warps and pipeline stages; by default what `choose_tile` says.
    """
    b, h, t_q, d = q.shape
    block_m, block_n, warps, stages = tile or choose_tile(t_q, b * h, d, q.dtype, processors(q.device))
    strides = [stride for x in (out, q, k, v) for stride in x.stride()[:3]]
    unit = math.gcd(16 // q.element_size(), *strides)
    with on_device(q):
        _attend[triton.cdiv(t_q, block_m), h, b](
            out,
            q,
            k,
            v,
            lengths,
            *(stride // unit for stride in strides),
            t_q,
            k.shape[2],
            left,
            right,
            offset,
            scale * math.log2(math.e),
            D=d,
            D_PADDED=max(16, triton.next_power_of_2(d)),
            UNIT=unit,
            BLOCK_M=block_m,
            BLOCK_N=block_n,
            num_warps=warps,
            num_stages=stages,
        )


def choose_tile(
    t_q: int, heads: int, d: int, dtype: torch.dtype, processors: int
) -> tuple[int, int, int, int]:
    """Queries a program: 64, or fewer if some processor would have no program then.

    32 keys a step: a window of 69 touches 132 keys, 160 with steps of 32 and 192 with steps of 64. Wide
    heads in float32 would fill the shared memory with two stages.
    """
    block_m = next((m for m in (64, 32) if triton.cdiv(t_q, m) * heads >= processors), 16)
    return block_m, 32, 4, 1 if dtype == torch.float32 and d > 64 else 2
