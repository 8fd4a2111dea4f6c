"""These tests run Triton kernels: on a GPU, or, with TRITON_INTERPRET=1, in Triton's interpreter.

Triton decides at its first import, so `tests/kernels/test_interpreted.py` runs them in a process of its own.
"""

import os
from typing import Any

import pytest
import torch

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"

if not INTERPRETED and not torch.cuda.is_available():
    collect_ignore_glob = ["test_*.py"]


if INTERPRETED:
    from triton.runtime import interpreter

    def _dot(_: Any, a: Any, b: Any, d: Any, *_options: object) -> Any:  # noqa: ANN401  (Triton's)
        """A product that adds up each element in the same order, whatever is beside it, as a GPU's does.

        The interpreter's own is numpy's, whose order depends on the processor and on how many rows there are.
        """
        total, left, right = d.data, a.data.astype(d.data.dtype), b.data.astype(d.data.dtype)
        for k in range(left.shape[-1]):
            total = total + left[..., k, None] * right[..., k, None, :]
        return interpreter.TensorHandle(total, d.dtype.scalar)

    interpreter.InterpreterBuilder.create_dot = _dot


@pytest.fixture
def device() -> torch.device:
    """Where the kernels run."""
    return torch.device("cpu" if INTERPRETED else "cuda")
