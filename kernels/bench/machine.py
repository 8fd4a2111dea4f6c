"""What this machine costs before any kernel does: bytes of memory, launches, barriers between programs."""

from collections.abc import Iterator

import torch

from kernels.bench.results import Bench, Figure
from kernels.bench.timing import in_a_loop, in_turn, microseconds

BARRIERS = 2000


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
    return 2e6 * source.nbytes / microseconds(lambda: target.copy_(source), device)


def reading(device: torch.device) -> float:
    """Bytes a second that a large sum reads; a decode step reads, and writes next to nothing."""
    source = _large(device)
    return 1e6 * source.nbytes / microseconds(source.sum, device)


def launch_section(bench: Bench) -> Iterator[Figure]:
    """A node of a CUDA graph, a launch from Python, and a barrier of all programs of a cooperative kernel."""
    if bench.device.type != "cuda":
        return
    from kernels.bench.machine_triton import touch  # noqa: PLC0415  (Triton is optional)

    x = torch.zeros(1, dtype=torch.int32, device=bench.device)
    yield Figure("a node of a CUDA graph", in_turn([lambda: touch[(1,)](x)] * 1000, bench.device), "us")
    for name, call in (("a Triton kernel", lambda: touch[(1,)](x)), ("a torch operation", lambda: x.add_(1))):
        yield Figure(f"a launch of {name}", in_a_loop(call, bench.device, most=200), "us")
    processors = torch.cuda.get_device_properties(bench.device).multi_processor_count
    for programs in (16, processors // 2, processors):
        yield Figure(f"a barrier of {programs} programs", barrier_us(programs, bench.device), "us")


def barrier_us(programs: int, device: torch.device) -> float:
    """A barrier inside one kernel: what a launch with many takes longer than one without."""
    from kernels.bench.machine_triton import barriers  # noqa: PLC0415  (Triton is optional)

    counter = torch.zeros(1, dtype=torch.int32, device=device)

    def wait(count: int) -> float:
        counter.zero_()
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
        start.record()
        barriers[(programs,)](counter, count, PROGRAMS=programs, launch_cooperative_grid=True)
        end.record()
        end.synchronize()
        return 1e3 * float(start.elapsed_time(end))

    wait(BARRIERS)
    none, many = (min(wait(count) for _ in range(5)) for count in (0, BARRIERS))
    return (many - none) / BARRIERS


def _large(device: torch.device) -> torch.Tensor:
    """1 GiB on a GPU, far above its cache; 64 MiB elsewhere."""
    return torch.ones(1 << (28 if device.type == "cuda" else 24), device=device)
