"""Where Triton kernels run: whether a device can run them, and what a launch there needs."""

import contextlib
import functools
import os
import shutil
from typing import Any

import torch
from torch import Tensor

try:
    from triton import knobs
except ImportError:  # triton is optional: without it everything runs in torch
    TRITON, INTERPRETED = False, False
else:
    TRITON, INTERPRETED = True, bool(knobs.runtime.interpret)


@functools.cache
def unsupported_reason(device: torch.device, dtype: torch.dtype) -> str | None:
    """Why no kernel can run there and with that type; None if kernels can."""
    if not TRITON:
        return "triton is not installed: pip install -e '.[gpu]'"
    if INTERPRETED:  # on any device
        # It multiplies the bits of bfloat16 as integers: github.com/triton-lang/triton/issues/11584
        return "Triton's interpreter has no bfloat16" if dtype == torch.bfloat16 else None
    if device.type != "cuda":
        return f"Triton makes no code for {device.type}"
    if torch.cuda.get_device_capability(device) < (8, 0):
        return "it needs a GPU of compute capability 8.0 (Ampere) or later"
    if not (os.environ.get("CC") or shutil.which("gcc") or shutil.which("clang")):
        return "Triton needs a C compiler to start it: install gcc, or set CC"
    return None


def runs_on(device: torch.device) -> bool:
    """Whether kernels with float16 activations run there; else launchers compute their reference."""
    return unsupported_reason(device, torch.float16) is None


def on_device(x: Tensor) -> contextlib.AbstractContextManager[Any]:
    """The context of a launch: the device where x is, whatever it is."""
    return torch.cuda.device(x.device) if x.is_cuda else contextlib.nullcontext()


@functools.cache
def processors(device: torch.device) -> int:
    """Streaming multiprocessors of a GPU; 1 elsewhere."""
    return torch.cuda.get_device_properties(device).multi_processor_count if device.type == "cuda" else 1


def pdl(device: torch.device) -> dict[str, Any]:
    """Options for programmatic dependent launch, which there is from compute capability 9 on."""
    there = device.type == "cuda" and torch.cuda.get_device_capability(device)[0] >= 9
    return {"PDL": there, "launch_pdl": there}
