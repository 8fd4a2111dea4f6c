"""What this machine costs before any kernel does: bytes of memory and launches."""

from collections.abc import Iterator

import torch

from kernels.bench.results import Bench, Figure
from kernels.bench.timing import in_a_loop, in_turn


def bandwidth_section(bench: Bench) -> Iterator[Figure]:
    """The memory's speed, copying and reading alone; shares are given of the larger."""
    yield Figure("memory, the faster of copying and reading", bench.speed / 1e9, "GB/s")
    yield Figure("memory, copying (read and written)", copying(bench.device) / 1e9, "GB/s")
    yield Figure("memory, reading", reading(bench.device) / 1e9, "GB/s")


def bandwidth(device: torch.device) -> float:
    """Bytes a second that the device's memory moves: the faster of a large copy and a large sum."""
    return max(copying(device), reading(device))


def copying(device: torch.device) -> float:
    """Bytes a second of a large copy, read and written both counted."""
    source = _large(device)
    target = torch.empty_like(source)
    return 2e6 * source.nbytes / in_turn([lambda: target.copy_(source)], device)


def reading(device: torch.device) -> float:
    """Bytes a second that a large sum reads; a decode step reads, and writes next to nothing."""
    source = _large(device)
    return 1e6 * source.nbytes / in_turn([source.sum], device)


def launch_section(bench: Bench) -> Iterator[Figure]:
    """A node of a CUDA graph, and a launch from Python, of an operation that does next to nothing."""
    if bench.device.type != "cuda":
        return
    x = torch.zeros(1, dtype=torch.int32, device=bench.device)
    yield Figure("a node of a CUDA graph", in_turn([lambda: x.add_(1)] * 1000, bench.device), "us")
    launch = in_a_loop(lambda: x.add_(1), bench.device, most=200)
    yield Figure("a launch of a torch operation", launch, "us")


def _large(device: torch.device) -> torch.Tensor:
    """1 GiB on a GPU, far above its cache; 64 MiB elsewhere."""
    return torch.ones(1 << (28 if device.type == "cuda" else 24), device=device)
