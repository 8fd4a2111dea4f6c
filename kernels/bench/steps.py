"""Whole passes of a model: decoding, verification, many sequences, a prompt; and torch's own."""

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace

import torch

from kernels.bench.contenders import (
    COMPILED,
    EAGER,
    GRAPH,
    MULTI_STEP,
    ROOM,
    Case,
    Contender,
    Pass,
    contenders,
)
from kernels.bench.models import MODELS, sequences, weights
from kernels.bench.results import Bench, Figure, Result, relative_error
from kernels.bench.timing import in_a_loop
from kernels.formats.llama import Weights

LIMIT, PROMPT_LIMIT = 8e-3, 4e-3
"""Relative error of ours, in the logits and in what is put into the cache, against float32 with the same
weights that reads the same codes. Worked out for 30 layers, activations and weights in float16 make 1.2e-3 of
it in a prompt, and 4e-3 in rows behind random keys, where what differs in a layer grows in the next."""

RIVAL_LIMIT = 0.1
"""The others' error, in bfloat16, against float32 with keys and values that are not rounded: 30 layers make
0.025 in a prompt and 0.06 elsewhere. With frequencies in bfloat16 it was 1.0 at 4096."""

VERIFIED = 8


def decode_section(bench: Bench) -> Iterator[Result | Figure]:
    """Steps of M sequences, and of several rows of one."""
    rows = [*((m, 1) for m in bench.rows), (1, VERIFIED)]
    for model in bench.models:
        w = weights(MODELS[model], bench.device, context=max(bench.contexts) + VERIFIED + ROOM)
        found: dict[Case, Result] = {}
        for (slots, new), context in itertools.product(rows, bench.contexts):
            cases = [Case(model, kind, context, slots, new) for kind in bench.caches]
            for case in cases:
                first = not found and model == bench.models[0]
                for one in _measure(case, w, bench, first=first):
                    if isinstance(one, Result):
                        found[case] = one
                    yield one
            yield from _compared(found, cases)


def prompt_section(bench: Bench) -> Iterator[Result | Figure]:
    """A prompt of which nothing is in the cache yet; the logits of its last token."""
    first = True
    for model in bench.models:
        w = weights(MODELS[model], bench.device, context=max(bench.prompts) + ROOM)
        for tokens, kind in itertools.product(bench.prompts, bench.caches):
            yield from _measure(Case(model, kind, 0, 1, tokens), w, bench, first=first)
            first = False


def _compared(found: Mapping[Case, Result], cases: Iterable[Case]) -> Iterator[Figure]:
    """What several rows or sequences cost beside one, and give."""
    for case in cases:
        result, one = found.get(case), found.get(replace(case, slots=1, new=1))
        if result is None or one is None or one is result or one.red or result.red:
            continue
        name = f"{case.model} {case.cache} context {case.context}"
        times = result.best / one.best
        if case.new > 1:
            yield Figure(f"{name}: a pass of {case.new} rows of one sequence", times, "times one row")
        else:
            rate = case.slots / times
            yield Figure(f"{name}: {case.slots} sequences", rate, "times the tokens a second of one")


def _rivals(case: Case, bench: Bench, *, first: bool) -> list[str]:
    """Torch, which knows one kind of cache, beside ours with the first; compiled, in a minute, but once."""
    if case.cache != bench.caches[0]:
        return []
    return [EAGER, COMPILED] if first and bench.compiled and bench.device.type == "cuda" else [EAGER]


def _measure(case: Case, w: Weights, bench: Bench, *, first: bool) -> Iterator[Result | Figure]:
    """The result again and again, as contender after contender joins it."""
    device = bench.device
    prompt, sizes = not case.context, {"slots": case.slots, "context": case.context, "new": case.new}
    try:
        given = Pass(case, w, sequences(w.shape, case.cache, **sizes, device=device, room=ROOM), device)
        exact = given.reference.exact(*given.rows, case.wanted)
    except torch.cuda.OutOfMemoryError:
        yield Figure(
            f"{_named(case)}: not measured, the cache does not fit", _cache_bytes(case, w) / 1e9, "GB"
        )
        return
    moved = w.token_bytes + _cache_bytes(case, w)
    row: dict[str, int | str] = {"model": case.model, "cache": case.cache, "M": case.slots}
    row |= {"T": case.new} if prompt else {"context": case.context, "new": case.new}
    limit = PROMPT_LIMIT if prompt else LIMIT
    result = Result(row, limit, moved, ours=(GRAPH, MULTI_STEP), rival_limit=RIVAL_LIMIT)
    result.tokens = case.new if prompt else case.slots
    for name, make in contenders(given, _rivals(case, bench, first=first)):

        def work(make: Callable[[], Contender] = make) -> tuple[float, float]:
            contender = make()
            contender.prepare()
            logits = contender.call().flatten(0, -2)
            error = relative_error(logits, exact) if contender.error is None else contender.error(logits)
            us = in_a_loop(contender.call, device, most=contender.most, prepare=contender.prepare)
            return error, us / contender.steps

        with torch.no_grad():
            result.attempt(name, work, device)
        if name == COMPILED:
            torch._dynamo.reset()
        yield result
    if prompt and case.cache == "int8":
        rounded = given.reference.decode(*given.rows, case.wanted)
        change = 100 * relative_error(rounded, exact)
        yield Figure(f"{_named(case)}: logits change by int8 alone, exactly calculated", change, "%")


def _cache_bytes(case: Case, w: Weights) -> int:
    """All keys and values of each sequence."""
    s = w.shape
    token = 2 * s.layers * s.kv_heads * s.head_dim * (1 if case.cache == "int8" else 2)
    return case.slots * (case.context + case.new) * token


def _named(case: Case) -> str:
    rows = f"{case.slots} x {case.new} behind {case.context}" if case.context else f"prompt of {case.new}"
    return f"{case.model} {case.cache}, {rows}"
