"""The local-attention kernel on a GPU: each type, and each tile and head that the launcher may choose."""

import itertools

import pytest
import torch

from kernels.attention.local import reference
from kernels.device import INTERPRETED

pytestmark = pytest.mark.skipif(INTERPRETED or not torch.cuda.is_available(), reason="it needs a GPU")

LIMITS = {torch.float32: 2e-5, torch.float16: 2e-3, torch.bfloat16: 1.5e-2}
"""Relative error; plain tf32, with about 3e-4, would not pass as float32."""

SIZES = ((1, 0), (5, 3), (65, 64), (130, 7), (1000, 200))  # queries, and keys before them
WINDOWS = ((0, 0), (64, 4), (256, 16))


@pytest.mark.parametrize("dtype", LIMITS)
@pytest.mark.parametrize(("d", "block"), [(36, 16), (36, 32), (36, 64), (128, 64)])
def test_odd_sizes_over_nan(dtype: torch.dtype, d: int, block: int) -> None:
    """Rows are of unequal length, with NaN past their ends."""
    from kernels.attention import local_triton  # noqa: PLC0415  (Triton is optional)

    for (t, before), window in itertools.product(SIZES, WINDOWS):
        lengths = torch.tensor([before + t, before + (t + 1) // 2], dtype=torch.int32, device="cuda")
        joint = torch.randn(2, before + t, 3, 2, d, device="cuda").to(dtype)
        joint[1, int(lengths[1]) :] = torch.nan
        q, k, v = joint.permute(2, 0, 3, 1, 4)
        q = q[:, :, before:]
        out = torch.full_like(q, torch.nan)
        _, *rest = local_triton.choose_tile(t, 2, d, dtype, 1)
        left, right = (min(size, before + t) for size in window)
        tile = (block, rest[0], rest[1], rest[2])
        local_triton.launch(out, q, k, v, left, right, lengths, before, d**-0.5, tile)
        exact = reference(q.double(), k.double(), v.double(), left, right, lengths=lengths, offset=before)
        assert (out.double() - exact).norm() < LIMITS[dtype] * exact.norm(), (t, before, window)
