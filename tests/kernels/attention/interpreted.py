"""Runs the Triton kernel in its interpreter: `interpreted.py IN OUT`, in a process of its own.

Triton decides at its first import whether it interprets, and other tests import it too.
"""

import sys
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from kernels.attention.local import local_attention
from kernels.attention.local_triton import launch


def poisoned(case: dict[str, Any]) -> Tensor:
    """The kernel's result, written over NaN."""
    q = case["q"]
    out = torch.full(q.shape, torch.nan, dtype=q.dtype)
    window, lengths, offset = case["window"], case["lengths"], case["offset"]
    launch(out, q, case["k"], case["v"], *window, lengths, offset, case["scale"], case["tile"])
    return out


def gradients(case: dict[str, Any]) -> list[Tensor]:
    """What the launcher gives, and the gradients through it."""
    inputs = [case[name].requires_grad_() for name in "qkv"]
    named = {"lengths": case["lengths"], "offset": case["offset"]}
    out = local_attention(*inputs, *case["window"], **named, implementation="triton")
    return [out.detach(), *torch.autograd.grad(out, inputs, case["grad"])]


def main(source: Path, target: Path) -> None:
    torch.set_num_threads(1)
    given = torch.load(source)
    results = {
        "outputs": [poisoned(case) for case in given["cases"]],
        "gradients": gradients(given["gradients"]),
    }
    torch.save(results, target)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
