"""Attention over the paged cache, of decoding and of a prompt, beside SDPA and FlexAttention."""

import functools
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.attention.bias import causal_lower_right

from kernels.attention import few as few_attention
from kernels.attention import paged as paged_attention
from kernels.attention import prompt as prompt_attention
from kernels.bench.flex import Attend, cut_groups, flex, pad_groups
from kernels.bench.models import MODELS, Sequences, layers_for, sequences, unwritten, with_layers
from kernels.bench.results import OURS, Bench, Result, relative_error
from kernels.bench.timing import in_turn
from kernels.formats.llama import Shape
from kernels.formats.packed import FEW
from kernels.products import few_rows

SDPA, SDPA_ALIGNED = "SDPA", "SDPA, lower right"
FLEX = "FlexAttention"
AGAINST = {"x SDPA": (SDPA, SDPA_ALIGNED), "x Flex": (FLEX,)}

LIMIT = 5e-3
"""Relative error; rounding keys, weights and results to half precision makes about 1e-3."""

VERIFIED = 8
"""Rows of one sequence that verify a draft."""


@dataclass(frozen=True)
class Rival:
    """Attention over plain tensors; `padded`: with as many heads in a group as the next power of two."""

    name: str
    make: Callable[[], Attend]
    padded: bool = False


def decode_section(bench: Bench) -> Iterator[Result]:
    """One row of each of M sequences, and several of one; FlexAttention for the first M and for several."""
    rows = [*((m, 1) for m in bench.rows), (1, VERIFIED)]
    for model, (slots, new), context in itertools.product(bench.models, rows, bench.contexts):
        flexible = bench.compiled and (slots, new) in (rows[0], rows[-1])
        yield from _of_each_cache(bench, functools.partial(_decode, model, context, slots, new, flexible))


def prompt_section(bench: Bench) -> Iterator[Result]:
    """A chunk of a prompt, with nothing before it, or, at length, much."""
    starts = (0, 3584) if bench.full else (0,)
    for model, tokens, start in itertools.product(bench.models, bench.prompts, starts):
        yield from _of_each_cache(bench, functools.partial(_prompt, model, tokens, start, bench.compiled))


def _of_each_cache(
    bench: Bench, measure: Callable[[str, torch.device, Result | None], Result]
) -> Iterator[Result]:
    """Ours with each kind of cache; the rivals, who know only half precision, with the first of them."""
    first: Result | None = None
    for kind in bench.caches:
        result = measure(kind, bench.device, first)
        first = first or result
        yield result


def _decode(
    model: str,
    context: int,
    slots: int,
    new: int,
    flexible: bool,
    kind: str,
    device: torch.device,
    known: Result | None,
) -> Result:
    shape, there, q = _case(MODELS[model], kind, context, slots, new, device)
    cache, rows = there.cache, there.rows
    right = paged_attention.reference(q, cache, 0, rows)
    # Rows of a sequence share its keys, all of which the last sees.
    moved = paged_attention.bytes_moved(q, cache, rows.positions[new - 1 :: new])
    case: dict[str, int | str] = {"model": model, "cache": kind, "context": context, "M": slots, "new": new}
    result = Result(case, LIMIT, moved)
    _measure(result, OURS, *_ours(shape, there, q, context + new), shape.layers, right, device)
    queries = q.view(slots, new, shape.heads, shape.head_dim).transpose(1, 2)
    _beside(result, _rivals(new, context, device, flexible=flexible), queries, there, right, known)
    return result


def _ours(
    shape: Shape, there: Sequences, q: Tensor, context: int
) -> tuple[Callable[[int], object], Callable[[], Tensor]]:
    """What a pass of so many rows runs in a layer, and what it has left then."""
    m, cache, rows, device = len(q), there.cache, there.rows, q.device
    if m <= FEW and few_rows.why_not(shape, device) is None:
        splits = few_attention.split_count(shape.head_dim, context)
        scratch = paged_attention.make_scratch(shape, m, context, device, few=(m, splits))
        packed = unwritten(m, shape.heads * shape.head_dim, device)

        def few(layer: int) -> object:
            return few_attention.few_attention(
                q, cache, layer, rows, out=packed, splits=splits, scratch=scratch
            )

        return few, packed.unpack
    splits = paged_attention.split_count(m, shape.kv_heads, context)
    scratch = paged_attention.make_scratch(shape, m, context, device)
    out = torch.full((m, shape.heads * shape.head_dim), torch.nan, dtype=torch.float16, device=device)

    def many(layer: int) -> object:
        return paged_attention.paged_attention(q, cache, layer, rows, out=out, splits=splits, scratch=scratch)

    return many, lambda: out


