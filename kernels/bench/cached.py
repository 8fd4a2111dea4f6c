"""Attention over the paged cache, of decoding and of a prompt, beside SDPA and FlexAttention."""

import functools
import itertools
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from kernels import paged_attention, prompt_attention
from kernels.bench.models import MODELS, Sequences, layers_for, sequences, with_layers
from kernels.bench.results import OURS, Bench, Result, relative_error
from kernels.bench.timing import in_turn
from kernels.llama_gpu import Shape

SDPA = "SDPA"
FLEX = "FlexAttention"
AGAINST = {"x SDPA": (SDPA,), "x Flex": (FLEX,)}

LIMIT = 5e-3
"""Relative error; rounding keys, weights and results to half precision makes about 1e-3."""

VERIFIED = 8
"""Rows of one sequence that verify a draft."""


def decode_section(bench: Bench) -> Iterator[Result]:
    """One row of each of M sequences, and several of one."""
    for model, context in itertools.product(bench.models, bench.contexts):
        for i, (slots, new) in enumerate((*((m, 1) for m in bench.rows), (1, VERIFIED))):
            for kind in bench.caches:
                flex = bench.full or i == 0
                yield _decode(MODELS[model], model, kind, context, slots, new, bench.device, flex=flex)


def prompt_section(bench: Bench) -> Iterator[Result]:
    """A chunk of a prompt, with nothing before it, or, at length, much."""
    starts = (0, 3584) if bench.full else (0,)
    for model, tokens, start, kind in itertools.product(bench.models, bench.prompts, starts, bench.caches):
        yield _prompt(MODELS[model], model, kind, tokens, start, bench.device)


def _decode(
    shape: Shape,
    model: str,
    kind: str,
    context: int,
    slots: int,
    new: int,
    device: torch.device,
    *,
    flex: bool,
) -> Result:
    shape, there, q = _case(shape, kind, context, slots, new, device)
    m, cache, rows = slots * new, there.cache, there.rows
    splits = paged_attention.split_count(m, shape.kv_heads, context + new)
    scratch = paged_attention.make_scratch(shape, m, context + new, device)
    out = torch.full((m, shape.heads * shape.head_dim), torch.nan, dtype=torch.float16, device=device)

    def ours(layer: int) -> Tensor:
        return paged_attention.paged_attention(q, cache, layer, rows, out=out, splits=splits, scratch=scratch)

    right = paged_attention.reference(q, cache, 0, rows)
    # Rows of a sequence share its keys, all of which the last sees.
    moved = paged_attention.bytes_moved(q, cache, rows.positions[new - 1 :: new])
    case: dict[str, int | str] = {"model": model, "cache": kind, "context": context, "M": slots, "new": new}
    result = Result(case, LIMIT, moved)
    _measure(result, OURS, ours, shape.layers, right, device)
    queries = q.view(slots, new, shape.heads, shape.head_dim).transpose(1, 2)
    for name, attend in _rivals(new, context, device, flex=flex):
        _rival(result, name, attend, queries, there, right)
    return result


def _prompt(shape: Shape, model: str, kind: str, tokens: int, start: int, device: torch.device) -> Result:
    shape, there, q = _case(shape, kind, start, 1, tokens, device)
    slot, begin = (torch.tensor([n], dtype=torch.int32, device=device) for n in (0, start))
    out = torch.full((tokens, shape.heads * shape.head_dim), torch.nan, dtype=torch.float16, device=device)

    def ours(layer: int) -> Tensor:
        return prompt_attention.prompt_attention(q, there.cache, layer, slot, begin, out=out)

    right = prompt_attention.reference(q, there.cache, 0, slot, begin)
    moved = prompt_attention.bytes_moved(q, there.cache, start)
    result = Result({"model": model, "cache": kind, "T": tokens, "behind": start}, LIMIT, moved)
    _measure(result, OURS, ours, shape.layers, right, device)
    for name, attend in _rivals(tokens, start, device, flex=True):
        _rival(result, name, attend, q.transpose(0, 1)[None], there, right)
    return result


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
    name: str,
    attend: Callable[[int], Tensor],
    layers: int,
    right: Tensor,
    device: torch.device,
) -> None:
    def work() -> tuple[float, float]:
        error = relative_error(attend(0), right)
        return error, in_turn([functools.partial(attend, layer) for layer in range(layers)], device)

    result.attempt(name, work, device)


def _rival(
    result: Result,
    name: str,
    attend: Callable[..., Tensor],
    queries: Tensor,
    there: Sequences,
    right: Tensor,
) -> None:
    """The same of keys and values in half precision in plain tensors, for which no time is taken.

    As many layers as fill the GPU's cache, at most as many as ours had.
    """
    slots, _, new, _ = queries.shape
    length = int(there.rows.positions.max()) + 1
    size = 4 * slots * length * there.cache.keys.shape[2] * queries.shape[3]
    layers = min(len(there.cache.keys), layers_for(size, queries.device))

    def of_layer(layer: int) -> list[Tensor]:
        each = [there.cache.gather(layer, slot, length) for slot in range(slots)]
        return [torch.stack(part).half() for part in zip(*each, strict=True)]

    try:
        plain = [of_layer(layer) for layer in range(layers)]
    except torch.cuda.OutOfMemoryError as error:
        result.failed[name] = str(error)[:200]
        return

    def one(layer: int) -> Tensor:
        return attend(queries, *plain[layer])

    flat = right.view(slots, new, -1, queries.shape[3]).transpose(1, 2)
    _measure(result, name, one, layers, flat, queries.device)


def _rivals(
    new: int, before: int, device: torch.device, *, flex: bool
) -> Iterator[tuple[str, Callable[..., Tensor]]]:
    """SDPA with the arguments under which its fused kernels run, and FlexAttention on a GPU."""
    options: dict[str, Any] = {}
    if new > 1 and before:
        options["attn_mask"] = torch.ones(new, before + new, device=device).tril(before).bool()
    elif new > 1:
        options["is_causal"] = True
    yield SDPA, functools.partial(functional.scaled_dot_product_attention, enable_gqa=True, **options)
    if flex and device.type == "cuda":
        yield FLEX, _flex(new, before, device)


def _flex(new: int, before: int, device: torch.device) -> Callable[..., Tensor]:
    """FlexAttention compiled for this shape alone."""
    from torch.nn.attention.flex_attention import (  # noqa: PLC0415  (its import loads the compiler)
        create_block_mask,
        flex_attention,
    )

    def sees(_b: Tensor, _h: Tensor, query: Tensor, key: Tensor) -> Tensor:
        return key <= query + before

    torch._dynamo.reset()
    mask = create_block_mask(sees, None, None, new, before + new, device=str(device)) if new > 1 else None
    compiled = torch.compile(flex_attention, dynamic=False)
    return functools.partial(compiled, block_mask=mask, enable_gqa=True)
