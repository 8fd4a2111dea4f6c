"""Whole passes of a model: decoding, verification, many sequences, a prompt; and torch and transformers."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from kernels import llama_persistent
from kernels.bench.dense import Llama
from kernels.bench.hugging import transformers_step
from kernels.bench.models import MODELS, Sequences, sequences, weights
from kernels.bench.results import Bench, Figure, Result, relative_error
from kernels.bench.timing import in_a_loop
from kernels.llama_gpu import Rows, Weights
from kernels.llama_reference import ReferenceRunner

GRAPH, PERSISTENT = "graph", "persistent"
EAGER, COMPILED = "torch", "torch compiled"
HF_EAGER, HF_COMPILED = "transformers", "transformers compiled"
AGAINST = {"x compiled": (COMPILED, HF_COMPILED), "x eager": (EAGER, HF_EAGER)}

LIMIT = 2e-2
"""Relative error of ours in the logits, against all in float32 on the same weights and cache."""

RIVAL_LIMIT = 0.2
"""Of the others, which calculate in bfloat16, and do not round new keys; another model would be at 1.4."""

PERSISTENT_STEPS = 32
"""Of one launch."""

ROOM = 64
"""Tokens behind the context that a contender may decode, one after the other, while it is timed."""

VERIFIED = 8


@dataclass(frozen=True)
class Case:
    """What one pass reads: `new` tokens of each of `slots` sequences, behind `context` ones."""

    model: str
    cache: str
    context: int
    slots: int
    new: int


@dataclass(frozen=True)
class Contender:
    """What is called, and what puts its state back before a row of calls; `steps` passes a call."""

    name: str
    call: Callable[[], Tensor]  # logits [.., vocabulary] of every wanted row
    prepare: Callable[[], object] = lambda: None
    steps: int = 1
    most: int = 20  # calls in a row


def decode_section(bench: Bench) -> Iterator[Result | Figure]:
    """Steps of M sequences, and of several rows of one; the rivals are compiled for the first, or in full."""
    for model in bench.models:
        with_weights = weights(MODELS[model], bench.device, context=max(bench.contexts) + VERIFIED + ROOM)
        found: dict[Case, Result] = {}
        cases = [
            Case(model, kind, context, slots, new)
            for context in bench.contexts
            for slots, new in (*((m, 1) for m in bench.rows), (1, VERIFIED))
            for kind in bench.caches
        ]
        for case in cases:
            compiled = bench.full or (bench.device.type == "cuda" and case == cases[0])
            for result in _measure(case, with_weights, bench, compiled=compiled):
                found[case] = result
                yield result
        yield from _compared(found)


def _compared(found: Mapping[Case, Result]) -> Iterator[Figure]:
    """What several rows or sequences cost beside one, and give."""
    for case, result in found.items():
        one = found.get(replace(case, slots=1, new=1))
        if one is None or one is result or one.red or result.red:
            continue
        name = f"{case.model} {case.cache} context {case.context}"
        times = result.best / one.best
        if case.new > 1:
            yield Figure(f"{name}: a pass of {case.new} rows of one sequence", times, "times one row")
        else:
            rate = case.slots / times
            yield Figure(f"{name}: {case.slots} sequences", rate, "times the tokens a second of one")


def prompt_section(bench: Bench) -> Iterator[Result]:
    """A prompt of which nothing is in the cache yet; the logits of its last token."""
    for model in bench.models:
        with_weights = weights(MODELS[model], bench.device, context=max(bench.prompts) + ROOM)
        for tokens in bench.prompts:
            case = Case(model, bench.caches[0], 0, 1, tokens)
            yield from _measure(case, with_weights, bench, compiled=bench.full)


def _measure(case: Case, w: Weights, bench: Bench, *, compiled: bool) -> Iterator[Result]:
    """The result again and again, as contender after contender joins it."""
    device, prompt = bench.device, not case.context
    there = sequences(
        w.shape, case.cache, slots=case.slots, context=case.context, new=case.new, device=device, room=ROOM
    )
    right = _reference(case, w, there)
    named: dict[str, int | str] = {"model": case.model, "cache": case.cache, "M": case.slots}
    named |= {"T": case.new} if prompt else {"context": case.context, "new": case.new}
    result = Result(named, LIMIT, _bytes(case, w, there), ours=(GRAPH, PERSISTENT), rival_limit=RIVAL_LIMIT)
    result.tokens = case.new if prompt else case.slots
    for name, make in _contenders(case, w, there, device, compiled=compiled):

        def work(make: Callable[[], Contender] = make) -> tuple[float, float]:
            contender = make()
            contender.prepare()
            error = relative_error(contender.call().flatten(0, -2)[: len(right)], right)
            us = in_a_loop(contender.call, device, most=contender.most, prepare=contender.prepare)
            return error, us / contender.steps

        with torch.no_grad():
            result.attempt(name, work, device)
        if "compiled" in name:
            torch._dynamo.reset()
        yield result


def _contenders(
    case: Case, w: Weights, there: Sequences, device: torch.device, *, compiled: bool
) -> Iterator[tuple[str, Callable[[], Contender]]]:
    yield GRAPH, lambda: _graph(case, w, there, device)
    alone = case.slots == case.new == 1
    if alone and llama_persistent.why_not(w, device) is None:
        yield PERSISTENT, lambda: _persistent(case, w, there, device)
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    for name in (EAGER, COMPILED) if compiled else (EAGER,):
        yield name, lambda name=name: _torch(name, case, w, there, dtype)  # type: ignore[misc]
    if case.context:
        for name in (HF_EAGER, HF_COMPILED) if compiled else (HF_EAGER,):
            yield name, lambda name=name: _transformers(name, case, w, there, dtype)  # type: ignore[misc]


def _graph(case: Case, w: Weights, there: Sequences, device: torch.device) -> Contender:
    from kernels.llama_graph import GraphRunner  # noqa: PLC0415  (without it, its rivals are measured still)

    runner = GraphRunner(w, there.cache, device)
    tokens, slots, positions = _rows(there.rows)
    if not case.context:
        return Contender(GRAPH, lambda: runner.prefill(0, 0, tokens, 1))
    wanted = np.arange(len(tokens))
    return Contender(GRAPH, lambda: runner.decode(tokens, slots, positions, wanted))


def _persistent(case: Case, w: Weights, there: Sequences, device: torch.device) -> Contender:
    """Many steps a launch, each of which reads the token that the last chose."""
    decoder = llama_persistent.PersistentDecoder(w, there.cache)
    chosen = torch.empty(PERSISTENT_STEPS, dtype=torch.int32, device=device)
    logits = torch.full((PERSISTENT_STEPS, w.shape.vocabulary), torch.nan, device=device)
    first = int(there.rows.tokens[0])

    def run() -> Tensor:
        decoder.run(chosen, logits=logits)
        return logits

    def begin() -> None:
        decoder.begin(0, first, case.context)

    return Contender(PERSISTENT, run, begin, steps=PERSISTENT_STEPS, most=1)


def _torch(name: str, case: Case, w: Weights, there: Sequences, dtype: torch.dtype) -> Contender:
    model = Llama(w, there, case.context, case.context + case.new + ROOM, dtype)
    forward = torch.compile(model, mode="reduce-overhead", fullgraph=True) if name == COMPILED else model
    tokens = there.rows.tokens.view(case.slots, -1).long()
    positions = there.rows.positions[: case.new].long()
    wanted = case.new if case.context else 1
    return Contender(name, lambda: forward(tokens, positions, wanted))


def _transformers(name: str, case: Case, w: Weights, there: Sequences, dtype: torch.dtype) -> Contender:
    length = case.context + case.new + ROOM
    step, reset = transformers_step(w, there, case.context, length, dtype, compiled=name == HF_COMPILED)
    return Contender(name, step, reset, most=ROOM // case.new)


def _reference(case: Case, w: Weights, there: Sequences) -> Tensor:
    """Logits of the wanted rows in float32: of the last of a prompt, of all others."""
    rows = _rows(there.rows)
    wanted = np.arange(len(rows[0]))[0 if case.context else -1 :]
    return ReferenceRunner(w, there.cache).decode(*rows, wanted)


def _rows(rows: Rows) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return rows.tokens.cpu().numpy(), rows.slots.cpu().numpy(), rows.positions.cpu().numpy()


def _bytes(case: Case, w: Weights, there: Sequences) -> int:
    """The weights once, and of each sequence all keys and values."""
    s = w.shape
    token = 2 * s.layers * s.kv_heads * s.head_dim * there.cache.keys.element_size()
    return w.token_bytes + case.slots * (case.context + case.new) * token