def _prompt(
    model: str,
    tokens: int,
    start: int,
    flexible: bool,
    kind: str,
    device: torch.device,
    known: Result | None,
) -> Result:
    shape, there, q = _case(MODELS[model], kind, start, 1, tokens, device)
    slot, begin = (torch.tensor([n], dtype=torch.int32, device=device) for n in (0, start))
    out = torch.full((tokens, shape.heads * shape.head_dim), torch.nan, dtype=torch.float16, device=device)

    def ours(layer: int) -> Tensor:
        return prompt_attention.prompt_attention(q, there.cache, layer, slot, begin, out=out)

    right = prompt_attention.reference(q, there.cache, 0, slot, begin)
    moved = prompt_attention.bytes_moved(q, there.cache, start)
    result = Result({"model": model, "cache": kind, "T": tokens, "behind": start}, LIMIT, moved)
    _measure(result, OURS, ours, lambda: out, shape.layers, right, device)
    rivals = _rivals(tokens, start, device, flexible=flexible)
    _beside(result, rivals, q.transpose(0, 1)[None], there, right, known)
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

    result.attempt(name, work, device)


def _beside(
    result: Result,
    rivals: Iterator[Rival],
    queries: Tensor,
    there: Sequences,
    right: Tensor,
    known: Result | None,
) -> None:
    """The same of keys and values in half precision in plain tensors, for which no time is taken.

    What is `known` of a cache of another kind holds here too: the rivals' tensors differ in values alone.
    """
    if known is not None:
        result.take(known)
        return
    for rival in rivals:
        _rival(result, rival, queries, there, right)


def _rival(result: Result, rival: Rival, queries: Tensor, there: Sequences, right: Tensor) -> None:
    """As many layers as fill the GPU's cache, at most as many as ours had."""
    slots, heads, new, d = queries.shape
    kv_heads, device = there.cache.keys.shape[2], queries.device
    length = int(there.rows.positions.max()) + 1
    layers = min(len(there.cache.keys), layers_for(4 * slots * length * kv_heads * d, device))
    flat = right.view(slots, new, -1, d).transpose(1, 2)
    q = pad_groups(queries, kv_heads) if rival.padded else queries

    def of_layer(layer: int) -> list[Tensor]:
        each = [there.cache.gather(layer, slot, length) for slot in range(slots)]
        return [torch.stack(part).half() for part in zip(*each, strict=True)]

    def work() -> tuple[float, float]:
        plain, attend = [of_layer(layer) for layer in range(layers)], rival.make()
        found = attend(q, *plain[0])
        found = cut_groups(found, kv_heads, heads // kv_heads) if rival.padded else found
        error = relative_error(found, flat)
        return error, in_turn([functools.partial(attend, q, *layer) for layer in plain], device)

    result.attempt(rival.name, work, device)


def _rivals(new: int, before: int, device: torch.device, *, flexible: bool) -> Iterator[Rival]:
    """SDPA, with a mask where there is no other way to say it, and with one that torch knows the form of.

    Only with the latter torch takes its fused kernels for heads in groups. FlexAttention on a GPU only: a
    CPU's is no rival, and takes a compiler.
    """
    attend = functools.partial(functional.scaled_dot_product_attention, enable_gqa=True)
    options: dict[str, Any] = {}
    if new > 1 and before:
        aligned = functools.partial(attend, attn_mask=causal_lower_right(new, before + new))
        yield Rival(SDPA_ALIGNED, lambda: aligned)
        options["attn_mask"] = torch.ones(new, before + new, device=device).tril(before).bool()
    elif new > 1:
        options["is_causal"] = True
    yield Rival(SDPA, lambda: functools.partial(attend, **options))
    if flexible and device.type == "cuda":
        yield flex_rival(new, before, device)


def flex_rival(new: int, before: int, device: torch.device) -> Rival:
    """FlexAttention of the last `new` tokens, behind `before`; a single one sees all, and needs no rule."""

    def sees(_b: Tensor, _h: Tensor, query: Tensor, key: Tensor) -> Tensor:
        return key <= query + before

    make = functools.partial(flex, sees if new > 1 else None, new, before + new, device)
    return Rival(FLEX, make, padded=True)
