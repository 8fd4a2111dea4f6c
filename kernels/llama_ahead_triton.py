"""The Triton kernel of `llama_ahead.py`: what one step hands to the next."""

# ruff: noqa: ANN001, ANN202  (a kernel's arguments are Triton's)

import contextlib

import torch
import triton
import triton.language as tl
from torch import Tensor


@triton.jit
def _advance(choice, token, position, chosen, step):  # type: ignore[no-untyped-def]
    """After a broken step all are."""
    following = tl.where(tl.load(token) < 0, -1, tl.load(choice))
    number = tl.load(step)
    tl.store(chosen + number, following)
    tl.store(token, following)
    tl.store(position, tl.load(position) + 1)
    tl.store(step, number + 1)


def advance(choice: Tensor, token: Tensor, position: Tensor, chosen: Tensor, step: Tensor) -> None:
    """Keep a choice as number `step` of those `chosen`, and as the token of the next position; int32 [1]."""
    with torch.cuda.device(token.device) if token.is_cuda else contextlib.nullcontext():
        _advance[(1,)](choice, token, position, chosen, step, num_warps=1)
