"""These tests run Triton kernels: on a GPU, or, with TRITON_INTERPRET=1, in Triton's interpreter.

Triton decides at its first import, so `tests/kernels/test_interpreted.py` runs them in a process of its own.
"""

import os

import pytest
import torch

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"

if INTERPRETED:
    import interpreted_gpu

    interpreted_gpu.install()
elif not torch.cuda.is_available():
    collect_ignore_glob = ["test_*.py"]


@pytest.fixture
def device() -> torch.device:
    """Where the kernels run."""
    return torch.device("cpu" if INTERPRETED else "cuda")
