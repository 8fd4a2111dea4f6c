"""Medians of a call's time: on a GPU inside a CUDA graph, on a CPU by the clock."""

import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor

LONG_MS = 2.0
"""A call longer than this hides the cost of its launch, and a graph of many would hold much memory."""


def microseconds(call: Callable[[], object], device: torch.device, *, graph: bool = True) -> float:
    """The median time of `call`, after a warm-up; with `graph`, a short one on a GPU without its launch."""
    return _on_gpu(call, graph) if device.type == "cuda" else _on_cpu(call)


def bandwidth(device: torch.device) -> float:
    """Bytes a second that a large copy moves on the device, read and written both counted."""
    source = torch.randn(1 << 28, device=device)  # 1 GiB: far above the L2 cache
    target = torch.empty_like(source)
    return 2e6 * source.numel() * source.element_size() / microseconds(lambda: target.copy_(source), device)


def relative_error(out: Tensor, right: Tensor) -> float:
    """Of the whole tensor, in float64; NaN if any element is."""
    return float((out.double() - right.double()).norm() / right.double().norm())


def _on_gpu(call: Callable[[], object], graph: bool) -> float:
    from triton.testing import do_bench, do_bench_cudagraph  # noqa: PLC0415  (optional: a CPU has none)

    call()
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
    start.record()
    call()
    end.record()
    torch.cuda.synchronize()
    short = start.elapsed_time(end) <= LONG_MS
    bench = do_bench_cudagraph if graph and short else do_bench
    median = bench(call, return_mode="median")
    return 1e3 * float(median)


def _on_cpu(call: Callable[[], object], rounds: int = 7) -> float:
    call()
    took = []
    for _ in range(rounds):
        start = time.perf_counter_ns()
        call()
        took.append(time.perf_counter_ns() - start)
    return statistics.median(took) / 1e3
