"""Medians of a call's time: on a GPU inside a CUDA graph, on a CPU by the clock."""

import statistics
import time
from collections.abc import Callable, Sequence

import torch

BUDGET_MS = 40.0
"""Milliseconds of all repetitions of one measurement on a GPU."""


def in_turn(calls: Sequence[Callable[[], object]], device: torch.device) -> float:
    """The median time of one of `calls`, run one after another; on a GPU, in one CUDA graph of them all.

    Calls on enough different data find it in memory, as a pass through all layers of a model does, not in
    the cache.
    """
    for call in calls[:2]:
        call()
    if device.type != "cuda":
        return _median_us(lambda: [call() for call in calls], 5) / len(calls)
    graph = torch.cuda.CUDAGraph()
    stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        calls[0]()
        with torch.cuda.graph(graph, stream=stream):
            for call in calls:
                call()
        graph.replay()
        rounds = _rounds(_elapsed_ms(graph.replay))
        took = [_elapsed_ms(graph.replay) for _ in range(rounds)]
    return 1e3 * statistics.median(took) / len(calls)


def in_a_loop(
    step: Callable[[], object],
    device: torch.device,
    *,
    most: int = 20,
    prepare: Callable[[], object] = lambda: None,
) -> float:
    """The median time of one of up to `most` calls in a row by the clock, launches from Python and all.

    `prepare` is called, and not timed, before each row of calls.
    """

    def loop(steps: int) -> float:
        prepare()
        _wait(device)
        start = time.perf_counter_ns()
        for _ in range(steps):
            step()
        _wait(device)
        return (time.perf_counter_ns() - start) / 1e3 / steps

    loop(1)
    steps = min(max(1, int(1e3 * BUDGET_MS / loop(1))), most)
    return statistics.median(loop(steps) for _ in range(5))


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _rounds(one_ms: float) -> int:
    return min(max(5, int(BUDGET_MS / max(one_ms, 0.01))), 200)


def _elapsed_ms(call: Callable[[], object]) -> float:
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
    start.record()
    call()
    end.record()
    end.synchronize()
    return float(start.elapsed_time(end))


def _median_us(call: Callable[[], object], rounds: int) -> float:
    call()
    took = []
    for _ in range(rounds):
        start = time.perf_counter_ns()
        call()
        took.append(time.perf_counter_ns() - start)
    return statistics.median(took) / 1e3
