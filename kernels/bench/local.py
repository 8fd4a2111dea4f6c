"""Local attention beside torch's attention with a mask and FlexAttention: checked first, then timed."""

import functools
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from kernels.attention.local import blocked, bytes_moved, local_attention, reference, visible
from kernels.bench.flex import Attend, flex
from kernels.bench.results import Bench, Figure, Result, relative_error, worst
from kernels.bench.timing import microseconds

OURS = "local_attention"
BLOCKED = "blocked"
MASKED = "SDPA + mask"
MASKED_PADDED = "SDPA + mask, D 40"
FLEX = "FlexAttention, D 64"
REFERENCE = "reference"

WINDOWS = ((64, 4), (128, 8))
"""Two of the windows that were tried for the streaming encoder, in frames of 24 ms."""

TRAINING = (40, 500)
"""A batch of clips of 12 s, with which the encoder is trained."""

AGAINST = {"x mask": (MASKED, MASKED_PADDED), "x Flex": (FLEX,)}

LIMITS = {torch.float32: 2e-5, torch.float16: 2e-3, torch.bfloat16: 1.5e-2}
"""Relative error that each type may have; plain tf32, with about 3e-4, would not pass as float32."""


@dataclass(frozen=True)
class Shape:
    """What is measured: `heads` heads of `d`, as in Moonshine tiny."""

    batch: int
    frames: int
    left: int
    right: int
    dtype: torch.dtype
    heads: int = 8
    d: int = 36

    def case(self, *, training: bool = False) -> dict[str, int | str]:
        """What the tables say of it."""
        window, dtype = f"{self.left}, {self.right}", str(self.dtype).removeprefix("torch.")
        case: dict[str, int | str] = {"part": "training"} if training else {}
        return case | {"B": self.batch, "T": self.frames, "window": window, "type": dtype}


@dataclass(frozen=True)
class Contender:
    """A way to compute it; its inputs have heads of `width`, zeros at the end, which no time is taken for."""

    name: str
    attend: Attend
    width: int


def measure(shape: Shape, device: torch.device, *, training: bool = False, compiled: bool = True) -> Result:
    """Check every contender against the reference in float64, then time it; `training` adds the gradients.

    Without `compiled`, what takes a compiler is left out.
    """
    q, k, v, grad = inputs(shape, device)
    right = right_result(q, k, v, grad, shape, training=training)
    result = Result(shape.case(training=training), LIMITS[shape.dtype], bytes_moved(q, k), ours=(OURS,))
    for contender in _contenders(shape, device, compiled=compiled):
        wider = contender.width - shape.d
        padded = [functional.pad(x, (0, wider)) if wider else x for x in (q, k, v, grad)]
        call = _call(contender, *padded, training=training)

        def work(call: Callable[[], tuple[Tensor, ...]] = call) -> tuple[float, float]:
            found = [x[..., : shape.d].detach() for x in call()]
            return worst(*map(relative_error, found, right)), microseconds(call, device, graph=not training)

        result.attempt(contender.name, work, device)
    return result


def _call(
    contender: Contender, q: Tensor, k: Tensor, v: Tensor, grad: Tensor, *, training: bool
) -> Callable[[], tuple[Tensor, ...]]:
    """What is timed: the result alone, or it and its gradients."""
    if not training:
        return lambda: (contender.attend(q, k, v),)
    inputs = tuple(x.detach().requires_grad_() for x in (q, k, v))

    def both() -> tuple[Tensor, ...]:
        out = contender.attend(*inputs)
        return out, *torch.autograd.grad(out, inputs, grad)

    return both


