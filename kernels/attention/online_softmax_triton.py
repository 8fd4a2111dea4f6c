"""The step that attention kernels share: one tile of scores and values added to a running softmax."""

# mypy: disable-error-code="no-untyped-def, untyped-decorator"
# ruff: noqa: ANN001, ANN201, N803  (a kernel's arguments are Triton's, and its constants are capitals)

import triton
import triton.language as tl


@triton.jit
def nothing_seen(ROWS: tl.constexpr, DIMS: tl.constexpr):
    """The state before the first tile: of each row its peak and total, [ROWS], and its sums [ROWS, DIMS]."""
    # Not -inf: a row that has seen no key yet would be -inf - -inf.
    peak = tl.full([ROWS], -1e30, tl.float32)
    return peak, tl.zeros([ROWS], tl.float32), tl.zeros([ROWS, DIMS], tl.float32)


@triton.jit
def see(peak, total, sums, scores, values):
    """The state after a tile: scores [ROWS, N] in powers of two, -inf where unseen, and values [N, DIMS].

    Milakov and Gimelshein 2018. The weights are rounded to the type of `values` for the product.
    """
    new_peak = tl.maximum(peak, tl.max(scores, 1))
    shrink = tl.exp2(peak - new_peak)
    weights = tl.exp2(scores - new_peak[:, None])
    total = total * shrink + tl.sum(weights, 1)
    # tf32x3: float32's error at three products of the tensor cores; half types are not touched by it.
    sums = tl.dot(weights.to(values.dtype), values, sums * shrink[:, None], input_precision="tf32x3")
    return new_peak, total, sums


@triton.jit
def average(total, sums):
    """What was seen, averaged by weight [ROWS, DIMS]; zeros for a row that has seen nothing."""
    return sums / tl.where(total == 0.0, 1.0, total)[:, None]
