"""The kernel on this GPU at odd sizes, over results filled with NaN, before anything is timed."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import torch

from kernels.attention.local import reference
from kernels.bench.local import LIMITS
from kernels.bench.results import relative_error


@dataclass(frozen=True)
class Check:
    """One size, and how far from the reference in float64 the kernel is there."""

    name: str
    error: float
    limit: float

    @property
    def passed(self) -> bool:
        """Whether the error is a number and small enough."""
        return self.error < self.limit


SIZES = ((1, 0), (5, 3), (65, 64), (130, 7), (1000, 200))
"""Queries, and keys before them."""

WINDOWS = ((0, 0), (64, 4), (256, 16))


def check(device: torch.device, *, full: bool = True) -> Iterator[Check]:
    """Every type, tile and head that the launcher may choose; rows of unequal length, NaN past their end.

    Unless `full`, float16 and two tiles alone: each is a kernel to compile.
    """
    tiles = ((36, 16), (36, 32), (36, 64), (128, 64)) if full else ((36, 16), (36, 64))
    for dtype, (t, before), window in itertools.product(LIMITS, SIZES, WINDOWS):
        if not full and dtype != torch.float16:
            continue
        for d, block in tiles:
            name = f"{str(dtype)[6:]} T {t} offset {before} window {window} D {d} BLOCK_M {block}"
            yield Check(name, _error(t, before, window, dtype, d, block, device), LIMITS[dtype])


def _error(
    t: int,
    before: int,
    window: tuple[int, int],
    dtype: torch.dtype,
    d: int,
    block: int,
    device: torch.device,
) -> float:
    from kernels.attention import local_triton as local_attention_triton  # noqa: PLC0415  (Triton is optional)

    lengths = torch.tensor([before + t, before + (t + 1) // 2], dtype=torch.int32, device=device)
    joint = torch.randn(2, before + t, 3, 2, d, device=device).to(dtype)
    joint[1, int(lengths[1]) :] = torch.nan
    q, k, v = joint.permute(2, 0, 3, 1, 4)
    q = q[:, :, before:]
    out = torch.full_like(q, torch.nan)
    _, *rest = local_attention_triton.choose_tile(t, 2, d, dtype, 1)
    tile = block, rest[0], rest[1], rest[2]
    left, right = (min(size, before + t) for size in window)
    local_attention_triton.launch(out, q, k, v, left, right, lengths, before, d**-0.5, tile)
    expected = reference(
        q.double(), k.double(), v.double(), left, right, lengths=lengths, offset=before, scale=d**-0.5
    )
    return relative_error(out, expected)
