"""The ways to run a pass that the bench compares: ours in two forms, torch's own, and transformers'."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kernels.bench.dense import Llama
from kernels.bench.flex import block_mask
from kernels.bench.hugging import transformers_step
from kernels.bench.models import Sequences
from kernels.bench.results import regret, relative_error, worst
from kernels.formats.llama import Weights
from kernels.llama import ahead as llama_ahead
from kernels.llama.reference import ReferenceRunner

GRAPH, AHEAD = "graph", "graph, ahead"
EAGER, COMPILED, FLEXIBLE = "torch", "torch compiled", "torch compiled, Flex"
HF_EAGER, HF_COMPILED = "transformers", "transformers compiled"

AHEAD_STEPS = 32
"""Of one run."""

ROOM = 64
"""Tokens behind the context that a contender may decode, one after the other, while it is timed."""

Ints = NDArray[np.integer]


@dataclass(frozen=True)
class Case:
    """What one pass reads: `new` tokens of each of `slots` sequences, behind `context` ones."""

    model: str
    cache: str
    context: int
    slots: int
    new: int

    @property
    def wanted(self) -> Ints:
        """The rows whose logits are compared: the last of a prompt, else all."""
        return np.arange(self.slots * self.new)[0 if self.context else -1 :]


@dataclass(frozen=True)
class Pass:
    """A case, and what it is run with."""

    case: Case
    weights: Weights
    there: Sequences
    device: torch.device

    @property
    def rows(self) -> tuple[Ints, Ints, Ints]:
        """Tokens, slots and positions."""
        rows = self.there.rows
        return rows.tokens.cpu().numpy(), rows.slots.cpu().numpy(), rows.positions.cpu().numpy()

    @property
    def reference(self) -> ReferenceRunner:
        """All in float32, over the same cache."""
        return ReferenceRunner(self.weights, self.there.cache)

    @property
    def length(self) -> int:
        """Of a rival's cache."""
        return self.case.context + self.case.new + ROOM


@dataclass(frozen=True)
class Contender:
    """What is called, and what puts its state back before a row of calls; `steps` passes a call."""

    call: Callable[[], Tensor]  # logits [.., vocabulary] of every wanted row
    prepare: Callable[[], object] = lambda: None
    steps: int = 1
    most: int = 20  # calls in a row
    error: Callable[[Tensor], float] | None = None  # of the logits; by default, from the exact ones


def contenders(given: Pass, rivals: list[str]) -> Iterator[tuple[str, Callable[[], Contender]]]:
    """Ours, and some of the rivals, by name; each is made when it is its turn."""
    yield GRAPH, lambda: _graph(given)
    alone = given.case.slots == given.case.new == 1
    if alone and llama_ahead.why_not(given.weights, given.device) is None:
        yield AHEAD, lambda: _ahead(given)
    for name in rivals:
        make = _transformers if name in (HF_EAGER, HF_COMPILED) else _torch
        yield name, lambda make=make, name=name: make(name, given)  # type: ignore[misc]


def _graph(given: Pass) -> Contender:
    from kernels.llama.graph import GraphRunner  # noqa: PLC0415  (without it, its rivals are measured still)

    runner = GraphRunner(given.weights, given.there.cache, given.device)
    rows, wanted = given.rows, given.case.wanted

    def call() -> Tensor:
        return runner.decode(*rows, wanted) if given.case.context else runner.prefill(0, 0, rows[0], 1)

    return Contender(call, error=lambda logits: _followed(given, rows, wanted, logits))


def _ahead(given: Pass) -> Contender:
    """Many steps, each of which reads the token that the last chose."""
    decoder = llama_ahead.AheadDecoder(given.weights, given.there.cache)
    chosen = torch.empty(1, AHEAD_STEPS, dtype=torch.int32, device=given.device)
    logits = torch.full((1, AHEAD_STEPS, given.weights.shape.vocabulary), torch.nan, device=given.device)
    first, context = int(given.there.rows.tokens[0]), given.case.context

    def run() -> Tensor:
        decoder.run(chosen, logits=logits)
        return logits[0]

    def error(logits: Tensor) -> float:
        tokens, steps = np.array([first, *chosen[0, :-1].tolist()]), np.arange(AHEAD_STEPS)
        off = _followed(given, (tokens, np.zeros_like(tokens), context + steps), steps, logits)
        return worst(off, regret(chosen[0], logits))

    start = llama_ahead.Start(0, first, context)
    return Contender(run, lambda: decoder.begin([start]), steps=AHEAD_STEPS, most=1, error=error)


def _followed(given: Pass, rows: tuple[Ints, Ints, Ints], wanted: Ints, logits: Tensor) -> float:
    """The error of what was calculated from those rows, and of what was put into the cache for them."""
    right, misplaced = given.reference.follow(*rows, wanted)
    return worst(relative_error(logits, right), misplaced)


def _torch(name: str, given: Pass) -> Contender:
    case, rows = given.case, given.there.rows
    model = Llama(given.weights, given.there, case.context, given.length, _dtype(given.device))
    compiled = name in (COMPILED, FLEXIBLE)
    forward = torch.compile(model, mode="reduce-overhead", fullgraph=True) if compiled else model
    tokens, positions = rows.tokens.view(case.slots, -1).long(), rows.positions[: case.new].long()
    wanted = case.new if case.context else 1

    def sees(_b: Tensor, _h: Tensor, query: Tensor, key: Tensor) -> Tensor:
        return key <= positions[query]

    blocks = block_mask(sees, case.new, given.length, given.device) if name == FLEXIBLE else None
    return Contender(lambda: forward(tokens, positions, wanted, blocks))


def _transformers(name: str, given: Pass) -> Contender:
    case = given.case
    step, reset = transformers_step(
        given.weights,
        given.there,
        case.context,
        given.length,
        _dtype(given.device),
        wanted=case.new if case.context else 1,
        compiled=name == HF_COMPILED,
    )
    return Contender(step, reset, most=max(1, ROOM // case.new))


def _dtype(device: torch.device) -> torch.dtype:
    return torch.bfloat16 if device.type == "cuda" else torch.float32
