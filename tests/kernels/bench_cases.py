"""What tests of the kernels' bench share."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch

from kernels.bench.contenders import Case, Pass
from kernels.bench.models import MODELS, sequences, weights
from kernels.bench.results import Bench, Figure, Result
from kernels.formats.llama import Shape

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Threads that wait for each other on busy cores take longer than the work."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def asked(**rest: object) -> Bench:
    usual = {"models": ("tiny",), "contexts": (20,), "rows": (2,), "prompts": (5,), "frames": (16,)}
    named: dict[str, Any] = usual | {"caches": ("int8",)} | rest
    return Bench(CPU, 1e10, **named)


def results(section: Iterator[Result | Figure]) -> list[Result]:
    """The last of each case, in the order of the first."""
    return list({str(one.case): one for one in section if isinstance(one, Result)}.values())


def made(kind: str, *, context: int, slots: int = 1, new: int = 1, shape: Shape = MODELS["tiny"]) -> Pass:
    w = weights(shape, CPU, context=context + new + 64)
    there = sequences(shape, kind, slots=slots, context=context, new=new, device=CPU)
    return Pass(Case("tiny", kind, context, slots, new), w, there, CPU)
