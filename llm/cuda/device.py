"""Whether this process can run a model on a GPU, found out without torch where there is none."""

import importlib.util
import os
import shutil
import warnings
from functools import cache
from pathlib import Path
from typing import Literal

Device = Literal["auto", "cpu", "cuda"]
"""auto: the GPU where it can be used, else the CPU."""

CAPABILITY = (8, 0)  # of the kernels' tensor-core products and atomics, as Triton supports them
_INSTALL = "pip install -e '.[gpu]'"


def has_driver() -> bool:
    """Whether there is an NVIDIA driver, as far as files tell."""
    there = any(Path(path).exists() for path in ("/proc/driver/nvidia/version", "/dev/nvidiactl"))
    return there or shutil.which("nvidia-smi") is not None


@cache
def unsupported_reason() -> str | None:
    """Why no model can run on a GPU here; None if one can, unless it is too large or no kernel takes it.

    torch, whose import takes a second, is imported only where there are a driver, torch and Triton.
    """
    if not has_driver():
        return "there is no NVIDIA driver"
    for name in ("torch", "triton"):
        if importlib.util.find_spec(name) is None:
            return f"{name} is not installed: {_INSTALL}"
    if not (os.environ.get("CC") or shutil.which("gcc") or shutil.which("clang")):
        return "Triton needs a C compiler to start its kernels: install gcc, or set CC"
    return _unsupported_by_torch()


def _unsupported_by_torch() -> str | None:
    try:
        import torch  # noqa: PLC0415  # optional, and slow to import
    except (ImportError, OSError) as error:
        return f"torch cannot be imported: {' '.join(str(error).split())}"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a driver that is too old; the outcome says it
        if not torch.cuda.is_available():
            return "torch sees no GPU that it can use: is it built for the driver's CUDA?"
    found = torch.cuda.get_device_capability()
    if found < CAPABILITY:
        needed = f"{CAPABILITY[0]}.{CAPABILITY[1]}"
        return f"the GPU has compute capability {found[0]}.{found[1]}, and the kernels need {needed}"
    return None
