"""What ran: which kernel served each operation of a model's passes."""

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

FormT = TypeVar("FormT", bound=Hashable)


@dataclass(frozen=True)
class Operation:
    """An operation of a pass, and what computes it.

    `shape` is of one call, rows first, with a bound where passes differ: "[<=16, 576] x [960, 576]". `dtype`
    is of what is multiplied: "float16 x 4 bits".
    """

    name: str
    kernel: str
    shape: str
    dtype: str


@dataclass(frozen=True)
class Served:
    """An operation in so many passes; each pass runs it once, or once a layer."""

    operation: Operation
    passes: int

    def to_dict(self) -> dict[str, str | int]:
        """For a span."""
        o = self.operation
        return {
            "operation": o.name,
            "kernel": o.kernel,
            "shape": o.shape,
            "dtype": o.dtype,
            "passes": self.passes,
        }


@dataclass(frozen=True)
class Kernels:
    """Which kernels served the passes for a reply, what was read ahead for it included."""

    served: tuple[Served, ...]


@dataclass(frozen=True)
class Unsupported:
    """A kernel, or the kernels of a device, that could have served, and why it did not."""

    kernel: str
    reason: str
    of_gpu: bool = False


class Tally(Generic[FormT]):
    """Counts a sequence's passes by their form, which takes next to nothing, and describes them when asked.

    Passes of one form have the same operations. Not for two threads at a time.
    """

    def __init__(self, describe: Callable[[FormT], Iterable[Operation]]) -> None:
        self._describe = describe
        self._passes: Counter[FormT] = Counter()

    def add(self, form: FormT, passes: int = 1) -> None:
        """Passes of this form were run."""
        self._passes[form] += passes

    def take(self) -> Sequence[Served]:
        """What served the passes since this was asked last, the first form first."""
        served: Counter[Operation] = Counter()
        for form, passes in self._passes.items():
            for operation in self._describe(form):
                served[operation] += passes
        self._passes.clear()
        return [Served(operation, passes) for operation, passes in served.items()]


def rows_of(count: int) -> int:
    """`count` rounded up to a power of two: passes of so many rows or fewer are told as one form."""
    return 1 << (count - 1).bit_length()


def by_kernel(operations: Iterable[Operation]) -> str:
    """One line: each kernel with the operations that it serves."""
    names: dict[str, list[str]] = {}
    for operation in operations:
        of_kernel = names.setdefault(operation.kernel, [])
        if operation.name not in of_kernel:
            of_kernel.append(operation.name)
    return "; ".join(f"{kernel}: {', '.join(served)}" for kernel, served in names.items())
