"""Decoding ahead: several steps of some sequences on the GPU, of which only the tokens come back."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from math import nan
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kernels import llama_ahead
from kernels.llama_ahead import Start
from kernels.llama_gpu import PagedCache, Weights
from kernels.packed import FEW
from llm.batch import Batcher, Part
from llm.cuda_cache import PagedStore
from llm.cuda_errors import Gpu
from llm.cuda_served import Form
from llm.engine import ContextFull, EngineOutOfMemory
from llm.sample import BrokenLogits, Sampling
from llm.served import rows_of
from llm.sessions import Sessions, SlotEngine

_LINGER_S = 0.004
"""For those of the last run who are on their way: about as long as a run takes."""


class Decoder(Protocol):
    """What runs the steps; see `kernels.llama_ahead.AheadDecoder`."""

    seen: Tensor

    def begin(self, starts: Sequence[Start]) -> None:
        """Set where sequences go on."""
        ...

    def run(self, tokens: Tensor, *, logits: Tensor | None = None) -> None:
        """Write the next choices into `tokens` [sequences, steps], -1 from a broken one on, and mark them."""
        ...


def make_decoder(weights: Weights, cache: PagedCache, sessions: int) -> Decoder:
    """For so many sessions, or as many as the kernels take; compiled by being captured."""
    decoder: Decoder = llama_ahead.AheadDecoder(weights, cache, rows=min(FEW, rows_of(sessions)))
    return decoder


@dataclass(frozen=True)
class _Place:
    """Where a sequence goes on; a run that leaves off there leaves the device ready for the next."""

    start: Start
    seen: frozenset[int]

    def after(self, chosen: Sequence[int]) -> "_Place":
        position, step = self.start.position + len(chosen), self.start.step + len(chosen)
        start = replace(self.start, token=chosen[-1], position=position, step=step)
        return _Place(start, self.seen.union(chosen))


@dataclass(frozen=True)
class Steps(Part):
    """A run that one sequence asks for: `tokens` is its last one, and `seen` are the reply's so far."""

    steps: int
    seen: Sequence[int]
    sampling: Sampling

    @property
    def place(self) -> _Place:
        """On the device."""
        (token,), how = self.tokens, self.sampling
        start = Start(
            self.slot,
            token,
            self.start,
            penalty=how.repetition_penalty,
            temperature=how.temperature,
            min_p=how.min_p,
            seed=how.seed % 2**63,
            step=len(self.seen),
        )
        return _Place(start, frozenset(self.seen))


class Ahead:
    """A model's decoder, which runs as many steps for all who ask at a time as the most modest wants.

    May be used from several threads.
    """

    def __init__(
        self, gpu: Gpu, decoder: Decoder, store: PagedStore, served: Callable[[int, Form, int], None]
    ) -> None:
        """`served` is told of every slot the form of its steps, and how many there were."""
        self._gpu, self._decoder, self._store, self._served = gpu, decoder, store, served
        self._places: dict[int, _Place] = {}  # where slots have left off
        self._begun: tuple[int, ...] = ()  # the slots of the last run
        self.batcher: Batcher[Steps] = Batcher(self._run, ragged=True, linger_s=_LINGER_S)

    def _run(self, parts: Sequence[Steps]) -> list[NDArray[np.int32]]:
        """See `llm.batch.Run`: of each part the choices; fewer, or none, from broken logits on."""
        steps, chosen = min(part.steps for part in parts), dict[int, list[int]]()
        ordered = sorted(parts, key=lambda part: part.slot)  # so that the same come in the same order again
        for some in (ordered[i : i + FEW] for i in range(0, len(ordered), FEW)):
            what = f"{steps} steps ahead of {len(some)} sequences"
            rows = self._gpu.run(what, partial(self._decode, some, steps))
            for part, row in zip(some, rows, strict=True):
                chosen[part.slot] = row
                self._served(part.slot, Form(rows_of(len(some)), prompt=False, ahead=True), steps)
        return [np.array(chosen[part.slot], np.int32) for part in parts]

    def _decode(self, parts: Sequence[Steps], steps: int) -> list[list[int]]:
        self._store.upload()
        places, begun = self._places, self._begun
        self._places, self._begun = {}, ()  # this may fail midway
        here = {part.slot: part.place for part in parts}
        moved = [slot for slot, place in here.items() if places.get(slot) != place]
        for slot in moved:
            self._mark(slot, here[slot].seen)
        if moved or begun != tuple(here):
            self._decoder.begin([place.start for place in here.values()])
        tokens = torch.empty(len(here), steps, dtype=torch.int32, device=self._gpu.device)
        self._decoder.run(tokens)
        chosen = [row[: row.index(-1)] if -1 in row else row for row in tokens.tolist()]
        for (slot, place), row in zip(here.items(), chosen, strict=True):
            places.pop(slot, None)
            if len(row) == steps:
                places[slot] = place.after(row)
        self._places, self._begun = places, tuple(here)
        return chosen

    def _mark(self, slot: int, tokens: frozenset[int]) -> None:
        seen = self._decoder.seen[slot]
        seen.zero_()
        if tokens:
            seen[torch.tensor(sorted(tokens)).to(self._gpu.device)] = 1


class AheadEngine(SlotEngine):
    """A sequence on the GPU that also decodes ahead; see `llm.engine.ChoosesAhead`.

    A step ahead is the same to the bit as `extend` by its token, whoever shares it.
    """

    def __init__(self, ahead: Ahead, sessions: Sessions[Any], slot: int) -> None:
        super().__init__(sessions, slot)
        self._ahead = ahead

    def chooses_as(self, sampling: Sampling) -> bool:
        """See ChoosesAhead. Nucleus sampling wants all probabilities in order, which the device has not."""
        return sampling.temperature == 0 or sampling.top_p == 1

    def choose(self, token: int, steps: int, *, seen: Sequence[int], sampling: Sampling) -> list[int]:
        """See ChoosesAhead. Raises EngineOutOfMemory and CudaBroken."""
        held = len(self._tokens)
        if held + steps > self.context:
            raise ContextFull(held + steps, self.context)
        if steps < 1 or not 0 <= token < self._sessions.vocabulary:
            raise ValueError(
                f"{steps} steps from token {token}, of a vocabulary of {self._sessions.vocabulary}"
            )
        assert not self._closed, "a closed sequence"
        try:
            steps = self._reserve(held, min(steps, llama_ahead.MAX_STEPS))
            run = Steps(self._slot, held, [token], 1, steps, seen, sampling)
            chosen: list[int] = self._ahead.batcher.read(run).tolist()
        except BaseException:
            self.truncate(held)
            raise
        if not chosen:
            self.truncate(held)
            raise BrokenLogits(nan, self._sessions.vocabulary)
        self._tokens += [token, *chosen[:-1]]
        self.truncate(len(self._tokens))  # the pages of steps that were not run, or behind a broken one
        return chosen

    def _reserve(self, held: int, steps: int) -> int:
        """The steps that there are pages for: all, or half of them and so on, as the reply may end before."""
        while True:
            try:
                self._store.reserve(self._slot, held, held + steps)
            except EngineOutOfMemory:
                self.truncate(held)
                if steps == 1:
                    raise
                steps //= 2
            else:
                return steps
