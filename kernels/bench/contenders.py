"""The ways to run a pass that the bench compares: ours in two forms, and torch's own, compiled or not."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kernels.bench.dense import Llama
from kernels.bench.models import Sequences
from kernels.bench.results import regret, relative_error, worst
from kernels.formats.llama import Weights
from kernels.llama import multi_step
from kernels.llama.graph import GraphRunner
from kernels.llama.reference import ReferenceRunner

GRAPH, MULTI_STEP = "graph", "graph, multi-step"
EAGER, COMPILED = "torch", "torch compiled"

STEPS = 32
"""Steps of one run on the device."""

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
        """Tokens that a rival's cache has room for."""
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
    if alone and multi_step.unsupported_reason(given.weights, given.device) is None:
        yield MULTI_STEP, lambda: _multi_step(given)
    for name in rivals:
        yield name, lambda name=name: _torch(given, compiled=name == COMPILED)  # type: ignore[misc]


def _graph(given: Pass) -> Contender:
    runner = GraphRunner(given.weights, given.there.cache, given.device)
    rows, wanted = given.rows, given.case.wanted

    def call() -> Tensor:
        return runner.decode(*rows, wanted) if given.case.context else runner.prefill(0, 0, rows[0], 1)

    return Contender(call, error=lambda logits: _followed(given, rows, wanted, logits))


def _multi_step(given: Pass) -> Contender:
    """Many steps, each of which reads the token that the last chose."""
    decoder = multi_step.MultiStepDecoder(given.weights, given.there.cache)
    chosen = torch.empty(1, STEPS, dtype=torch.int32, device=given.device)
    logits = torch.full((1, STEPS, given.weights.shape.vocabulary), torch.nan, device=given.device)
    first, context = int(given.there.rows.tokens[0]), given.case.context

    def run() -> Tensor:
        decoder.run(chosen, logits=logits)
        return logits[0]

    def error(logits: Tensor) -> float:
        tokens, steps = np.array([first, *chosen[0, :-1].tolist()]), np.arange(STEPS)
        off = _followed(given, (tokens, np.zeros_like(tokens), context + steps), steps, logits)
        return worst(off, regret(chosen[0], logits))

    start = multi_step.Start(0, first, context)
    return Contender(run, lambda: decoder.begin([start]), steps=STEPS, most=1, error=error)


def _followed(given: Pass, rows: tuple[Ints, Ints, Ints], wanted: Ints, logits: Tensor) -> float:
    """The error of what was calculated from those rows, and of what was put into the cache for them."""
    right, misplaced = given.reference.follow(*rows, wanted)
    return worst(relative_error(logits, right), misplaced)


def _torch(given: Pass, *, compiled: bool) -> Contender:
    case, rows = given.case, given.there.rows
    dtype = torch.bfloat16 if given.device.type == "cuda" else torch.float32
    model = Llama(given.weights, given.there, case.context, given.length, dtype)
    forward = torch.compile(model, mode="reduce-overhead", fullgraph=True) if compiled else model
    tokens, positions = rows.tokens.view(case.slots, -1).long(), rows.positions[: case.new].long()
    wanted = case.new if case.context else 1
    return Contender(lambda: forward(tokens, positions, wanted))