def _contenders(shape: Shape, device: torch.device, *, compiled: bool) -> Iterator[Contender]:
    left, right, d = shape.left, shape.right, shape.d
    mask = visible(shape.frames, shape.frames, left, right, device=device)
    masked = functools.partial(functional.scaled_dot_product_attention, attn_mask=mask, scale=d**-0.5)
    if device.type == "cuda":
        kernel = functools.partial(local_attention, left=left, right=right, implementation="triton")
        yield Contender(OURS, kernel, d)
        yield Contender(MASKED_PADDED, masked, d + -d % 8)
        if compiled:
            yield Contender(FLEX, _flex(shape, device), 1 << (d - 1).bit_length())
    else:
        yield Contender(OURS, functools.partial(local_attention, left=left, right=right), d)
        yield Contender(REFERENCE, functools.partial(reference, left=left, right=right), d)
    if device.type == "cuda":
        yield Contender(BLOCKED, functools.partial(blocked, left=left, right=right), d)
    yield Contender(MASKED, masked, d)


def _flex(shape: Shape, device: torch.device) -> Attend:
    """FlexAttention, which is made, and compiled, when it is first called."""
    left, right = shape.left, shape.right

    def sees(_b: Tensor, _h: Tensor, query: Tensor, key: Tensor) -> Tensor:
        return (key - query >= -left) & (key - query <= right)

    @functools.cache
    def made() -> Attend:
        return flex(sees, shape.frames, shape.frames, device, scale=shape.d**-0.5)

    return lambda q, k, v: made()(q, k, v)


def inputs(shape: Shape, device: torch.device) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """q, k, v and a gradient, as a projection of [B, T, H * D] gives them."""
    make = torch.Generator(device).manual_seed(shape.frames)
    size = (4, shape.batch, shape.frames, shape.heads, shape.d)
    joint = torch.randn(size, generator=make, device=device).to(shape.dtype).transpose(2, 3)
    return joint[0], joint[1], joint[2], joint[3]


def right_result(
    q: Tensor, k: Tensor, v: Tensor, grad: Tensor, shape: Shape, *, training: bool
) -> tuple[Tensor, ...]:
    """The reference in float64; 1024 queries of a row at a time, or its scores would fill the memory."""
    exact = functools.partial(reference, left=shape.left, right=shape.right)
    if training:
        inputs = [x.double().requires_grad_() for x in (q, k, v)]
        out = exact(*inputs)
        return out.detach(), *torch.autograd.grad(out, inputs, grad.double())
    result = torch.empty_like(q, dtype=torch.float64)
    for row, start in itertools.product(range(shape.batch), range(0, shape.frames, 1024)):
        part, queries = slice(row, row + 1), slice(start, start + 1024)
        keys, values = k[part].double(), v[part].double()
        result[part, :, queries] = exact(q[part, :, queries].double(), keys, values, offset=start)
    return (result,)


def section(bench: Bench) -> Iterator[Result | Figure]:
    """Local attention: checks at odd sizes, then times, without and with the gradients."""
    gpu = bench.device.type == "cuda"
    if gpu:
        yield from _checks(bench)
    for training, shape in _shapes(bench, gpu=gpu):
        yield measure(shape, bench.device, training=training, compiled=bench.compiled)


def _checks(bench: Bench) -> Iterator[Result | Figure]:
    from kernels.bench.local_checks import check  # noqa: PLC0415  (it needs this module's limits)

    checks = list(check(bench.device, full=bench.full))
    yield Figure("checks passed", sum(one.passed for one in checks), f"of {len(checks)}")
    for one in (one for one in checks if not one.passed):
        why = f"error {one.error:.2g}, limit {one.limit:.2g}"
        yield Result({"check": one.name}, one.limit, failed={OURS: why}, ours=(OURS,))


def _shapes(bench: Bench, *, gpu: bool) -> Iterator[tuple[bool, Shape]]:
    wide = gpu and bench.full
    dtypes = ((torch.float16, torch.float32) if wide else (torch.float16,)) if gpu else (torch.float32,)
    windows, batches = WINDOWS if wide else WINDOWS[:1], (1, 16) if wide else (1,)
    for (left, right), batch, dtype, t in itertools.product(windows, batches, dtypes, bench.frames):
        yield False, Shape(batch, t, left, right, dtype)
    if wide:
        (clips, frames), (left, right) = TRAINING, WINDOWS[0]
        yield from ((True, Shape(clips, frames, left, right, dtype)) for dtype in dtypes)
