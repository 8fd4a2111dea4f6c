"""Attention over the paged cache, of decoding and of a prompt, beside SDPA over plain tensors."""

import functools
import itertools
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.attention.bias import causal_lower_right

from kernels.attention import paged
from kernels.attention.small_batch import make_scratch, small_batch_attention, split_count
from kernels.bench.models import MODELS, Sequences, layers_for, sequences, unwritten, with_layers
from kernels.bench.results import OURS, Bench, Result, relative_error
from kernels.bench.timing import in_turn
from kernels.formats.fragments import SMALL_BATCH
from kernels.formats.llama import Shape
from kernels.llama.supported import unsupported_reason

SDPA = "SDPA"

LIMIT = 5e-3
"""Relative error; rounding keys, weights and results to half precision makes about 1e-3."""

VERIFIED = 8
"""Rows of one sequence that verify a draft."""


def decode_section(bench: Bench) -> Iterator[Result]:
    """One row of each of M sequences, and several of one, with each kind of cache."""
    rows = [*((m, 1) for m in bench.rows), (1, VERIFIED)]
    sizes = itertools.product(bench.models, rows, bench.contexts, bench.caches)
    for model, (slots, new), context, kind in sizes:
        yield _decode(model, kind, context, slots, new, bench)


def prompt_section(bench: Bench) -> Iterator[Result]:
    """A chunk of a prompt, with nothing before it, or, at length, much."""
    starts = (0, 3584) if bench.full else (0,)
    for model, tokens, start, kind in itertools.product(bench.models, bench.prompts, starts, bench.caches):
        yield _prompt(model, kind, tokens, start, bench)


def _decode(model: str, kind: str, context: int, slots: int, new: int, bench: Bench) -> Result:
    shape, there, q = _case(MODELS[model], kind, context, slots, new, bench.device)
    right = paged.reference(q, there.cache, 0, there.rows.slots, there.rows.positions)
    # Rows of a sequence share its keys, all of which the last sees.
    moved = paged.bytes_moved(q, there.cache, slots * (context + new))
    case: dict[str, int | str] = {"model": model, "cache": kind, "context": context, "M": slots, "new": new}
    result = Result(case, LIMIT, moved)
    _measure(result, *_ours(shape, there, q, context + new), shape.layers, right, bench.device)
    if kind == bench.caches[0]:
        _beside(result, q.view(slots, new, *q.shape[1:]).transpose(1, 2), there, right)
    return result


def _prompt(model: str, kind: str, tokens: int, start: int, bench: Bench) -> Result:
    shape, there, q = _case(MODELS[model], kind, start, 1, tokens, bench.device)
    slot, begin = (torch.tensor([n], dtype=torch.int32, device=bench.device) for n in (0, start))
    out = _nothing(q)
    right = paged.reference(q, there.cache, 0, slot, begin)
    moved = paged.bytes_moved(q, there.cache, start + tokens)
    result = Result({"model": model, "cache": kind, "T": tokens, "behind": start}, LIMIT, moved)

    def ours(layer: int) -> Tensor:
        return paged.paged_attention(q, there.cache, layer, slot, begin, out=out)

    _measure(result, ours, lambda: out, shape.layers, right, bench.device)
    if kind == bench.caches[0]:
        _beside(result, q.transpose(0, 1)[None], there, right)
    return result


def _ours(
    shape: Shape, there: Sequences, q: Tensor, context: int
) -> tuple[Callable[[int], object], Callable[[], Tensor]]:
    """What a pass of so many rows runs in a layer, and what it has left then."""
    m, cache, rows, device = len(q), there.cache, there.rows, q.device
    if m <= SMALL_BATCH and unsupported_reason(shape, device) is None:
        splits = split_count(shape.head_dim, context)
        scratch = make_scratch(shape, m, splits, device)
        found = unwritten(m, shape.heads * shape.head_dim, device)

        def small(layer: int) -> object:
            return small_batch_attention(q, cache, layer, rows, out=found, splits=splits, scratch=scratch)

        return small, found.unpack
    out = _nothing(q)

    def many(layer: int) -> object:
        return paged.paged_attention(q, cache, layer, rows.slots, rows.positions, out=out)

    return many, lambda: out


def _nothing(q: Tensor) -> Tensor:
    return torch.full((len(q), q[0].numel()), torch.nan, dtype=torch.float16, device=q.device)


def _case(
    shape: Shape, kind: str, context: int, slots: int, new: int, device: torch.device
) -> tuple[Shape, Sequences, Tensor]:
    """Enough layers of a cache that each is cold, and queries."""
    token = 2 * shape.kv_heads * shape.head_dim * (1 if kind == "int8" else 2)
    shape = with_layers(shape, layers_for(token * slots * (context + new), device))
    there = sequences(shape, kind, slots=slots, context=context, new=new, device=device, room=0)
    q = torch.randn(slots * new, shape.heads, shape.head_dim, device=device).half()
    return shape, there, q


def _measure(
    result: Result,
    attend: Callable[[int], object],
    found: Callable[[], Tensor],
    layers: int,
    right: Tensor,
    device: torch.device,
) -> None:
    def work() -> tuple[float, float]:
        attend(0)
        error = relative_error(found(), right)
        return error, in_turn([functools.partial(attend, layer) for layer in range(layers)], device)

    result.attempt(OURS, work, device)


def _beside(result: Result, q: Tensor, there: Sequences, right: Tensor) -> None:
    """SDPA of q [slots, heads, new, D] over half precision in plain tensors, for which no time is taken.

    As many layers as fill the GPU's cache, at most as many as ours had.
    """
    slots, _, new, d = q.shape
    kv_heads, device = there.cache.keys.shape[2], q.device
    length = int(there.rows.positions.max()) + 1
    layers = min(len(there.cache.keys), layers_for(4 * slots * length * kv_heads * d, device))

    def plain(layer: int) -> list[Tensor]:
        each = [there.cache.gather(layer, slot, length) for slot in range(slots)]
        return [torch.stack(part).half() for part in zip(*each, strict=True)]

    def work() -> tuple[float, float]:
        attend, cold = sdpa(new, length - new), [plain(layer) for layer in range(layers)]
        error = relative_error(attend(q, *cold[0]), right.view(slots, new, -1, d).transpose(1, 2))
        return error, in_turn([functools.partial(attend, q, *layer) for layer in cold], device)

    result.attempt(SDPA, work, device)


def sdpa(new: int, before: int) -> Callable[..., Tensor]:
    """Torch's attention of `new` tokens behind `before`, told so that it takes its fused kernels.

    With a plain mask it would not, of heads in groups.
    """
    options: dict[str, Any] = {}
    if new > 1:
        options = {"attn_mask": causal_lower_right(new, before + new)} if before else {"is_causal": True}
    return functools.partial(functional.scaled_dot_product_attention, enable_gqa=True, **options)
