"""Whether two results are the same to the bit, where that can be said."""

import os

import torch
from torch import Tensor


def alike(found: Tensor, meant: Tensor) -> bool:
    """The same to the bit on a GPU; in the interpreter nearly, where products are numpy's.

    How numpy adds up a product depends on the processor and on how many rows there are.
    """
    if os.environ.get("TRITON_INTERPRET") != "1":
        return torch.equal(found, meant)
    close = 2e-3 if found.dtype == torch.float16 else 1e-5
    return torch.allclose(found.float(), meant.float(), rtol=close, atol=close)
