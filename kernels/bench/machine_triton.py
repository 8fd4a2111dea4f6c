"""Kernels that do nothing, by which a machine's own costs are measured."""

# ruff: noqa: ANN001, ANN201, N803  (a kernel's arguments are Triton's, and its constants are capitals)

import triton
import triton.language as tl


@triton.jit
def touch(x):  # type: ignore[no-untyped-def]
    """One program that writes one number: a launch, and nothing else."""
    tl.store(x, 1)


@triton.jit(do_not_specialize=["count"])  # type: ignore[untyped-decorator]
def barriers(counter, count, PROGRAMS: tl.constexpr):  # type: ignore[no-untyped-def]
    """All programs, which must be resident together, wait for one another `count` times; counter is 0."""
    for i in range(count):
        tl.atomic_add(counter, 1, sem="release", scope="gpu")
        while tl.atomic_add(counter, 0, sem="acquire", scope="gpu") < (i + 1) * PROGRAMS:
            pass
