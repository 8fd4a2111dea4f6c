"""Local attention beside FlexAttention or, without a compiler, torch's attention with a mask."""

import functools
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from kernels.attention.local import bytes_moved, local_attention, reference, visible
from kernels.bench.results import OURS, Bench, Result, relative_error
from kernels.bench.timing import in_turn

MASKED = "SDPA + mask"
FLEX = "FlexAttention"

WINDOWS = ((64, 4), (128, 8))
"""Two of the windows that were tried for the streaming encoder, in frames of 24 ms."""

LIMITS = {torch.float32: 2e-5, torch.float16: 2e-3}
"""Relative error that each type may have; plain tf32, with about 3e-4, would not pass as float32."""

Attend = Callable[[Tensor, Tensor, Tensor], Tensor]
"""q, k and v [B, H, T, D] to [B, H, T, D]."""


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

    @property
    def case(self) -> dict[str, int | str]:
        """What the tables say of it."""
        window, dtype = f"{self.left}, {self.right}", str(self.dtype).removeprefix("torch.")
        return {"B": self.batch, "T": self.frames, "window": window, "type": dtype}


@dataclass(frozen=True)
class Contender:
    """A way to compute it; its inputs have heads of `width`, zeros at the end, which no time is taken for."""

    name: str
    attend: Attend
    width: int


def section(bench: Bench) -> Iterator[Result]:
    """Local attention, without padding in the batch."""
    gpu = bench.device.type == "cuda"
    wide = gpu and bench.full
    dtypes = ((torch.float16, torch.float32) if wide else (torch.float16,)) if gpu else (torch.float32,)
    windows, batches = WINDOWS if wide else WINDOWS[:1], (1, 16) if wide else (1,)
    for (left, right), batch, dtype, t in itertools.product(windows, batches, dtypes, bench.frames):
        yield measure(Shape(batch, t, left, right, dtype), bench.device, compiled=bench.compiled)


def measure(shape: Shape, device: torch.device, *, compiled: bool = True) -> Result:
    """Check ours and a rival against the reference in float64, then time them."""
    q, k, v = inputs(shape, device)
    right = right_result(q, k, v, shape)
    result = Result(shape.case, LIMITS[shape.dtype], bytes_moved(q, k))
    ours = functools.partial(local_attention, left=shape.left, right=shape.right)
    repeated = 20 if device.type == "cuda" else 1  # a launch takes longer than a small one
    for contender in (Contender(OURS, ours, shape.d), rival(shape, device, compiled=compiled)):
        padded = [functional.pad(x, (0, contender.width - shape.d)) for x in (q, k, v)]
        call = functools.partial(contender.attend, *padded)

        def work(call: Callable[[], Tensor] = call) -> tuple[float, float]:
            return relative_error(call()[..., : shape.d], right), in_turn([call] * repeated, device)

        result.attempt(contender.name, work, device)
    return result


def rival(shape: Shape, device: torch.device, *, compiled: bool) -> Contender:
    """FlexAttention wants heads of a power of two, SDPA's fused kernels of a multiple of 8."""
    if compiled and device.type == "cuda":
        return Contender(FLEX, _flex(shape, device), 1 << (shape.d - 1).bit_length())
    mask = visible(shape.frames, shape.frames, shape.left, shape.right, device=device)
    masked = functools.partial(functional.scaled_dot_product_attention, attn_mask=mask, scale=shape.d**-0.5)
    return Contender(MASKED, masked, shape.d + -shape.d % 8)


def _flex(shape: Shape, device: torch.device) -> Attend:
    """FlexAttention, which is made, and on a GPU compiled for one shape, when it is first called."""
    left, right = shape.left, shape.right

    def sees(_b: Tensor, _h: Tensor, query: Tensor, key: Tensor) -> Tensor:
        return (key - query >= -left) & (key - query <= right)

    @functools.cache
    def made() -> Callable[..., Tensor]:
        from torch.nn.attention.flex_attention import (  # noqa: PLC0415  (it loads the compiler)
            create_block_mask,
            flex_attention,
        )

        attend: Callable[..., Tensor] = flex_attention
        if device.type == "cuda":
            torch._dynamo.reset()  # or after a few shapes it would no longer compile for one alone
            attend = torch.compile(flex_attention, dynamic=False)
        mask = create_block_mask(sees, None, None, shape.frames, shape.frames, device=str(device))
        return functools.partial(attend, block_mask=mask, scale=shape.d**-0.5)

    return lambda q, k, v: made()(q, k, v)


def inputs(shape: Shape, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """q, k and v, as a projection of [B, T, H * D] gives them."""
    make = torch.Generator(device).manual_seed(shape.frames)
    size = (3, shape.batch, shape.frames, shape.heads, shape.d)
    joint = torch.randn(size, generator=make, device=device).to(shape.dtype).transpose(2, 3)
    return joint[0], joint[1], joint[2]


def right_result(q: Tensor, k: Tensor, v: Tensor, shape: Shape) -> Tensor:
    """The reference in float64; 1024 queries of a row at a time, or its scores would fill the memory."""
    result = torch.empty_like(q, dtype=torch.float64)
    for row, start in itertools.product(range(shape.batch), range(0, shape.frames, 1024)):
        part, queries = slice(row, row + 1), slice(start, start + 1024)
        found = (q[part, :, queries].double(), k[part].double(), v[part].double())
        result[part, :, queries] = reference(*found, shape.left, shape.right, offset=start)
    return result
